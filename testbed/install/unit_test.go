//go:build linux

package install

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// mostExposed is the most that systemd-analyze may make of the unit.
const mostExposed = 3.0

func TestTheUnitIsConfined(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	unit := filepath.Join("..", "..", "deploy", "systemd", "perfscope.service")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for perfscope.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level:\n%s", out)
	}
	if level, err := strconv.ParseFloat(string(m[1]), 64); err != nil || level > mostExposed {
		t.Errorf("exposure level %s, want at most %.1f:\n%s", m[1], mostExposed, out)
	}
}

// installed is where the files of the package are.
type installed struct{ binary, unit, config string }

// TestUnderTheUnitsLimits runs the built collector under systemd's own service
// manager, with all of the unit's limits but for the account, which is nobody's,
// and those that only the first process can set (MemoryMax, TasksMax, devices).
func TestUnderTheUnitsLimits(t *testing.T) {
	underLimits(t, installed{
		binary: filepath.Join("..", "..", "bin", "otelcol-perfscope"),
		unit:   filepath.Join("..", "..", "deploy", "systemd", "perfscope.service"),
		config: filepath.Join("..", "..", "config", "agent.yaml"),
	})
}

// underLimits runs a collector as its unit does. With `make test-install` it must
// name the demo's function, else it must find the service with nothing denied.
func underLimits(t *testing.T, files installed) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: loading eBPF programs")
	}
	if _, err := os.Stat("/usr/lib/systemd/systemd"); err != nil {
		t.Skip("systemd is not installed")
	}
	// PrivateTmp and ProtectHome hide the usual places.
	dir, err := os.MkdirTemp("/var/lib", "perfscope-unit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary, log := filepath.Join(dir, "otelcol-perfscope"), filepath.Join(dir, "agent.out")
	write(t, binary, read(t, files.binary), 0o755)
	write(t, filepath.Join(dir, "agent.yaml"), read(t, files.config), 0o644)
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nobody must reach it
		t.Fatal(err)
	}
	port, err := server.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "systemd/user/perfscope.service"), read(t, files.unit), 0o644)
	write(t, filepath.Join(dir, "systemd/user/perfscope.service.d/test.conf"), fmt.Sprintf(`[Service]
User=nobody
Group=nogroup
ExecStart=
ExecStart=%s $PERFSCOPE_ARGS
Environment="PERFSCOPE_ARGS=--config %s/agent.yaml"
Environment=PERFSCOPE_OTLP_GRPC_ENDPOINT=127.0.0.1:0 PERFSCOPE_OTLP_HTTP_ENDPOINT=127.0.0.1:0
Environment=PERFSCOPE_HEALTH_ENDPOINT=127.0.0.1:0 PERFSCOPE_PAGE_ENDPOINT=127.0.0.1:0 PERFSCOPE_METRICS_PORT=%d
StandardOutput=append:%s
StandardError=append:%s
Restart=no
`, binary, dir, port, log, log), 0o644)
	named(t, log, func() (stop func()) {
		manager, err := filepath.Abs(filepath.Join("testdata", "service-manager.sh"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := proc.Start(proc.Options{
			Path: "/usr/bin/unshare", Args: []string{"--mount", "/bin/bash", manager, dir, "perfscope.service"}, Output: filepath.Join(dir, "manager.log"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = p.Stop(20 * time.Second)
			for _, group := range []string{"", "unified/", "systemd/"} {
				removeGroups("/sys/fs/cgroup/" + group + "perfscope-test")
			}
		}
	}, func(ctx context.Context) {
		checkLimits(ctx, t, binary)
		unwinds(ctx, t, port)
	})
	if text := read(t, log); strings.Contains(text, "Recording goes on with less") && strings.Contains(text, "grant CAP_") {
		t.Errorf("a capability is missing:\n%s", text)
	}
}

// checkLimits looks at the process that runs a binary.
func checkLimits(ctx context.Context, t *testing.T, binary string) {
	t.Helper()
	var status string
	for ctx.Err() == nil && status == "" {
		links, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && to == binary {
				status = read(t, filepath.Join(filepath.Dir(link), "status"))
			}
		}
		pause(ctx, 100*time.Millisecond)
	}
	for _, want := range []string{
		"Uid:\t65534\t", "CapEff:\t000000c000080004\n", "CapBnd:\t000000c000080004\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
	} {
		if !strings.Contains(status, want) {
			t.Errorf("the agent does not run with %q:\n%s", want, status)
		}
	}
}

// complete is the collector's count of stacks that could be unwound to their end.
var complete = regexp.MustCompile(`otelcol_receiver_syscall_stacks{[^}]*result="complete"[^}]*} ([1-9][0-9]*)`)

// unwinds waits until stacks are complete: the programs of targets can be read.
func unwinds(ctx context.Context, t *testing.T, port int) {
	t.Helper()
	text := ""
	for ; ctx.Err() == nil; pause(ctx, 500*time.Millisecond) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		data, err := io.ReadAll(answer.Body)
		if _ = answer.Body.Close(); err == nil && complete.Match(data) {
			return
		}
		text = string(data)
	}
	t.Fatalf("no stack is complete:\n%s", text)
}

// removeGroups removes a control group and those in it, which are empty by now.
func removeGroups(dir string) {
	children, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, child := range children {
		if info, err := os.Stat(child); err == nil && info.IsDir() {
			removeGroups(child)
		}
	}
	_ = os.Remove(dir)
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // read by another account
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
