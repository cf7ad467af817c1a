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
	// last is what is known of the thread of the last event: they come thread by thread.
	last *lately
}

// lately is what is known of a thread's calls.
type lately struct {
	thread int32
	// various is set once that of a call is.
	various bool
	// at is where it was last seen in each call: few calls have a stack.
	at map[int32]seenAt
	// call is the last one that is taken for a wait, until when it lasted.
	call  unit.StackTime
	until int64
}

// seenAt is where a thread was seen in a call.
type seenAt struct {
	// stack is the last one, own the last one of a look with functions of the application.
	stack, own uint32
	// looked is set when it was a look. various is set when some looks found functions of
	// an application there and others none: calls, which have no more than the second
	// kind, cannot be told apart then.
	looked, various bool
	// calls is set once a call had functions of the application, as those of compiled
	// programs have.
	calls bool
}

const (
	// waited is how long a call must take to have waited: the kernel's way to wake another
	// thread takes below ten microseconds.
	waited = int64(2e4)
	// maxNumbers bounds the calls of a thread of which the stack is known.
	maxNumbers = 64
)

// Sight is what an event of a thread tells.
type Sight struct {
	// Seen is where time was spent, a correction of that behind it.
	Seen [2]unit.StackTime
	// Stack is that of the event, as far as is known.
	Stack uint32
	// Vague is set on a call of a number at which looks find now the application, now
	// nothing of it. Seen is then where the application makes it: right if this was not the
	// other.
	Vague bool
}

// Of reads an event of a thread.
func (s *Sights) Of(thread int32, e *threadtrace.Event) (sight Sight) {
	sight.Stack = e.Stack
	t := s.of(thread)
	if t == nil {
		return sight
	}
	if e.Kind != threadtrace.KindSample {
		sight.Stack = s.stackOf(t, e)
		sight.Vague = s.vague(t, e.Number)
	}
	seen, stack := &sight.Seen, sight.Stack
	switch e.Kind {
	case threadtrace.KindSample:
		seen[0] = unit.StackTime{Stack: stack, Number: e.Number, Time: e.Duration}
		if t.call.Stack != 0 && e.Number == t.call.Number && e.Time <= t.until {
			seen[1] = t.call // who is on a CPU in a call does not wait
			seen[1].Time = -e.Duration
		}
	case threadtrace.KindBlocked:
		seen[0] = unit.StackTime{Stack: stack, Number: e.Number, Waiting: true, Time: e.Duration}
	case threadtrace.KindCall, threadtrace.KindInFlight:
		if e.Kind == threadtrace.KindInFlight && !e.Cut || e.Duration < waited || s.Classes.Is(e.Number, threadtrace.ClassYield) {
			break
		}
		if sight.Vague {
			stack = t.at[e.Number].own
		}
		t.call = unit.StackTime{Stack: stack, Number: e.Number, Waiting: true, Time: e.Duration}
		t.until = e.End()
		seen[0] = t.call
	}
	return sight
}

// of is what is known of a thread, nil when there is no room for it.
func (s *Sights) of(thread int32) *lately {
	if s.last != nil && s.last.thread == thread {
		return s.last
	}
	t := s.threads[thread]
	if t == nil {
		if len(s.threads) >= maxWorkers {
			return nil
		}
		if s.threads == nil {
			s.threads = map[int32]*lately{}
		}
		t = &lately{thread: thread, at: map[int32]seenAt{}}
		s.threads[thread] = t
	}
	s.last = t
	return t
}

// stackOf is the stack of a call or a look. One without a stack of its own has that with
// which the thread was last seen in that call, and so has a call in which no function of
// the application is to be seen: those of an interpreted program are on the stacks of
// looks.
func (s *Sights) stackOf(t *lately, e *threadtrace.Event) uint32 {
	last, known := t.at[e.Number]
	if e.Stack == 0 {
		return last.stack
	}
	if !known && len(t.at) >= maxNumbers {
		return e.Stack
	}
	now := seenAt{stack: e.Stack, own: last.own, looked: e.Kind == threadtrace.KindBlocked, calls: last.calls}
	if !now.looked && !now.calls && s.ofApplication(e.Stack) {
		now.calls, last.calls = true, true
		t.at[e.Number] = last
	}
	switch {
	case now.looked:
		if s.ofApplication(e.Stack) {
			now.own = e.Stack
		}
		now.various = last.various || last.looked && s.ofApplication(last.stack) != s.ofApplication(e.Stack)
	case last.various:
		return e.Stack
	case last.looked && s.ofApplication(last.stack) && !s.ofApplication(e.Stack):
		return last.stack
	case last.looked:
		return e.Stack
	}
	t.at[e.Number] = now
	t.various = t.various || now.various
	return e.Stack
}

// various reports whether calls of a thread cannot be told apart that looks can.
func (s *Sights) various(thread, number int32) bool {
	t := s.threads[thread]
	return t != nil && s.vague(t, number)
}

// vague is various of what is known of a thread. A lock of an interpreter is in nobody's
// function.
func (s *Sights) vague(t *lately, number int32) bool {
	if !t.various {
		return false
	}
	at := t.at[number]
	return at.various && !at.calls && !s.Classes.Is(number, threadtrace.ClassFutex)
}

func (s *Sights) ofApplication(stack uint32) bool {
	return s.Stacks.Get(stack).Tier == frames.Application
}

// Forget drops threads that are gone.
func (s *Sights) Forget(gone func(thread int32) bool) {
	s.last = nil
	for id := range s.threads {
		if gone(id) {
			delete(s.threads, id)
		}
	}
}
