//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSnapshotThatHangs has the kernel never finish a snapshot, as one of a
// process does whose memory is locked: everything else goes on.
func TestSnapshotThatHangs(t *testing.T) {
	startTracer(t, testConfig()) // skips where tracing is not allowed
	cfg := watchConfig()
	cfg.Continuous = true
	r := &recorder{}
	tr, err := New(cfg, r, nil)
	must(t, err)
	hung, release := make(chan struct{}), make(chan struct{})
	first := true
	tr.snaps.iterate = func() error {
		if first {
			first = false
			close(hung)
		}
		<-release
		return nil
	}
	must(t, tr.Start(context.Background()))
	<-hung

	h := startHelper(t, "calls 1000")
	within := func(what string, f func()) {
		t.Helper()
		start := time.Now()
		f()
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s took %v", what, d)
		}
	}
	within("AddProcess", func() { must(t, tr.AddProcess(h.pid())) })
	h.say()
	h.hear()
	within("Poll", func() { must(t, tr.Poll()) })
	if n := r.count(number(unix.SYS_GETPPID)); n != 1000 {
		t.Errorf("%d of 1000 calls delivered while a snapshot hangs", n)
	}
	within("Stats", func() { tr.Stats() })
	within("InFlight", func() { _, err := tr.InFlight(0); must(t, err) })
	within("RemoveProcess", func() { must(t, tr.RemoveProcess(h.pid())) })
	within("Detach", func() { must(t, tr.Detach()) })
	waiting := make(chan error, 1)
	go func() { waiting <- tr.Snapshot() }()

	start := time.Now()
	err = tr.Close()
	if d := time.Since(start); d < closeWait || d > closeWait+2*time.Second {
		t.Errorf("Close took %v", d)
	}
	if err == nil || !strings.Contains(err.Error(), "a snapshot of the threads has not ended") {
		t.Errorf("Close: %v", err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("Snapshot: %v", err)
	}
	if s := tr.Stats(); s.Snapshots != 0 {
		t.Errorf("%d snapshots delivered", s.Snapshots)
	}
	close(release)
	eventually(t, "the kernel objects are freed", func() bool {
		tr.life.RLock()
		defer tr.life.RUnlock()
		return tr.obj.slots == nil
	})
}

// TestSnapshotSkipsBusyMemory takes snapshots of a process that changes its
// memory map all the time: a copy would have to wait for it.
func TestSnapshotSkipsBusyMemory(t *testing.T) {
	cfg := watchConfig()
	cfg.SnapshotInterval = 10 * time.Millisecond
	tr, _ := startTracer(t, cfg)
	h := startHelper(t, "remap")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	eventually(t, "a stack is left out as the memory is busy", func() bool {
		must(t, tr.Snapshot())
		return tr.Stats().Dropped[DropBlockedBusy] > 0
	})
	s := tr.Stats()
	t.Logf("%d snapshots, %d stacks, dropped %v", s.Snapshots, s.Stacks, s.Dropped)
}
