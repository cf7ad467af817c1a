//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"go.uber.org/zap"
)

func attach(p *ebpf.Program, name string) (link.Link, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return nil, refused("cannot attach to the tracepoint "+name, err)
	}
	return l, nil
}

// Attach puts the syscall hooks in place; it does nothing if they are. It
// takes well under a millisecond and taxes every process on the host until
// Detach. It needs a started Tracer.
func (t *Tracer) Attach() error {
	return t.switchTo(true)
}

// switchTo attaches or detaches, and has the Handler told in its place among
// the calls.
func (t *Tracer) switchTo(on bool) error {
	var err error
	failed := t.inLoop(func() {
		t.mu.Lock()
		changes := !t.closed && (t.enter != nil) != on
		if changes && on {
			t.tax.measure(false)
			err = t.attachEntriesLocked()
		} else if changes {
			err = t.detachLocked()
		}
		t.mu.Unlock()
		switch {
		case !changes:
		case !on:
			t.endBurst()
		case err == nil:
			// Told first: attaching takes milliseconds on a slow machine, and no call may be
			// recorded in a time that the Handler takes for one without hooks.
			t.tellAttached()
			t.mu.Lock()
			if err = t.attachReturnsLocked(); err == nil {
				t.tax.measure(true)
			}
			t.mu.Unlock()
			if err != nil {
				t.endBurst()
			}
		}
	})
	return errors.Join(failed, err)
}

// endBurst delivers the last calls and has the Handler told that there are no more.
func (t *Tracer) endBurst() {
	time.Sleep(slack) // a record may be under way on another CPU
	t.poll(true)
	t.tellDetached()
}

// tellAttached and tellDetached run in the reading goroutine.
func (t *Tracer) tellAttached() {
	t.read.attached = true
	t.handler.Tracing(Tracing{On: true, Time: int64(t.since) + t.clock.offset})
}

func (t *Tracer) tellDetached() {
	t.read.attached = false
	// Taking the hooks away lasts longer than reading the clock before it: until the
	// last return that came all were recorded.
	until := max(t.until, t.read.merger.last)
	e := Tracing{Time: int64(until) + t.clock.offset}
	e.InFlight = inFlight(t.obj.slots, t.since, until, t.clock.offset, 0)
	t.handler.Tracing(e)
}

// attachEntriesLocked and attachReturnsLocked put the hooks in place. The entries are seen
// first and the returns last: a return whose entry was not seen is taken for one of a call
// that was under way at t.since. There is one such call of each thread, and no other.
func (t *Tracer) attachEntriesLocked() error {
	enter, err := attach(t.obj.coll.Programs[captureProgSysEnter], captureProgSysEnter)
	if err != nil {
		return err
	}
	_, now, err := readClock()
	if err == nil {
		err = t.obj.set(captureVarAttachedAt, now)
	}
	if err != nil {
		return errors.Join(err, enter.Close())
	}
	t.since, t.enter = now, enter
	return nil
}

func (t *Tracer) attachReturnsLocked() error {
	if t.enter == nil {
		return ErrClosed // meanwhile
	}
	exit, err := attach(t.obj.sysExit, captureProgSysExit)
	if err != nil {
		err = errors.Join(err, t.enter.Close())
		t.enter, t.until = nil, t.since
		return err
	}
	t.exit, t.attached = exit, time.Now()
	if t.obj.waking != nil {
		// Without it the calls are still worth having.
		if t.waking, err = attach(t.obj.waking, captureProgSchedWaking); err != nil {
			t.log.Error("cannot tell who wakes whom", zap.Error(err))
		}
	}
	return nil
}

// Detach takes the syscall hooks away; it does nothing if they are not there.
// All calls that returned until then are delivered before it returns; what was
// in flight comes with Handler.Tracing.
func (t *Tracer) Detach() error {
	return t.switchTo(false)
}

func (t *Tracer) detachLocked() error {
	if t.enter == nil {
		return nil
	}
	var waking error
	if t.waking != nil {
		waking = t.waking.Close() // which takes a while: calls are recorded until it is done
		t.waking = nil
	}
	_, now, err := readClock()
	if err == nil {
		t.until = now
	}
	// The returns first, for the reason above. There are none if it is closed while they are attached.
	if t.exit != nil {
		err = errors.Join(err, t.exit.Close())
	}
	err = errors.Join(waking, err, t.enter.Close())
	// A start left over must pair with nothing, nor be taken for that of a wait
	// that a snapshot sees later.
	if _, now, failed := readClock(); failed == nil {
		err = errors.Join(err, t.obj.set(captureVarAttachedAt, now))
	}
	if t.exit != nil {
		t.traced += time.Since(t.attached)
	}
	t.enter, t.exit, t.attached = nil, nil, time.Time{}
	return err
}
