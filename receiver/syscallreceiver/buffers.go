package syscallreceiver

import (
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// leastBuffer is the smallest buffer, in events: a quiet thread's flush.
	leastBuffer = 16
	// bufferClasses have buffers of leastBuffer and more, each class twice the
	// one before: up to 2^24 events, more than can be held.
	bufferClasses = 21
)

// buffers are the empty buffers that threads' events are held in. They go to
// whichever thread needs one next, so that what is kept follows the events held
// and not the number of threads.
type buffers struct {
	free [bufferClasses][][]threadtrace.Event
	// spare is how many of a class nobody has needed since the last trim.
	spare [bufferClasses]int
	// kept is the room in them, in events, most its bound.
	kept, most int
}

// class is the first that has room for n events.
func class(n int) int { return min(bits.Len(uint(max(n, leastBuffer)-1)/leastBuffer), bufferClasses-1) }

// get returns an empty buffer for n events.
func (b *buffers) get(n int) []threadtrace.Event {
	c := class(n)
	if free := b.free[c]; len(free) > 0 {
		buf := free[len(free)-1]
		free[len(free)-1] = nil
		b.free[c] = free[:len(free)-1]
		b.spare[c] = min(b.spare[c], len(b.free[c]))
		b.kept -= cap(buf)
		return buf
	}
	return make([]threadtrace.Event, 0, max(n, leastBuffer<<c))
}

// grow returns a buffer twice as large with the same events, at least for n.
func (b *buffers) grow(old []threadtrace.Event, n int) []threadtrace.Event {
	buf := append(b.get(max(2*cap(old), n)), old...)
	b.put(old)
	return buf
}

// put takes a buffer back, unless there are enough.
func (b *buffers) put(buf []threadtrace.Event) {
	// One that append has made fits into the class below.
	if c := bits.Len(uint(cap(buf)/leastBuffer)) - 1; c >= 0 && c < bufferClasses && b.kept+cap(buf) <= b.most {
		b.free[c] = append(b.free[c], buf[:0])
		b.kept += cap(buf)
	}
}

// trim lets those go that nobody has needed since it was last called.
func (b *buffers) trim() {
	for c, free := range b.free {
		for _, buf := range free[:b.spare[c]] {
			b.kept -= cap(buf)
		}
		b.free[c] = slices.Delete(free, 0, b.spare[c])
		b.spare[c] = len(b.free[c])
	}
}
