package stack_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestNode takes stacks of JavaScript that spends its time in V8's builtins,
// in compiled and in interpreted code. V8 compiles a function into its caller
// where it can, which its perf map does not show: here it may not.
func TestNode(t *testing.T) {
	stacktest.NeedRoot(t)
	node, err := exec.LookPath("node")
	if err != nil {
		stacktest.Missing(t, "node is not installed")
	}
	const objects = `function culprit(n) { const o = { a: 1 }; for (let i = 0; i < n / 100; i++) { o.a += i & 7; o.b = o.a + "x"; } return o; }`
	tests := []struct {
		name, culprit string
		flags         []string
	}{
		{"strings", `function culprit(n) { let s = ""; for (let i = 0; i < n / 20; i++) s += "x" + i; return s.length; }`, nil},
		{"maps", `const m = new Map(); function culprit(n) { for (let i = 0; i < n / 20; i++) m.set("k" + (i & 1023), i); return m.size; }`, nil},
		{"regular expression", `function culprit(n) { return /^(a+)+$/.test("aaaaaaaaaaaaaaaaaaaaaaa!"); }`, nil},
		{"array", `const a = Array.from({length: 5000}, (_, i) => "k" + i); function culprit(n) { let s = 0; for (let i = 0; i < n / 1e5; i++) s += a.indexOf("k" + (4000 + i % 999)); return s; }`, nil},
		{"callback", `const a = Array.from({length: 2000}, (_, i) => i); function culprit(n) { return a.filter((x) => a.some((y) => y === x + 1000)).length; }`, nil},
		{"call", `const fs = require("fs"); function culprit(n) { for (let i = 0; i < 2000; i++) { try { fs.openSync("/nonexistent/file"); } catch {} } }`, nil},
		{"sleep", `const cell = new Int32Array(new SharedArrayBuffer(4)); function culprit(n) { Atomics.wait(cell, 0, 0, 20); }`, nil},
		{"interpreted", objects, []string{"--no-opt", "--no-sparkplug"}},
		{"baseline", objects, []string{"--no-opt", "--always-sparkplug"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pid := startNode(t, node, tt.flags, tt.culprit+`
				function outer(n) { return culprit(n); }
				function turn() { outer(1e6); setImmediate(turn); }
				turn();`)
			u := stack.NewUnwinder(stack.Options{})
			var all, complete, named int
			var wrong []string
			for all < 120 {
				time.Sleep(2 * time.Millisecond)
				regs, data, err := stacktest.Capture(pid, pid, stackBytes)
				if err != nil {
					t.Fatal(err)
				}
				st, err := u.Unwind(int32(pid), regs, stack.Copy{Bytes: data})
				if err != nil {
					t.Fatal(err)
				}
				app := applicationNames(st)
				if !slices.Contains(app, "turn") || len(app) == 1 {
					continue // between two turns
				}
				all++
				if st.Complete {
					complete++
				}
				app = slices.DeleteFunc(app, func(s string) bool { return strings.HasPrefix(s, "(anonymous)") })
				if slices.Equal(app[:min(3, len(app))], []string{"culprit", "outer", "turn"}) {
					named++
				} else if len(wrong) < 5 {
					wrong = append(wrong, render(st))
				}
			}
			t.Logf("%d of %d stacks complete, %d as they should be; others: %s", complete, all, named, strings.Join(wrong, "\n"))
			if complete*100 < all*95 || named*100 < all*85 {
				t.Errorf("%d of %d stacks complete, %d as they should be", complete, all, named)
			}
		})
	}
}

// startNode runs a script for long enough to be compiled.
func startNode(t *testing.T, node string, flags []string, script string) (pid int) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "app.js")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, append(flags, "--perf-basic-prof", "--interpreted-frames-native-stack", "--no-turbo-inlining", file)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid = cmd.Process.Pid
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Remove(fmt.Sprintf("/tmp/perf-%d.map", pid))
	})
	time.Sleep(time.Second)
	return pid
}

func applicationNames(st threadtrace.Stack) (out []string) {
	for _, f := range st.Frames {
		if f.Origin == threadtrace.OriginApplication {
			out = append(out, f.Function)
		}
	}
	return out
}
