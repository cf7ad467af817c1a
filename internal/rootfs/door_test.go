package rootfs

import (
	"errors"
	"testing"
	"time"
)

type closer struct{ closed chan struct{} }

func (c closer) Close() error {
	close(c.closed)
	return nil
}

func TestStuckProcessIsLeftAlone(t *testing.T) {
	r := &Door{Timeout: 20 * time.Millisecond, Quarantine: 100 * time.Millisecond}
	let, closed := make(chan struct{}), make(chan struct{})
	_, err := Do(r, 7, func() (closer, error) {
		<-let
		return closer{closed}, nil
	})
	if !errors.Is(err, ErrStuck) {
		t.Fatal(err)
	}
	read := func() (int, error) { return 1, nil }
	if n, err := Do(r, 8, read); n != 1 || err != nil {
		t.Errorf("another process: %d, %v", n, err)
	}
	time.Sleep(150 * time.Millisecond)
	if _, err := Do(r, 7, read); !errors.Is(err, ErrQuarantined) {
		t.Errorf("its first read still hangs, and got %v", err)
	}
	close(let)
	<-closed // late, and closed
	if n, err := Do(r, 7, read); n != 1 || err != nil {
		t.Errorf("after the quarantine: %d, %v", n, err)
	}
	if r.Stuck() != 1 {
		t.Errorf("%d counted", r.Stuck())
	}
}

func TestHungReadsAreFew(t *testing.T) {
	r := &Door{Proc: t.TempDir(), Timeout: time.Millisecond} // all are nobody's
	let := make(chan struct{})
	defer close(let)
	hang := func() (int, error) {
		<-let
		return 0, nil
	}
	for pid := range int32(maxHungOfUser) {
		if _, err := Do(r, pid, hang); !errors.Is(err, ErrStuck) {
			t.Fatal(err)
		}
	}
	if _, err := Do(r, 100, hang); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkDo(b *testing.B) {
	var r Door
	for b.Loop() {
		_, _ = Do(&r, 1, func() (int, error) { return 1, nil })
	}
}

// TestAStepThatWaitsForACPUIsWaitedFor: it computes, for longer than it may hang.
func TestAStepThatWaitsForACPUIsWaitedFor(t *testing.T) {
	r := &Door{Timeout: 20 * time.Millisecond}
	n, err := Do(r, 7, func() (n int, err error) {
		for begun := time.Now(); time.Since(begun) < 100*time.Millisecond; {
			n++
		}
		return n, nil
	})
	if err != nil || n == 0 || r.Stuck() != 0 {
		t.Errorf("%d, %v", n, err)
	}
}
