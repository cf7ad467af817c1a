// Package procread reads files of processes below /proc in bounded time. Some
// of them (cmdline, environ, maps, mem) are read under the lock of the
// process's memory map: a process stuck in the kernel with that lock held (a
// page fault on a dead network file system is enough) makes their readers wait
// for as long as it does.
package procread

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// workers bounds the reads that hang at one time: each holds a thread.
	workers = 8
	// timeout is for how long a read is waited for; it takes microseconds.
	timeout = 250 * time.Millisecond
	// quarantine is for how long a process is left alone then.
	quarantine = time.Minute
)

var (
	// ErrStuck is why the first read of a process was given up.
	ErrStuck = errors.New("the process holds the lock of its memory map: it is left alone for a minute")
	// ErrQuarantined is why later ones were not tried.
	ErrQuarantined = errors.New("the process was left alone after a read of it had hung")
	// ErrBusy is why a read was not tried when too many others hang.
	ErrBusy = errors.New("too many processes are stuck with the lock of their memory map held")
)

// Reader bounds reads. It is safe for concurrent use; its zero value is ready.
type Reader struct {
	// Timeout and Quarantine are the package's own when zero.
	Timeout, Quarantine time.Duration

	mu    sync.Mutex
	busy  int
	hangs uint64
	// stuck holds the processes left alone.
	stuck map[int32]*hang
}

// hang is a process that did not let itself be read.
type hang struct {
	until time.Time
	// within is set while the read has not returned: no other is tried.
	within bool
}

// Stuck counts the reads given up.
func (r *Reader) Stuck() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hangs
}

// Do calls read in another goroutine and gives what it gives, or ErrStuck if it
// takes too long. What it gives after that is dropped, and closed if it can be:
// read must not touch anything of the caller's.
func Do[T any](r *Reader, pid int32, read func() (T, error)) (T, error) {
	var none T
	if err := r.begin(pid); err != nil {
		return none, fmt.Errorf("process %d: %w", pid, err)
	}
	t := &task{pid: pid, done: make(chan struct{})}
	var value T
	var failure error
	go func() {
		value, failure = read()
		if r.end(t) && failure == nil {
			if c, ok := any(value).(io.Closer); ok {
				_ = c.Close()
			}
		}
	}()
	timer := time.NewTimer(cmp.Or(r.Timeout, timeout))
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
		if r.giveUp(t) {
			return none, fmt.Errorf("process %d: %w", pid, ErrStuck)
		}
	}
	return value, failure
}

// task is one read.
type task struct {
	pid            int32
	done           chan struct{}
	ended, givenUp bool // under the reader's lock
}

func (r *Reader) begin(pid int32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.stuck[pid]; h != nil && (h.within || time.Now().Before(h.until)) {
		return ErrQuarantined
	}
	if r.busy >= workers {
		return ErrBusy
	}
	r.busy++
	return nil
}

// end reports whether nobody waits for the read any more.
func (r *Reader) end(t *task) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	t.ended = true
	close(t.done)
	if h := r.stuck[t.pid]; t.givenUp && h != nil {
		h.within = false
	}
	return t.givenUp
}

// giveUp reports whether the read has not ended after all.
func (r *Reader) giveUp(t *task) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.ended {
		return false
	}
	t.givenUp = true
	now := time.Now()
	for pid, h := range r.stuck {
		if !h.within && now.After(h.until) {
			delete(r.stuck, pid)
		}
	}
	if r.stuck == nil {
		r.stuck = map[int32]*hang{}
	}
	r.stuck[t.pid] = &hang{until: now.Add(cmp.Or(r.Quarantine, quarantine)), within: true}
	r.hangs++
	return true
}
