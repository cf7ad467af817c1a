//go:build linux

package install

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/host"
	"github.com/perfscope/perfscope/testbed/proc"
)

// page runs commands of a page as root in a network namespace, where every port is
// free, with the built collector on the path and an empty /var/log: background while
// foreground, which follows once the collector is ready and is repeated until it
// succeeds. It returns the file with what all of them print.
func page(t *testing.T, network, background, foreground string, files map[string]string) (log string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loading eBPF programs")
	}
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log = filepath.Join(dir, "out.log")
	var script strings.Builder
	script.WriteString("mount --make-rprivate / && mount -t tmpfs tmpfs /var/log && mkdir /var/log/perfscope && ip link set lo up\n")
	for target, text := range files {
		source := filepath.Join(dir, filepath.Base(target))
		write(t, source, text, 0o644)
		fmt.Fprintf(&script, "mount --bind %s %s\n", source, target)
	}
	fmt.Fprintf(&script, "cd %s; PATH=%s/bin:$PATH\n{ %s\n} &\n", checkout, checkout, background)
	fmt.Fprintf(&script, "until grep -q 'Everything is ready' %s; do sleep 0.2; done\n", log)
	fmt.Fprintf(&script, "attempt() { set -e -o pipefail\n%s\n}\nuntil (attempt); do sleep 1; done\necho the page has ended\nwait\n", foreground)
	args := []string{"--mount"}
	if network == "" {
		args = append(args, "--net")
	}
	args = append(args, "bash", "-ec", script.String())
	path := "/usr/bin/unshare"
	if network != "" {
		path, args = "/usr/bin/nsenter", append([]string{"--net=" + network, "unshare"}, args...)
	}
	p, err := proc.Start(proc.Options{Path: path, Args: args, Dir: dir, Output: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(time.Second) }) // with all of its process group
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	said(ctx, t, log, "the page has ended")
	return log
}

// TestTheHostPage starts the collector as the page says for a shell, and asks for its
// state.
func TestTheHostPage(t *testing.T) {
	said := read(t, page(t, "", documented(t, "host.md", "shell"), documented(t, "host.md", "state"), nil))
	for _, want := range []string{`"extension:healthcheckv2"`, `"pipeline:logs/syscalls"`, "otelcol_receiver_syscall"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in what the commands print:\n%s", want, said)
		}
	}
}

// TestTheBackendsPage starts the collector with the page's variables, the backend being
// another host: a span that the collector gets must leave to it with the page's header.
func TestTheBackendsPage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces and eBPF programs")
	}
	network, err := host.Up("agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Down(); err != nil {
			t.Error(err)
		}
	})
	backend, _ := startBackend(t, network.IP, "4317")
	const send = `curl -sf -H 'Content-Type: application/json' -d '{"resourceSpans":[{"scopeSpans":[{"spans":[
		{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","name":"asked","kind":3,
		 "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001000000000"}]}]}]}' localhost:4318/v1/traces`
	page(t, network.Hosts["agent"].Network(), documented(t, "backends.md", "variables"), send, map[string]string{
		"/etc/hosts": network.IP + " backend\n127.0.0.1 localhost\n",
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, spans := backend.look(); len(spans) > 0 {
			if got := backend.authorization(); spans[0].Name() != "asked" || got != "Bearer key" {
				t.Errorf("the backend got span %q with the authorization %q", spans[0].Name(), got)
			}
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
	t.Error("no span has come")
}
