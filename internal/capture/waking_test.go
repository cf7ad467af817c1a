//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	futexWait = 128 // FUTEX_WAIT_PRIVATE
	futexWake = 129
	someNaps  = 40
	waitFor   = 20 * time.Millisecond
)

// wake is a helper: one thread waits for another, which naps meanwhile, some times, then
// for a time that passes, and then briefly, too briefly to be told.
func wake() {
	var word uint32
	at := uintptr(unsafe.Pointer(&word))
	wait := func(atMost time.Duration) {
		ts := unix.NsecToTimespec(int64(atMost))
		unix.Syscall6(unix.SYS_FUTEX, at, futexWait, 0, uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	waiter, waker := make(chan int), make(chan int)
	turn := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		waiter <- unix.Gettid()
		for range someNaps {
			turn <- struct{}{}
			wait(10 * time.Second)
		}
		close(turn)
		<-waker // it makes no calls any more
		for range someNaps {
			wait(waitFor)
		}
		waiter <- 0
	}()
	go func() {
		runtime.LockOSThread()
		waker <- unix.Gettid()
		for range turn {
			ts := unix.NsecToTimespec(int64(waitFor))
			unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
			unix.Syscall(unix.SYS_FUTEX, at, futexWake, 1)
		}
		waker <- 0
	}()
	a, b := <-waiter, <-waker
	<-waiter
	fmt.Println(a, b)
}

func TestWhoWokeWhom(t *testing.T) {
	cfg := testConfig()
	cfg.StackEvery, cfg.WakingRate = 1000, 60000
	tr, r := startTracer(t, cfg)
	needs(t, tr, "wakings", "syscall stacks")
	h := startHelper(t, "wake")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	said := h.hear()
	waiter, waker := int32(atoi(t, said[0])), int32(atoi(t, said[1]))
	must(t, tr.Poll())
	must(t, tr.Detach())

	r.mu.Lock()
	defer r.mu.Unlock()
	byThread, byInterrupt := 0, 0
	for _, w := range r.wakings {
		waited := time.Duration(w.Time - w.Start)
		if w.TID != waiter || w.Number != unix.SYS_FUTEX || waited < waitFor/2 {
			continue
		}
		if w.PID != h.pid() {
			t.Errorf("process %d, want %d", w.PID, h.pid())
		}
		if !slices.ContainsFunc(r.calls, func(c Call) bool { return c.TID == waiter && c.Start == w.Start && c.Number == w.Number }) {
			t.Errorf("no call of the waiter begins at %d", w.Start)
		}
		if s, ok := r.stacks[w.StackID]; !ok || s.TID != waiter || s.Number != unix.SYS_FUTEX {
			t.Errorf("the stack of the wait is %+v, there %v", s, ok)
		}
		switch {
		case w.Flags&WakingInterrupt != 0:
			byInterrupt++
			if w.WakerTID != 0 || w.WakerStackID != 0 || w.Waker != "" {
				t.Errorf("an interrupt has a thread: %+v", w)
			}
		case w.WakerTID == waker && w.WakerPID == h.pid():
			byThread++
			if s, ok := r.stacks[w.WakerStackID]; !ok || s.TID != waker || s.Number != unix.SYS_FUTEX || w.Waker == "" {
				t.Errorf("the waker's stack is %+v, there %v, its name %q", s, ok, w.Waker)
			}
		}
	}
	if byThread < someNaps*3/4 || byInterrupt == 0 {
		t.Errorf("%d wakings by the thread and %d by an interrupt, of %d each", byThread, byInterrupt, someNaps)
	}
}

// Who is no target is woken as well, and whoever wakes it pays for the program.
func TestThreadsWokenAreCounted(t *testing.T) {
	for _, tc := range []struct {
		name        string
		rate        int
		least, most uint64
	}{
		{"watched", 60000, 2 * someNaps, 1 << 62},
		{"not watched", 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.Continuous, cfg.WakingRate = false, tc.rate
			tr, _ := startTracer(t, cfg)
			if tc.rate > 0 {
				needs(t, tr, "wakings")
			}
			h := startHelper(t, "wake")
			must(t, tr.Attach())
			h.say()
			h.hear()
			must(t, tr.Detach())
			woken := tr.Stats().Woken
			if woken < tc.least || woken > tc.most {
				t.Errorf("%d threads woken, want %d to %d", woken, tc.least, tc.most)
			}
			after := startHelper(t, "wake")
			after.say()
			after.hear()
			if now := tr.Stats().Woken; now != woken {
				t.Errorf("%d threads more while nothing is attached", now-woken)
			}
		})
	}
}

// However many waits end, so many are told, and the others counted.
func TestWakingsAreBounded(t *testing.T) {
	cfg := testConfig()
	cfg.WakingRate = 60 // one in each window of a CPU
	tr, r := startTracer(t, cfg)
	needs(t, tr, "wakings")
	const threads = 200
	h := startHelper(t, fmt.Sprintf("herd %d", threads))
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	s := tr.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	var first, last int64
	for _, w := range r.wakings {
		if first == 0 {
			first = w.Time
		}
		last = w.Time
	}
	windows := uint64(last-first)>>24 + 2
	if got, most := uint64(len(r.wakings)), 2*windows*uint64(len(tr.obj.cpus)); got == 0 || got > most {
		t.Errorf("%d wakings in %d windows of %d CPUs", got, windows, len(tr.obj.cpus))
	}
	if s.Dropped[DropWaking]+uint64(len(r.wakings)) < threads || s.Wakings != uint64(len(r.wakings)) {
		t.Errorf("%d wakings are told, %d counted and %d left out, of %d", len(r.wakings), s.Wakings, s.Dropped[DropWaking], threads)
	}
}
