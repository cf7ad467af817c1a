package syscallreceiver

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/interpreter"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// freshFor is how old the stack of a sample may be for a look at its thread to be of
// the same. A sample that waited for one of another time is older.
const freshFor = 5 * time.Millisecond

// interpreters reads the functions of interpreted programs; *interpreter.Reader is
// one. Look may take as long as the reading of files takes.
type interpreters interface {
	Look(pid, tid int32, seen interpreter.Seen) ([]interpreter.Call, error)
	Forget(pid int32)
}

// namedStack is a stack with its names.
type namedStack struct {
	threadtrace.Stack
	frames frameSource
}

// frameSource says what of an interpreted program is on a stack.
type frameSource uint8

const (
	// framesNative: no interpreter's loop is on it.
	framesNative frameSource = iota
	// framesHidden: a loop is, and what it ran is not known.
	framesHidden
	// framesLooked: it has the functions that the loop ran.
	framesLooked
)

// hides reports whether an unwound stack hides what an interpreter runs.
func (s *symbols) hides(t *task) bool { return s.interpret != nil && interpreter.HasLoop(t.native) }

// worthALook reports whether what the stack of a task hides can still be seen: the
// thread waits, or was running a moment ago.
func (t *task) worthALook(now time.Time) bool {
	return t.raw.Blocked || t.raw.Sampled && now.UnixNano()-t.raw.Time < int64(freshFor)
}

// hurry has the further samples of a process delivered while its threads still run what
// they were sampled in.
func (s *symbols) hurry(pid int32, t *target) {
	if s.atOnce == nil || t.prompt.Swap(true) {
		return
	}
	if err := s.atOnce(pid); err != nil {
		s.logger.Debug("The samples of an interpreted program come late.", zap.Int32("pid", pid), zap.Error(err))
	}
}

// look puts what the interpreter runs on the stack of a task.
func (s *symbols) look(pid int32, t *task) namedStack {
	calls, err := s.interpret.Look(pid, t.raw.TID, interpreter.Seen{Running: t.raw.Sampled, IP: t.raw.Regs.IP, SP: t.raw.Regs.SP})
	s.stats.interpreterLook(resultOfLook(err))
	if len(calls) == 0 {
		return namedStack{interpreter.Conceal(t.native), framesHidden}
	}
	return namedStack{interpreter.Splice(t.native, calls), framesLooked}
}

// resultOfLook is what became of a look, for a counter.
func resultOfLook(err error) string {
	for _, known := range []struct {
		err    error
		result string
	}{
		{nil, "seen"},
		{interpreter.ErrMoved, "moved"},
		{interpreter.ErrNoThread, "unknown_thread"},
		{interpreter.ErrOverBudget, "over_budget"},
		{interpreter.ErrUnsupported, "unsupported"},
		{interpreter.ErrTooMuch, "too_much"},
		{interpreter.ErrUnreadable, "unreadable"},
		{interpreter.ErrMalformed, "malformed"},
		{rootfs.ErrStuck, "stuck"},
		{rootfs.ErrQuarantined, "stuck"},
	} {
		if errors.Is(err, known.err) {
			return known.result
		}
	}
	return "failed"
}

// weigh gives the CPU time of samples that hide what an interpreter ran to those of
// the same thread and flush at which a look came in time: they are a part of them,
// chosen by when the rings were read, which the program has no say in. The time stays
// the same, and no sample counts twice. Without any look all stay as they are.
//
// Each stack is asked for once: it may be named meanwhile.
func (th *threadLoad) weigh(source func(stack uint32) frameSource) {
	var sources []frameSource // of each event, from the first that is not native
	var hidden, looked int64
	for i := range th.events {
		e := &th.events[i]
		if e.Kind != threadtrace.KindSample || e.Stack == 0 {
			continue
		}
		from := source(e.Stack)
		if from == framesNative {
			continue
		}
		if sources == nil {
			sources = make([]frameSource, len(th.events))
		}
		sources[i] = from
		if from == framesHidden {
			hidden += e.Duration
		} else {
			looked++
		}
	}
	if hidden == 0 || looked == 0 {
		return
	}
	kept := th.events[:0]
	for i, e := range th.events {
		switch sources[i] {
		case framesHidden:
			continue
		case framesLooked:
			share := hidden / looked
			e.Duration += share
			hidden -= share
			looked--
		}
		kept = append(kept, e)
	}
	th.events = kept
}
