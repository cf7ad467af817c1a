package threadtrace

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Waker is what ends a wait.
type Waker uint8

const (
	// WakerInterrupt is a device, the network or a timer.
	WakerInterrupt Waker = iota
	// WakerKernel is a thread of the kernel.
	WakerKernel
	// WakerThread is a thread of a process.
	WakerThread

	lastWaker = WakerThread
)

// Waking is the end of a wait of the batch's thread, and who brought it about.
type Waking struct {
	// Time is when the thread was woken, Start when it had entered the call that it
	// waited in, in nanoseconds since the Unix epoch.
	Time, Start int64
	// Number is that of the call.
	Number int32
	// By is who woke it; Process, Thread and Name, the thread's, are those of a thread
	// and zero for an interrupt.
	By              Waker
	Process, Thread int32
	Name            string
	// Uninterruptible is set when no signal would have ended the wait: it was for
	// storage, memory or a lock in the kernel.
	Uninterruptible bool
	// Stack is where it waited, WakerStack where the waker was: both index
	// Batch.Stacks, counted from one; zero is not known.
	Stack, WakerStack uint32
}

// MaxWakings bounds the wakings of a block.
const MaxWakings = 1 << 16

// wakerUninterruptible is set beside the waker.
const wakerUninterruptible = 0x80

// maxWakerName bounds the name of a waker in bytes; the kernel has 15.
const maxWakerName = 64

// wakings of version 6: for each the time (delta), for how long it had waited, call, by
// whom, the two stacks, and of a thread process, thread and name.
func appendWakings(out []byte, wakings []Waking) []byte {
	out = binary.AppendUvarint(out, uint64(len(wakings)))
	var last int64
	for i := range wakings {
		w := &wakings[i]
		out = binary.AppendVarint(out, w.Time-last)
		last = w.Time
		out = binary.AppendVarint(out, w.Time-w.Start)
		out = binary.AppendVarint(out, int64(w.Number))
		by := byte(w.By)
		if w.Uninterruptible {
			by |= wakerUninterruptible
		}
		out = append(out, by)
		out = binary.AppendUvarint(out, uint64(w.Stack))
		out = binary.AppendUvarint(out, uint64(w.WakerStack))
		if w.By != WakerInterrupt {
			out = binary.AppendVarint(out, int64(w.Process))
			out = binary.AppendVarint(out, int64(w.Thread))
			out = appendString(out, w.Name[:min(len(w.Name), maxWakerName)])
		}
	}
	return out
}

func checkWakings(b *Batch) error {
	for i := range b.Wakings {
		w := &b.Wakings[i]
		if w.By > lastWaker || w.Time < w.Start || uint64(max(w.Stack, w.WakerStack)) > uint64(len(b.Stacks)) {
			return fmt.Errorf("batch of thread %d: waking %d by %d has stacks %d and %d of %d, from %d to %d",
				b.ThreadID, i, w.By, w.Stack, w.WakerStack, len(b.Stacks), w.Start, w.Time)
		}
	}
	return nil
}

func (r *reader) wakings(stacks int) []Waking {
	const least = 6 // time, waited, number, by, stacks
	n := r.count("wakings", least, MaxWakings)
	if n == 0 {
		return nil
	}
	wakings := make([]Waking, n)
	var last int64
	for i := range wakings {
		w := &wakings[i]
		last += r.varint("a time")
		waited := r.varint("the length of a wait")
		if r.err == nil && (waited < 0 || last < math.MinInt64+waited) {
			r.fail(ErrCorrupted, "a wait that ends before it begins")
		}
		w.Time, w.Start = last, last-waited
		w.Number = r.int32("a call's number")
		by := r.byte("a waker")
		w.By, w.Uninterruptible = Waker(by&^wakerUninterruptible), by&wakerUninterruptible != 0
		w.Stack, w.WakerStack = r.stackOf(stacks), r.stackOf(stacks)
		if r.err == nil && w.By > lastWaker {
			r.fail(ErrCorrupted, fmt.Sprintf("waker %d", w.By))
		}
		if w.By != WakerInterrupt {
			w.Process, w.Thread = r.int32("a process"), r.int32("a thread")
			size := r.count("bytes of a waker's name", 1, maxWakerName)
			w.Name = string(r.data[r.at : r.at+size])
			r.at += size
		}
		if r.err != nil {
			return nil
		}
	}
	return wakings
}

// stackOf reads a reference to one of a number of stacks, zero to none.
func (r *reader) stackOf(stacks int) uint32 {
	ref := r.uvarint("a stack reference")
	if r.err == nil && ref > uint64(stacks) { //nolint:gosec // a length
		r.fail(ErrCorrupted, fmt.Sprintf("a waking refers to stack %d of %d", ref, stacks))
	}
	return uint32(ref) //nolint:gosec // at most the number of stacks, or refused
}
