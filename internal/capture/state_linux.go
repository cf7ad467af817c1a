//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// clock turns the kernel's monotonic clock into Unix time. It belongs to the
// reading goroutine; it is refreshed at each poll, as the wall clock may be set.
type clock struct {
	reading
	lastMono uint64
}

// reading is one comparison of the two clocks.
type reading struct {
	offset int64 // Unix time minus monotonic time, ns
	width  int64 // how long the comparison took, ns: the offset is off by half of it at most
}

// clockDrift is how far the clocks may drift apart before it is followed, ns:
// far below what separates two waits or two spans, far above one comparison.
const clockDrift = int64(50 * time.Microsecond)

func (c *clock) refresh() error {
	r, mono, err := readClock()
	if err != nil {
		return err
	}
	c.follow(r)
	c.lastMono = mono
	return nil
}

// follow takes over what the clocks really did: a comparison that was
// interrupted is wide, and what it may be off by is no drift.
func (c *clock) follow(r reading) {
	d, unsure := r.offset-c.offset, (r.width+c.width)/2
	if max(d, -d) > clockDrift+unsure || (c.width > clockDrift && r.width < c.width/2) {
		c.reading = r
	}
}

// readClock compares the clocks, and returns the monotonic one in ns as well.
func readClock() (r reading, mono uint64, err error) {
	var before, wall, after unix.Timespec
	best := int64(-1)
	// The tightest of three, in case this thread is interrupted.
	for range 3 {
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
			return reading{}, 0, fmt.Errorf("capture: cannot read CLOCK_MONOTONIC: %w", err)
		}
		if err := unix.ClockGettime(unix.CLOCK_REALTIME, &wall); err != nil {
			return reading{}, 0, fmt.Errorf("capture: cannot read CLOCK_REALTIME: %w", err)
		}
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &after); err != nil {
			return reading{}, 0, fmt.Errorf("capture: cannot read CLOCK_MONOTONIC: %w", err)
		}
		if width := after.Nano() - before.Nano(); best < 0 || width < best {
			best = width
			r = reading{offset: wall.Nano() - (before.Nano() + width/2), width: width}
		}
		mono = uint64(after.Nano())
	}
	return r, mono, nil
}

// InFlight returns the calls that followed threads have been in for at least
// minAge while the hooks were attached, with Duration as the time elapsed so
// far and no StackID. It reads the kernel's table directly: each comes once
// more through the Handler when it returns. The order is by table place.
func (t *Tracer) InFlight(minAge time.Duration) ([]Call, error) {
	t.life.RLock()
	defer t.life.RUnlock()
	t.mu.Lock()
	slots, since, on := t.obj.slots, t.since, t.enter != nil
	t.mu.Unlock()
	if slots == nil {
		return nil, ErrClosed
	}
	if !on {
		return nil, nil
	}
	r, now, err := readClock()
	if err != nil {
		return nil, err
	}
	return inFlight(slots, since, now, r.offset, minAge), nil
}

// inFlight reads the table of slots: calls entered after since and at least
// minAge before now, by the kernel's clock.
func inFlight(slots []captureSlot, since, now uint64, offset int64, minAge time.Duration) []Call {
	var calls []Call
	for i := range slots {
		s := &slots[i]
		tid := atomic.LoadUint32(&s.Tid)
		if tid == 0 {
			continue
		}
		start := atomic.LoadUint64(&s.Start)
		c := Call{PID: int32(s.Tgid), TID: int32(tid), Number: int32(s.Nr), Start: int64(start) + offset}
		if start <= since || start > now || now-start < uint64(max(minAge, 0)) {
			continue
		}
		// It may have gone on while it was read.
		if atomic.LoadUint64(&s.Start) != start || atomic.LoadUint32(&s.Tid) != tid {
			continue
		}
		c.Duration = durationOf(now - start)
		calls = append(calls, c)
	}
	return calls
}

// Stats returns what has been counted since New. It is cheap enough to call at
// every flush. After Close it is only what the Handler got.
func (t *Tracer) Stats() Stats {
	t.life.RLock()
	defer t.life.RUnlock()
	t.mu.Lock()
	traced := t.traced
	if !t.attached.IsZero() {
		traced += time.Since(t.attached)
	}
	tax := t.tax.perCall()
	t.mu.Unlock()
	n := &t.counts
	s := Stats{
		Calls: n.calls.Load(), Stacks: n.stacks.Load(), Samples: n.samples.Load(),
		Snapshots: n.snapshots.Load(), Notices: n.notices.Load(), Contexts: n.contexts.Load(), Wakings: n.wakings.Load(), Late: n.late.Load(),
		Attached: traced, Tax: tax, Dropped: map[string]uint64{},
	}
	add := func(reason string, v uint64) {
		if v > 0 {
			s.Dropped[reason] += v
		}
	}
	add(DropRingOverwrite, n.overwritten.Load())
	add(DropTornRead, n.torn.Load())
	add(DropMalformed, n.malformed.Load())
	add(DropSnapshotRow, n.snapshotMiss.Load())
	for i := range t.obj.cpus {
		c := &t.obj.cpus[i]
		s.Produced += atomic.LoadUint64(&c.Produced)
		s.Passed += atomic.LoadUint64(&c.Passed)
		s.Woken += atomic.LoadUint64(&c.ThreadsWoken)
		add(DropSlotCollision, atomic.LoadUint64(&c.Unslotted))
		add(DropStackRing, atomic.LoadUint64(&c.StackRingFull))
		add(DropStackUnreadable, atomic.LoadUint64(&c.StackUnreadable))
		add(DropSampleRing, atomic.LoadUint64(&c.SampleRingFull))
		add(DropBlockedRing, atomic.LoadUint64(&c.BlockedRingFull))
		add(DropBlockedUnreadable, atomic.LoadUint64(&c.BlockedUnreadable))
		add(DropBlockedMoved, atomic.LoadUint64(&c.BlockedMoved))
		add(DropBlockedBusy, atomic.LoadUint64(&c.BlockedMmBusy))
		add(DropNotice, atomic.LoadUint64(&c.EventRingFull))
		add(DropWaking, atomic.LoadUint64(&c.WakingsSkipped))
		add(DropWakingRing, atomic.LoadUint64(&c.WakingRingFull))
		add(DropThread, atomic.LoadUint64(&c.ThreadsUnslotted))
	}
	for i := range t.obj.contexts {
		add(DropContext, atomic.LoadUint64(&t.obj.contexts[i].Lost))
	}
	for i := range t.obj.shares {
		add(DropShare, atomic.LoadUint64(&t.obj.shares[i].Skipped))
	}
	for i := range t.obj.slots {
		if atomic.LoadUint32(&t.obj.slots[i].Tid) != 0 {
			s.Threads++
		}
	}
	s.Processes = t.countTargets()
	if t.obj.slots != nil {
		s.Memory = t.obj.memory
	}
	return s
}

// Shares returns what each group did since New, of those that did something.
func (t *Tracer) Shares() map[uint16]Share {
	t.life.RLock()
	defer t.life.RUnlock()
	shares := map[uint16]Share{}
	for i := range t.obj.shares {
		s := &t.obj.shares[i]
		recorded, skipped := atomic.LoadUint64(&s.Recorded), atomic.LoadUint64(&s.Skipped)
		if recorded+skipped > 0 {
			group := uint16(i % MaxGroups)
			sum := shares[group]
			shares[group] = Share{sum.Recorded + recorded, sum.Skipped + skipped}
		}
	}
	return shares
}

// countTargets walks the map of targets; a few system calls per thousand.
func (t *Tracer) countTargets() int {
	if t.obj.slots == nil {
		return 0
	}
	var key, value uint32
	n := 0
	for it := t.obj.coll.Maps[captureMapTargets].Iterate(); it.Next(&key, &value); {
		n++
	}
	return n
}
