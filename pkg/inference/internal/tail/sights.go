package tail

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Sights tells where threads spend their time, by whatever is known best: on a CPU by
// samples, in a wait by the call itself while calls are recorded, and by looks while they
// are not. What a thread waits for a CPU when its wait is over is a part of the wait: it
// would not have given its CPU up without. It knows at most maxWorkers threads.
type Sights struct {
	Stacks  *frames.Table
	Classes *threadtrace.Classes

	threads map[int32]*lately
}

// lately is what is known of a thread's calls.
type lately struct {
	// at has the stack with which each call was last seen: few calls have one.
	at map[int32]uint32
	// call is the last one that is taken for a wait, until when it lasted.
	call  unit.StackTime
	until int64
}

const (
	// waited is how long a call must take to have waited: the kernel's way to wake another
	// thread takes below ten microseconds.
	waited = int64(2e4)
	// maxNumbers bounds the calls of a thread of which the stack is known.
	maxNumbers = 64
)

// Of is what an event of a thread tells, and the stack that it has; recorded is set while
// its calls are recorded.
func (s *Sights) Of(thread int32, e *threadtrace.Event, recorded bool) (seen [2]unit.StackTime, stack uint32) {
	t := s.threads[thread]
	if t == nil {
		if len(s.threads) >= maxWorkers {
			return seen, e.Stack
		}
		if s.threads == nil {
			s.threads = map[int32]*lately{}
		}
		t = &lately{at: map[int32]uint32{}}
		s.threads[thread] = t
	}
	stack = e.Stack
	if e.Kind != threadtrace.KindSample {
		stack = s.stackOf(t, e)
	}
	switch e.Kind {
	case threadtrace.KindSample:
		seen[0] = unit.StackTime{Stack: stack, Number: e.Number, Time: e.Duration}
		if t.call.Stack != 0 && e.Number == t.call.Number && e.Time <= t.until {
			seen[1] = t.call // who is on a CPU in a call does not wait
			seen[1].Time = -e.Duration
		}
	case threadtrace.KindBlocked:
		if !recorded || thread < 0 {
			seen[0] = unit.StackTime{Stack: stack, Number: e.Number, Waiting: true, Time: e.Duration}
		}
	case threadtrace.KindCall, threadtrace.KindInFlight:
		if e.Kind == threadtrace.KindInFlight && !e.Cut || e.Duration < waited || s.Classes.Is(e.Number, threadtrace.ClassYield) {
			break
		}
		t.call = unit.StackTime{Stack: stack, Number: e.Number, Waiting: true, Time: e.Duration}
		t.until = e.End()
		seen[0] = t.call
	}
	return seen, stack
}

// stackOf is the stack of a call or a wait. One without a stack of its own has that with
// which the thread was last seen in that call, and so has one in which no function of the
// application is to be seen: those of an interpreted program are on the stacks of looks.
func (s *Sights) stackOf(t *lately, e *threadtrace.Event) uint32 {
	last, known := t.at[e.Number]
	if e.Stack == 0 || known && s.ofApplication(last) && !s.ofApplication(e.Stack) {
		return last
	}
	if known || len(t.at) < maxNumbers {
		t.at[e.Number] = e.Stack
	}
	return e.Stack
}

func (s *Sights) ofApplication(stack uint32) bool {
	return s.Stacks.Get(stack).Tier == frames.Application
}

// Forget drops threads that are gone.
func (s *Sights) Forget(gone func(thread int32) bool) {
	for id := range s.threads {
		if gone(id) {
			delete(s.threads, id)
		}
	}
}
