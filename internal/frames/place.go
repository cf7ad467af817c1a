package frames

import (
	"encoding/binary"
	"slices"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// placeFrame is one physical placeFrame of a stack on which compiled and interpreted code of
// a JIT compiler may be mixed. The names that a place has there change as functions
// are compiled: an interpreted placeFrame has none, and a function that became part of
// its caller has no placeFrame. What does not change is which functions call which.
type placeFrame struct {
	// function is an index in Table.functions plus one, zero without a name.
	function int32
	// jit is set in code that is not of a file, compiled on that of it which may
	// hide what it calls: an interpreted placeFrame, or a native one, hides nothing.
	jit, compiled bool
	// application is set on a named function of the program's own.
	application bool
}

// jitModule is the module of code that is not of a file.
const jitModule = "[jit]"

// interpreted reports whether a placeFrame is that of an interpreted function. HotSpot's
// map has one entry for all of them.
func interpreted(f *threadtrace.Frame) bool {
	return f.Origin == threadtrace.OriginRuntime && f.Function == "Interpreter"
}

// placeOf is the physical frames of a stack, innermost first; nil when none is a JIT
// compiler's, or for one that is too deep to be where a thread waits for work.
func (t *Table) placeOf(stack *threadtrace.Stack) []placeFrame {
	t.place = t.place[:0]
	jit := false
	for i := range stack.Frames {
		f := &stack.Frames[i]
		p := placeFrame{jit: f.Module == jitModule}
		p.compiled = p.jit && !interpreted(f)
		if f.Origin != threadtrace.OriginUnknown && !interpreted(f) {
			p.function = 1 + t.function(f)
			p.application = f.Origin == threadtrace.OriginApplication
		}
		jit = jit || p.jit
		t.place = append(t.place, p)
	}
	if !jit || len(t.place) > maxFrames {
		return nil
	}
	return t.place
}

// samePlace reports whether two stacks may be of the same calls, earlier and now:
// whether there is a sequence of calls, from the thread's start to the wait, of
// which each is a view. In a view an interpreted placeFrame is a call without its name,
// and a compiled one may hide calls on its inner side. The earlier one hid no
// function of the application that is seen now: else a wait in a function that was
// always part of its caller would be where that one waited.
func samePlace(earlier, now []placeFrame) bool {
	n, m := len(earlier), len(now)
	if n == 0 || m == 0 {
		return false
	}
	// both[i][j] is set when the frames from i and from j on, outward, may be of
	// the same calls.
	var both [maxFrames + 1][maxFrames + 1]bool
	both[n][m] = true
	for i := n; i >= 0; i-- {
		for j := m; j >= 0; j-- {
			// The innermost ones, the wait itself, are hidden in nothing.
			hiddenThen := i < n && 0 < j && j < m && now[j].jit && !now[j].application && earlier[i].compiled && both[i][j+1]
			hiddenNow := j < m && 0 < i && i < n && earlier[i].jit && now[j].compiled && both[i+1][j]
			called := i < n && j < m && earlier[i].matches(now[j]) && both[i+1][j+1]
			both[i][j] = both[i][j] || hiddenThen || hiddenNow || called
		}
	}
	return both[0][0]
}

// Continues reports whether a stack has all frames of another one as its inner part: that
// one was cut short, as happens where a JIT compiler is at work.
func (s *Stack) Continues(cut *Stack) bool {
	n := len(cut.place)
	return n > 0 && n < len(s.place) && slices.Equal(s.place[:n], cut.place)
}

// matches reports whether two frames may be of one function.
func (f placeFrame) matches(o placeFrame) bool {
	return f.jit == o.jit && (f.function == 0 || o.function == 0 || f.function == o.function)
}

func (f placeFrame) appendKey(key []byte) []byte {
	kind := byte(0)
	if f.jit {
		kind |= 1
	}
	if f.compiled {
		kind |= 2
	}
	return binary.LittleEndian.AppendUint32(append(key, kind), uint32(f.function)) //nolint:gosec // a key
}

// startedElsewhere reports whether two stacks are alike but for one function well
// above the innermost ones: threads of one kind that were started on different
// occasions, at first or to replace one that ended.
func startedElsewhere(a, b []int32) bool {
	const inner = 3
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	a, b = a[n:], b[n:]
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return n >= inner && len(a) <= 1 && len(b) <= 1
}

// Same reports whether a stack may be of the same place as an earlier one, both by their
// identifiers: as Stack.Same has it, or, where not one function has a name, as while the
// symbols of a program are read anew, it is of the same module.
func (t *Table) Same(id, earlier uint32) bool {
	s, e := &t.stacks[id], &t.stacks[earlier]
	if s.Same(e) {
		return true
	}
	if len(s.Frames) != 1 || len(e.Frames) == 0 || !t.functions[s.Frames[0]].Unknown() {
		return false
	}
	return t.functions[s.Frames[0]].Module == t.functions[e.Frames[0]].Module
}

// Same reports whether a stack may be of the same place as an earlier one:
// equal, or, where functions are missing, it has those of the earlier and
// more, up to the same innermost, since callers got names meanwhile; or some of
// them, since callees became part of their callers; or all frames fit.
func (s *Stack) Same(earlier *Stack) bool {
	a, b := s.Frames, earlier.Frames
	if slices.Equal(a, b) || startedElsewhere(a, b) || samePlace(earlier.place, s.place) {
		return true
	}
	if !s.Partial && !earlier.Partial || len(a) == 0 || len(b) == 0 {
		return false
	}
	if len(a) > len(b) {
		if a[0] != b[0] {
			return false
		}
		a, b = b, a
	}
	for _, f := range b {
		if len(a) > 0 && a[0] == f {
			a = a[1:]
		}
	}
	return len(a) == 0
}
