//go:build linux && (amd64 || arm64)

package capture

import "sync/atomic"

// ringChunk is how many records are copied out of a ring at a time: 32 KiB.
const ringChunk = 1024

// shareParts is into how many parts the shares divide a ring. Two groups that
// flood it get seven each; one is for what is not read yet when the shares are
// renewed, and one for everybody else.
const shareParts, shareOfGroup = 16, 7

// ring reads one CPU's ring of finished calls. The kernel writes without
// asking: what it overtakes before or during the copy is counted and dropped.
type ring struct {
	produced *uint64             // written by the kernel
	records  []captureCallRecord // mapped, a power of two of them
	next     uint64              // first record not yet copied
	limit    uint64              // first record not to be copied yet

	buf        []captureCallRecord // copied
	head, tail int                 // what of buf is still to be delivered

	overwritten, torn uint64
}

// snapshotLimit fixes up to where this poll reads.
func (r *ring) snapshotLimit() { r.limit = atomic.LoadUint64(r.produced) }

// oldest returns the first record that is safe to read when produced records
// have been written. The place of the one before it may be in the middle of
// being overwritten, so a ring of n holds n-1.
func (r *ring) oldest(produced uint64) uint64 {
	n := uint64(len(r.records))
	if produced < n {
		return 0
	}
	return produced - n + 1
}

// fill copies the next chunk once the last one is used up, and returns
// whether there is a record to look at.
func (r *ring) fill() bool {
	for r.head == r.tail {
		if r.next >= r.limit {
			return false
		}
		if old := r.oldest(atomic.LoadUint64(r.produced)); r.next < old {
			r.overwritten += old - r.next
			r.next = old
			if r.next >= r.limit {
				return false
			}
		}
		n := min(r.limit-r.next, uint64(len(r.buf)))
		at := r.next & uint64(len(r.records)-1)
		first := copy(r.buf[:n], r.records[at:])
		copy(r.buf[first:n], r.records)
		r.head, r.tail = 0, int(n)
		// What the kernel has reached meanwhile may be half old, half new.
		if old := r.oldest(atomic.LoadUint64(r.produced)); r.next < old {
			lost := min(old-r.next, n)
			r.torn += lost
			r.head = int(lost)
		}
		r.next += n
	}
	return true
}

const (
	durationBits = 48
	durationMask = 1<<durationBits - 1
	pidBits      = 22
	pidMask      = 1<<pidBits - 1
	flagsShift   = 24

	delayUnit     = 1 << 10 // ns
	delayFraction = 7
)

// delay is how long the call's thread was runnable without a CPU, ns: pack_delay
// of bpf/capture.bpf.c, in the middle of what that may stand for.
func (c *captureCallRecord) delay() uint64 {
	packed := uint64(c.TidDelay>>pidBits<<2 | c.TgidFlags>>pidBits&3)
	shift := packed >> delayFraction
	if shift == 0 {
		return packed * delayUnit
	}
	shift--
	low := (1<<delayFraction | packed&(1<<delayFraction-1)) << shift
	return (low + (1<<shift)/2) * delayUnit
}

func (c *captureCallRecord) end() uint64 { return c.Start + c.DurationNr&durationMask }

// head is a ring with something to deliver and the end of its first record.
type head struct {
	end  uint64
	ring *ring
}

// heads is a heap: each comes before the two at twice its place.
type heads []head

// sink moves the head at place i down to where it belongs.
func (h heads) sink(i int) {
	moved := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].end < h[child].end {
			child++
		}
		if moved.end <= h[child].end {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = moved
}

// merge delivers the records of all rings that ended at or before cut, by the
// time they ended, so that a thread's calls stay in order however it moved
// between CPUs. offset turns the kernel's clock into Unix time.
func (m *merger) merge(cut uint64, offset int64, deliver func([]Call)) {
	// What comes in meanwhile is beyond every ring's limit: one that is
	// empty now stays so.
	h := m.heads[:0]
	for _, r := range m.rings {
		if r.fill() {
			h = append(h, head{r.buf[r.head].end(), r})
		}
	}
	m.heads = h
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
	for len(h) > 0 && h[0].end <= cut {
		from := h[0].ring
		// Up to where the next ring begins.
		until := cut
		for _, next := range h[1:min(len(h), 3)] {
			until = min(until, next.end)
		}
		for from.head < from.tail {
			rec := &from.buf[from.head]
			end := rec.end()
			if end > until {
				break
			}
			from.head++
			if end < m.last {
				m.late++
			} else {
				m.last = end
			}
			m.batch = append(m.batch, Call{
				PID:      int32(rec.TgidFlags & pidMask),
				TID:      int32(rec.TidDelay & pidMask),
				Number:   int32(rec.DurationNr >> durationBits),
				Return:   rec.Ret,
				Start:    int64(rec.Start) + offset,
				Duration: durationOf(rec.DurationNr & durationMask),
				StackID:  rec.Stack,
				Flags:    CallFlags(rec.TgidFlags >> flagsShift),
				Delay:    durationOf(min(rec.delay(), rec.DurationNr&durationMask)),
			})
			if len(m.batch) == cap(m.batch) {
				m.flush(deliver)
			}
		}
		if from.fill() {
			h[0].end = from.buf[from.head].end()
		} else {
			h[0] = h[len(h)-1]
			h = h[:len(h)-1]
		}
		if len(h) > 1 {
			h.sink(0)
		}
	}
	m.flush(deliver)
}

// merger puts the rings of all CPUs into one order.
type merger struct {
	rings []*ring
	heads heads  // reused
	batch []Call // reused; its capacity is the batch size
	last  uint64 // end of the latest call delivered
	calls uint64
	late  uint64
}

// room reports whether every ring is as good as empty, so that each group may
// have its whole share again. What a flood wrote within the slack is not read
// yet: with another share on top the ring would overflow.
func (m *merger) room() bool {
	for _, r := range m.rings {
		if atomic.LoadUint64(r.produced)-r.next > uint64(len(r.records)/shareParts) {
			return false
		}
	}
	return true
}

func (m *merger) flush(deliver func([]Call)) {
	if len(m.batch) == 0 {
		return
	}
	m.calls += uint64(len(m.batch))
	deliver(m.batch)
	m.batch = m.batch[:0]
}
