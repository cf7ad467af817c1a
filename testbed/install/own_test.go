//go:build linux

package install

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// needAll skips what takes minutes unless `make test-install` asks for it.
func needAll(t *testing.T) {
	t.Helper()
	if os.Getenv("PERFSCOPE_INSTALL") != "all" {
		t.Skip("takes minutes: run `make test-install`")
	}
}

// version is the release that the documents install.
func version(t *testing.T, checkout string) string {
	t.Helper()
	manifest := read(t, filepath.Join(checkout, "builder-config.yaml"))
	_, after, _ := strings.Cut(manifest, "\n  version: ")
	v, _, found := strings.Cut(after, "\n")
	if !found {
		t.Fatal("builder-config.yaml has no version")
	}
	return "v" + v
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// commands are those of the first shell block below a heading of a document.
func commands(t *testing.T, document, heading string) string {
	t.Helper()
	_, section, found := strings.Cut(read(t, document), heading+"\n")
	_, block, opened := strings.Cut(section, "```sh\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !opened || !closed {
		t.Fatalf("%s has no shell block below %q", document, heading)
	}
	return block
}

// ownCollector runs the README's commands in an empty folder, but for the last
// one, which starts the collector. A module proxy in a folder stands in for the
// published module.
func ownCollector(t *testing.T) (dir string, start []string) {
	t.Helper()
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	block := strings.TrimSpace(commands(t, filepath.Join(checkout, "README.md"), "### In a collector of your own"))
	last := strings.LastIndexByte(block, '\n')
	start = strings.Fields(block[last:])
	if start[0] != "sudo" {
		t.Fatalf("the last command is %q, not the one that starts the collector", block[last:])
	}
	dir = t.TempDir()
	proxies, err := exec.CommandContext(t.Context(), "go", "env", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", block[:last])
	shell.Dir = dir
	// A module cache of its own would load everything again: the modules of this
	// version are removed from the shared one instead.
	shell.Env = append(os.Environ(), "GOFLAGS=-modcacherw", "GONOSUMDB="+modulePath, "GONOSUMCHECK=1",
		"GOPROXY=file://"+publish(t, checkout, version(t, checkout))+","+strings.TrimSpace(string(proxies)))
	forget(t, version(t, checkout))
	t.Cleanup(func() { forget(t, version(t, checkout)) })
	began := time.Now()
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("built in %s", time.Since(began).Round(time.Second))
	return dir, start[1:]
}

// forget removes one version of the module from the module cache: it was made of
// a checkout that changes.
func forget(t *testing.T, version string) {
	t.Helper()
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output() //nolint:noctx // also in a Cleanup
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(cache))
	files, err := filepath.Glob(filepath.Join(root, "cache", "download", modulePath, "@v", version+".*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join(root, modulePath+"@"+version)) {
		_ = filepath.WalkDir(file, func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				_ = os.Chmod(path, 0o700) //nolint:gosec // the cache is read-only
			}
			return nil
		})
		if err := os.RemoveAll(file); err != nil {
			t.Error(err)
		}
	}
}

// TestOwnCollector: from an empty folder to a named function by the README's
// commands alone.
func TestOwnCollector(t *testing.T) {
	needAll(t)
	dir, start := ownCollector(t)
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, start[0]), "components").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"name: syscall\n", "name: perfscope\n", modulePath + " " + version(t, filepath.Join("..", ".."))} {
		if !strings.Contains(string(out), want) {
			t.Errorf("components does not say %q:\n%s", want, out)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: loading eBPF programs")
	}
	log := filepath.Join(dir, "collector.log")
	named(t, log, func() func() {
		// The usual port may be taken by the machine's own collector.
		args := append(start[1:], "--set=service.telemetry.metrics.level=none")
		p, err := proc.Start(proc.Options{Path: filepath.Join(dir, start[0]), Args: args, Dir: dir, Output: log})
		if err != nil {
			t.Fatal(err)
		}
		return func() { _ = p.Stop(10 * time.Second) }
	})
}

// named starts a collector beside the demo's redis and waits until it says that it
// found the service. With `make test-install` the fault begins once its past is
// learned, and the function must be named. checks, if any, are done meanwhile.
func named(t *testing.T, log string, start func() (stop func()), checks ...func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	demo := scenario.Demo()
	w, err := demo.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Server.Stop() }()
	defer load.Start(ctx, w.Load).Stop()
	began := time.Now()
	defer start()()
	said(ctx, t, log, "A service is found")
	for _, check := range checks {
		check(ctx)
	}
	if os.Getenv("PERFSCOPE_INSTALL") != "all" {
		return
	}
	said(ctx, t, log, "A service is learned")
	pause(ctx, time.Until(began.Add(demo.Learn)))
	end, err := w.Fault(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	said(ctx, t, log, "flushAppendOnlyFile")
	t.Logf("flushAppendOnlyFile named %s after the collector was started", time.Since(began).Round(time.Second))
}

// said waits until a log has a text.
func said(ctx context.Context, t *testing.T, log, text string) {
	t.Helper()
	for ctx.Err() == nil {
		if data, err := os.ReadFile(log); err == nil && strings.Contains(string(data), text) {
			return
		}
		pause(ctx, 200*time.Millisecond)
	}
	data, _ := os.ReadFile(log)
	t.Fatalf("%q is not in the log:\n%s", text, data)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
