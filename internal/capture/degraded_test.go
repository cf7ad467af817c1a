//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// TestWithoutStacks runs on programs of which the kernel refuses those that
// read user memory, as an older or locked-down one does.
func TestWithoutStacks(t *testing.T) {
	tr0, _ := startTracer(t, testConfig()) // skips where tracing is not allowed
	needs(t, tr0, "syscall stacks")        // else the reason is another
	spec, err := loadCapture()
	must(t, err)
	for _, name := range []string{captureProgSysExitStack, captureProgSampleStack, captureProgSnapshotStack} {
		for i, ins := range spec.Programs[name].Instructions {
			if ins.IsBuiltinCall() && (ins.Constant == int64(asm.FnProbeReadUser) || ins.Constant == int64(asm.FnCopyFromUserTask)) {
				spec.Programs[name].Instructions[i].Constant = 9999 // no such helper
			}
		}
	}
	cfg := watchConfig()
	cfg.Continuous, cfg.SampleHz = true, 97
	r := &recorder{}
	tr, err := newTracer(spec, cfg, r, nil)
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	must(t, tr.Start(t.Context()))
	var features []string
	for _, d := range tr.Degraded() {
		if strings.HasPrefix(d.Feature, "run delay") || d.Feature == socketsFeature {
			continue // an old kernel's own
		}
		features = append(features, d.Feature)
		t.Logf("%+v", d)
		if !strings.Contains(d.Reason, "lacks what") || len(d.Reason) > 1000 {
			t.Errorf("%s: reason %q", d.Feature, d.Reason)
		}
	}
	if want := []string{"syscall stacks", "sample stacks", "snapshot stacks"}; !slices.Equal(features, want) {
		t.Errorf("degraded %v, want %v", features, want)
	}
	spinner, blocked := startHelper(t, "spin 500ms"), startHelper(t, "block")
	must(t, tr.AddProcess(spinner.pid()))
	must(t, tr.AddProcess(blocked.pid()))
	spinner.say()
	blocked.say()
	tid := int32(atoi(t, blocked.hear()[0]))
	spinner.hear()
	// Without the registers, what a thread waits in comes from its slot.
	eventually(t, "a snapshot sees the blocked thread", func() bool {
		must(t, tr.Snapshot())
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.snapshots[len(r.snapshots)-1].Threads, func(th Thread) bool {
			return th.TID == tid && th.Number == unix.SYS_READV && th.Flags&ThreadSinceExact != 0 &&
				time.Since(time.Unix(0, th.Since)) < time.Minute
		})
	})
	must(t, tr.Poll())
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.stacks) != 0 || len(r.samples) == 0 || len(r.calls) == 0 {
		t.Errorf("%d stacks, %d samples, %d calls, want none, some, some", len(r.stacks), len(r.samples), len(r.calls))
	}
}

// TestVerifierRefusal has the verifier refuse a program that is needed: that
// is no matter of privileges, though the verifier says EACCES.
func TestVerifierRefusal(t *testing.T) {
	tr, _ := startTracer(t, testConfig()) // skips where tracing is not allowed
	needs(t, tr, "syscall stacks")        // else the reason is another
	spec, err := loadCapture()
	must(t, err)
	p := spec.Programs[captureProgSysEnter]
	// Reads through a number.
	p.Instructions = asm.Instructions{asm.Mov.Imm(asm.R1, 1), asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord), asm.Return()}
	_, err = newTracer(spec, testConfig(), &recorder{}, nil)
	if err == nil {
		t.Fatal("the program was taken")
	}
	text := err.Error()
	t.Log(text)
	if !errors.Is(err, unix.EACCES) {
		t.Error("no EACCES: this tests nothing")
	}
	if !strings.Contains(text, "the verifier of kernel "+kernelRelease()+" refuses the program") || strings.Contains(text, "CAP_") {
		t.Error("the error does not name the verifier alone")
	}
	if strings.Count(text, "invalid mem access") != 1 {
		t.Error("the verifier's word should be there once")
	}
}

func TestExplain(t *testing.T) {
	denied := &ebpf.VerifierError{Cause: unix.EPERM} // no log: not the verifier's
	if text := explain(denied); !strings.Contains(text, "seccomp") || strings.Contains(text, "report") {
		t.Errorf("EPERM: %s", text)
	}
	denied.Log = []string{"0: (b7) r0 = 0", "R1 is bad"}
	if text := explain(denied); !strings.Contains(text, "please report") || strings.Contains(text, "seccomp") {
		t.Errorf("the verifier: %s", text)
	}
	if err := refused("cannot do it", unix.EPERM); !errors.Is(err, unix.EPERM) || strings.Count(err.Error(), unix.EPERM.Error()) != 1 {
		t.Errorf("%v", err)
	}
}
