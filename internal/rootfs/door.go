package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHung bounds the steps that hang at one time, each of which holds a
	// thread, maxHungOfUser those that the processes of one user hold up.
	maxHung, maxHungOfUser = 16, 8
	// memoryTimeout is for how long a read of a process's memory or memory map is
	// waited for, fileTimeout a step that may need a disk.
	memoryTimeout, fileTimeout = 250 * time.Millisecond, time.Second
	// filePatience bounds all steps of one file together.
	filePatience = 10 * time.Second
	// maxStarved is for how many times as long a step is waited for that waits for
	// a CPU.
	maxStarved = 8
	// quarantine is for how long a process is left alone then.
	quarantine = time.Minute
)

var (
	// ErrStuck is why the first step was given up.
	ErrStuck = errors.New("it did not answer in time (the lock of its memory map is held, or its file system hangs): it is left alone for a minute")
	// ErrQuarantined is why later ones were not tried.
	ErrQuarantined = errors.New("it is left alone after it had not answered in time")
	// ErrBusy is why a step was not tried when too many others hang.
	ErrBusy = errors.New("too many reads of other processes hang")
	// ErrNotRegular is what anything else than a plain file gets.
	ErrNotRegular = errors.New("not a regular file")
)

// IsStuck reports whether an error says that a target could not be read in
// time, or was not tried for that reason.
func IsStuck(err error) bool {
	return errors.Is(err, ErrStuck) || errors.Is(err, ErrQuarantined) || errors.Is(err, ErrBusy)
}

// Door opens and reads what targets control. It is safe for concurrent use; its
// zero value is ready.
type Door struct {
	// Proc is where the proc file system is, /proc when empty.
	Proc string
	// Timeout and Quarantine are the package's own when zero.
	Timeout, Quarantine time.Duration

	mu    sync.Mutex
	hung  int
	users map[uint32]int // hung steps by user
	hangs uint64
	// stuck holds the processes left alone.
	stuck map[int32]*hang
	// devices holds the remote file systems left alone.
	devices map[device]time.Time
}

// hang is a process that did not let itself be read.
type hang struct {
	until time.Time
	// within is set while the step has not returned: no other is tried.
	within bool
}

// Stuck counts the steps given up.
func (d *Door) Stuck() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hangs
}

// Root is where the proc file system is.
func (d *Door) Root() string { return cmp.Or(d.Proc, "/proc") }

// procPath is the path of a file of a process below /proc.
func (d *Door) procPath(pid int32, name string) string {
	return d.Root() + "/" + strconv.Itoa(int(pid)) + "/" + name
}

// Do calls read in another goroutine and gives what it gives, or ErrStuck if it
// takes too long. What it gives after that is dropped, and closed if it can be:
// read must not touch anything of the caller's.
func Do[T any](d *Door, pid int32, read func() (T, error)) (T, error) {
	return do(d, step{pid: pid, timeout: memoryTimeout}, read)
}

// step is something that may hang.
type step struct {
	pid     int32
	timeout time.Duration
	// on is the file system it happens on; nil is not known, or none.
	on func() device
}

func do[T any](d *Door, s step, read func() (T, error)) (T, error) {
	var none T
	if err := d.begin(s); err != nil {
		return none, fmt.Errorf("process %d: %w", s.pid, err)
	}
	t := &task{step: s, done: make(chan struct{})}
	var value T
	var failure error
	go func() {
		runtime.LockOSThread() // what the thread does says whether it hangs
		defer runtime.UnlockOSThread()
		t.thread.Store(currentThread())
		value, failure = read()
		if d.end(t) && failure == nil {
			if c, ok := any(value).(io.Closer); ok {
				_ = c.Close()
			}
		}
	}()
	timeout := cmp.Or(d.Timeout, s.timeout)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for more := 0; ; more++ {
		select {
		case <-t.done:
			return value, failure
		case <-timer.C:
		}
		// On a busy machine it may only have to wait for a CPU.
		if more < maxStarved && t.starved() {
			timer.Reset(timeout)
			continue
		}
		if d.giveUp(t) {
			return none, fmt.Errorf("process %d: %w", s.pid, ErrStuck)
		}
		return value, failure
	}
}

// task is a step under way.
type task struct {
	step
	done           chan struct{}
	ended, givenUp bool // under the door's lock
	user           uint32
	thread         atomic.Int32 // that it runs on, once it does
}

// starved reports whether the step has not begun, or its thread is ready to run:
// then it is a CPU that it waits for.
func (t *task) starved() bool {
	thread := t.thread.Load()
	return thread == 0 || runnable(thread)
}

func (d *Door) begin(s step) error {
	d.mu.Lock()
	h := d.stuck[s.pid]
	left := h != nil && (h.within || time.Now().Before(h.until))
	hung, remote := d.hung, len(d.devices) > 0
	d.mu.Unlock()
	switch {
	case left:
		return ErrQuarantined
	case hung >= maxHung:
		return ErrBusy
	}
	if hung > 0 {
		user := d.userOf(s.pid)
		d.mu.Lock()
		most := d.users[user] >= maxHungOfUser
		d.mu.Unlock()
		if most {
			return ErrBusy
		}
	}
	if remote && s.on != nil && d.leavesAlone(s.on()) {
		return ErrQuarantined
	}
	return nil
}

// leavesAlone reports whether a file system is left alone.
func (d *Door) leavesAlone(on device) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.devices[on]
	if ok && time.Now().After(until) {
		delete(d.devices, on)
		ok = false
	}
	return ok
}

// end reports whether nobody waits for the step any more.
func (d *Door) end(t *task) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t.ended = true
	close(t.done)
	if !t.givenUp {
		return false
	}
	d.hung--
	if d.users[t.user]--; d.users[t.user] == 0 {
		delete(d.users, t.user)
	}
	if h := d.stuck[t.pid]; h != nil {
		h.within = false
	}
	return true
}

// giveUp reports whether the step has not ended after all.
func (d *Door) giveUp(t *task) bool {
	user := d.userOf(t.pid)
	var on device
	if t.on != nil {
		on = t.on()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.ended {
		return false
	}
	t.givenUp, t.user = true, user
	d.leave(t.pid, on, true)
	d.users[user]++
	d.hung++
	return true
}

// leave leaves a process, and the remote file system it was on, alone for a
// while; within says that a step has not returned. The lock is held.
func (d *Door) leave(pid int32, on device, within bool) {
	now := time.Now()
	until := now.Add(cmp.Or(d.Quarantine, quarantine))
	if d.stuck == nil {
		d.stuck, d.users, d.devices = map[int32]*hang{}, map[uint32]int{}, map[device]time.Time{}
	}
	for other, h := range d.stuck {
		if !h.within && now.After(h.until) {
			delete(d.stuck, other)
		}
	}
	d.stuck[pid] = &hang{until: until, within: within}
	if on.remote && len(d.devices) < maxDevices {
		d.devices[on] = until
	}
	d.hangs++
}
