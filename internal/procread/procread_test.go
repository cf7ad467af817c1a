package procread

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
	r := &Reader{Timeout: 20 * time.Millisecond, Quarantine: 100 * time.Millisecond}
	let, closed := make(chan struct{}), make(chan struct{})
	begin := time.Now()
	_, err := Do(r, 7, func() (closer, error) {
		<-let
		return closer{closed}, nil
	})
	if !errors.Is(err, ErrStuck) || time.Since(begin) > 5*time.Second {
		t.Fatalf("%v after %v", err, time.Since(begin))
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
	r := &Reader{Timeout: time.Millisecond}
	let := make(chan struct{})
	defer close(let)
	hang := func() (int, error) {
		<-let
		return 0, nil
	}
	for pid := range int32(workers) {
		if _, err := Do(r, pid, hang); !errors.Is(err, ErrStuck) {
			t.Fatal(err)
		}
	}
	if _, err := Do(r, 100, hang); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkDo(b *testing.B) {
	var r Reader
	for b.Loop() {
		_, _ = Do(&r, 1, func() (int, error) { return 1, nil })
	}
}
