//go:build linux && (amd64 || arm64)

package syscallreceiver

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
)

// gapProgram has a buffer on each of its stacks that is larger than what is
// copied of a stack, and never touched: between what runs and its callers.
const gapProgram = `
#include <pthread.h>
#include <string.h>
#include <unistd.h>
static volatile int zero;
__attribute__((noinline)) static void spin(char *b) { for (;;) { getppid(); if (zero) b[zero] = 1; } }
__attribute__((noinline)) static void nap(char *b) { for (;;) { pause(); if (zero) b[zero] = 1; } }
__attribute__((noinline)) static void across(int spins) {
	char buffer[48 << 10];
	if (spins) spin(buffer); else nap(buffer);
	zero = buffer[zero];
}
__attribute__((noinline)) static void outer(int spins) { across(spins); zero++; }
static void *second(void *spins) { outer(*(int *)spins); return 0; }
int main(int argc, char **argv) {
	pthread_t t;
	int spins = !strcmp(argv[1], "spin");
	pthread_create(&t, 0, second, &spins);
	outer(spins);
	return zero + argc;
}
`

// unwound unwinds the stacks of a tracer and keeps what they look like.
type unwound struct {
	capture.Handler // what is not needed here is not called, or below

	unwind *stack.Unwinder
	mu     sync.Mutex
	seen   map[string]bool // "kind innermost … outermost", of complete ones
	bytes  int             // of the longest copy
	lost   []string        // of others
}

func (u *unwound) Stack(s *capture.RawStack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	st, err := u.unwind.Unwind(s.PID, stack.Registers{IP: s.Regs.IP, SP: s.Regs.SP, BP: s.Regs.BP, LR: s.Regs.LR}, stack.Copy{Bytes: s.Bytes, Pages: s.Pages})
	kind := map[capture.StackKind]string{capture.StackAtCall: "call", capture.StackAtSample: "sample", capture.StackBlocked: "blocked"}[s.Kind]
	own := []string{kind}
	for _, f := range st.Frames {
		own = append(own, f.Function)
	}
	text := strings.Join(own, " ")
	u.bytes = max(u.bytes, len(s.Bytes))
	if err != nil || !st.Complete {
		u.lost = append(u.lost, text)
		return
	}
	u.seen[text] = true
}

func (*unwound) Calls([]capture.Call)       {}
func (*unwound) Sample(capture.Sample)      {}
func (*unwound) Snapshot(*capture.Snapshot) {}
func (*unwound) Exec(capture.Exec)          {} // a program just started may tell of it after it is followed
func (*unwound) Exit(capture.Exit)          {}
func (*unwound) Fork(capture.Fork)          {}
func (*unwound) Tracing(capture.Tracing)    {}
func (*unwound) Waking(capture.Waking)      {}

// TestStacksAcrossUntouchedPages has the kernel copy stacks with a hole in them
// that is larger than a copy may be.
func TestStacksAcrossUntouchedPages(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		stacktest.Missing(t, "gcc is not installed")
	}
	program := filepath.Join(t.TempDir(), "gap")
	cmd := exec.Command("gcc", "-O2", "-pthread", "-o", program, "-xc", "-")
	cmd.Stdin = strings.NewReader(gapProgram)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, tt := range []struct{ does, kind, innermost string }{
		{"spin", "call", "spin"}, {"spin", "sample", "spin"}, {"nap", "blocked", "nap"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			u := &unwound{unwind: stack.NewUnwinder(stack.Options{}), seen: map[string]bool{}}
			cfg := capture.DefaultConfig()
			cfg.Continuous = tt.kind == "call"
			tr, err := capture.New(cfg, u, nil)
			if err != nil {
				stacktest.Missing(t, "%v", err)
			}
			t.Cleanup(func() { require.NoError(t, tr.Close()) })
			for _, d := range tr.Degraded() {
				if strings.HasSuffix(d.Feature, "stacks") {
					stacktest.Missing(t, "%s: %s", d.Feature, d.Reason)
				}
			}
			require.NoError(t, tr.Start(t.Context()))
			cmd := exec.Command(program, tt.does)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			require.NoError(t, tr.AddProcess(int32(cmd.Process.Pid)))
			whole := func(from string) bool {
				u.mu.Lock()
				defer u.mu.Unlock()
				for s := range u.seen {
					frames := strings.Fields(s)
					at := slices.Index(frames, tt.innermost)
					if frames[0] == tt.kind && at > 0 && at+3 < len(frames) && frames[at+1] == "across" && frames[at+2] == "outer" && frames[at+3] == from {
						return true
					}
				}
				return false
			}
			found := waitFor(20*time.Second, func() bool { return whole("main") && whole("second") })
			u.mu.Lock()
			defer u.mu.Unlock()
			if !found {
				t.Error("no stack of both threads is whole")
			}
			t.Logf("%v; %d incomplete %v; at most %d bytes", u.seen, len(u.lost), u.lost[:min(len(u.lost), 5)], u.bytes)
		})
	}
}

func waitFor(most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
	}
	return false
}
