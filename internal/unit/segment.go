package unit

import (
	"math/bits"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// blockedAtLeast is how long a read-like call must take to have really
	// waited for a peer: a scheduler's round trip is a few microseconds, a
	// local peer that has data answers in tens, so a millisecond is a wait.
	blockedAtLeast = int64(1e6)
	// waitedAtLeast tells a futex that waited from one that woke somebody
	// and returned: the kernel's wake path takes below ten microseconds.
	waitedAtLeast = int64(2e4)
	// neverWaits is for how long a thread must go without an idle wait
	// before gaps cut its units: longer than any request meant to be quick.
	neverWaits = int64(1e9)
	// gapFactor is how far beyond the thread's typical gap a cut must be:
	// the top percent of a heavy-tailed (log-normal, sigma about 1.5)
	// distribution lies some 30 times above its median.
	gapFactor = 32
)

// Segmenter cuts the events of one thread into units. Events must come in
// time order. It is not safe for concurrent use; it holds one unit.
type Segmenter struct {
	classes *threadtrace.Classes
	current Unit
	begun   bool
	// lastEnd is the end of the last call inside the unit or of the wait
	// before it.
	lastEnd  int64
	lastWait int64
	gaps     gapHistogram
	// off is set from a Break to the next call.
	off bool
}

// NewSegmenter starts a thread's segmentation.
func NewSegmenter(classes *threadtrace.Classes, threadID int32) *Segmenter {
	return &Segmenter{classes: classes, current: Unit{ThreadID: threadID}}
}

// Add folds an event, of which it keeps nothing, into the current unit. When
// that ends a unit, emit gets it; the unit is valid only during the call.
func (s *Segmenter) Add(e *threadtrace.Event, emit func(*Unit)) {
	switch e.Kind {
	case threadtrace.KindCall:
		s.resume(e)
		s.call(e, emit)
	case threadtrace.KindSample:
		if s.off {
			return
		}
		s.begin(e.Time - e.Duration)
		s.current.OnCPU += e.Duration
		s.current.addStack(StackTime{Stack: e.Stack, Number: e.Number, Time: e.Duration})
		s.current.End = max(s.current.End, e.Time)
	case threadtrace.KindBlocked:
		// In an idle wait the thread is between units.
		if s.begun && !s.waits(e.Number, e.Elapsed) {
			s.current.addStack(StackTime{Stack: e.Stack, Number: e.Number, Waiting: true, Time: e.Duration})
			s.current.Blocked += e.Duration
			s.current.End = max(s.current.End, e.Time)
		}
	case threadtrace.KindInFlight:
		switch waits := s.waits(e.Number, e.Duration); {
		case !s.begun:
		case !waits:
			s.current.End = max(s.current.End, e.End())
		case e.Cut:
			// Nothing is cut off: the unit ended with this wait.
			s.finish(e.Time, emit)
		}
	}
}

// Break notes that the calls before an instant (nanoseconds since the epoch)
// and those after it do not follow each other, because the tracing began or
// ended there: what is open is emitted as Cut, and until the next call nothing
// belongs to a unit.
func (s *Segmenter) Break(at int64, emit func(*Unit)) {
	if s.begun {
		s.current.Cut = true
		s.finish(min(at, max(s.current.End, s.lastEnd)), emit)
	}
	s.off, s.lastEnd, s.lastWait = true, 0, 0
}

// resume begins again after a Break. A call that is not a wait is in the
// middle of a unit.
func (s *Segmenter) resume(e *threadtrace.Event) {
	if s.off && !s.waits(e.Number, e.Duration) {
		s.begin(e.Time)
		s.current.Cut = true
	}
	s.off = false
}

// Open returns the unit that has not ended at an instant (nanoseconds since the
// epoch), nil if the thread is between units. It has the lists of the segmenter: who
// keeps it clones it.
func (s *Segmenter) Open(now int64) *Unit {
	if !s.begun {
		return nil
	}
	u := s.current
	u.Open = true
	u.End = min(max(u.End, u.Start), now)
	return &u
}

// Mark notes that what was observed of the open unit so far is judged.
func (s *Segmenter) Mark() {
	if s.begun {
		s.current.Judged = s.current.Observed()
	}
}

func (s *Segmenter) call(e *threadtrace.Event, emit func(*Unit)) {
	if s.waits(e.Number, e.Duration) {
		s.finish(e.Time, emit)
		s.lastEnd, s.lastWait = e.End(), e.End()
		s.begin(e.End())
		return
	}
	if s.begun && s.lastEnd > 0 {
		gap := max(0, e.Time-s.lastEnd)
		if s.cuts(gap, e.Time) {
			s.finish(s.lastEnd, emit)
			s.begin(e.Time)
		} else {
			s.current.Gap += gap
			s.current.MaxGap = max(s.current.MaxGap, gap)
		}
		s.gaps.add(gap)
	}
	s.begin(e.Time)
	var bytes int64
	if e.Return > 0 && s.classes.Is(e.Number, threadtrace.ClassInput|threadtrace.ClassOutput) {
		bytes = int64(e.Return)
	}
	s.current.add(KeyOf(e.Number, e.Return), e.Duration, bytes)
	if e.Duration >= blockedAtLeast {
		s.current.SlowCalls += e.Duration
		s.current.addStack(StackTime{Stack: e.Stack, Number: e.Number, Waiting: true, Time: e.Duration})
	}
	s.lastEnd = e.End()
	s.current.End = max(s.current.End, s.lastEnd)
}

// waits reports whether a call of that length is an idle wait.
func (s *Segmenter) waits(number int32, duration int64) bool {
	return Waits(s.classes.Of(number), duration)
}

// Waits reports whether a call of a class that took so long (nanoseconds) is
// an idle wait: the end of one unit and the start of the next.
func Waits(c threadtrace.Class, duration int64) bool {
	switch {
	case c&threadtrace.ClassFutex != 0:
		return duration >= waitedAtLeast
	case c&threadtrace.ClassIdle != 0:
		return true
	case c&threadtrace.ClassReadLike != 0:
		return duration >= blockedAtLeast
	}
	return false
}

// cuts reports whether a gap ends the unit of a thread that never waits.
func (s *Segmenter) cuts(gap, now int64) bool {
	if s.lastWait == 0 {
		s.lastWait = s.current.Start
	}
	return now-s.lastWait > neverWaits && s.gaps.n >= 64 && gap > gapFactor*s.gaps.median()
}

func (s *Segmenter) begin(at int64) {
	if !s.begun {
		s.begun = true
		s.current.Start, s.current.End = at, at
	}
}

func (s *Segmenter) finish(at int64, emit func(*Unit)) {
	if s.begun {
		s.current.End = max(at, s.current.Start)
		if len(s.current.Calls) > 0 || s.current.OnCPU > 0 {
			emit(&s.current)
		}
	}
	s.begun = false
	s.current = Unit{ThreadID: s.current.ThreadID, Calls: s.current.Calls[:0], Stacks: s.current.Stacks[:0]}
}

// gapHistogram counts gaps by their power of two; old gaps fade.
type gapHistogram struct {
	counts [64]uint32
	n      uint32
}

func (h *gapHistogram) add(gap int64) {
	h.counts[bits.Len64(uint64(gap))&63]++
	if h.n++; h.n >= 1<<16 {
		h.n = 0
		for i := range h.counts {
			h.counts[i] /= 2
			h.n += h.counts[i]
		}
	}
}

// median is the upper edge of the bucket that holds it, in nanoseconds.
func (h *gapHistogram) median() int64 {
	var sum uint32
	for i, c := range h.counts {
		if sum += c; 2*sum >= h.n {
			return int64(1) << i
		}
	}
	return 1 << 62
}
