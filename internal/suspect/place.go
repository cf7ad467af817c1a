package suspect

import "github.com/perfscope/perfscope/internal/syscalltrace"

// frame is one physical frame of a stack on which compiled and interpreted code of
// a JIT compiler may be mixed. The names that a place has there change as functions
// are compiled: an interpreted frame has none, and a function that became part of
// its caller has no frame. What does not change is which functions call which.
type frame struct {
	// function is an index in Stacks.functions plus one, zero without a name.
	function int32
	// jit is set in code that is not of a file, compiled on that of it which may
	// hide what it calls: an interpreted frame, or a native one, hides nothing.
	jit, compiled bool
	// application is set on a named function of the program's own.
	application bool
}

// jitModule is the module of code that is not of a file.
const jitModule = "[jit]"

// interpreted reports whether a frame is that of an interpreted function. HotSpot's
// map has one entry for all of them.
func interpreted(f *syscalltrace.Frame) bool {
	return f.Origin == syscalltrace.OriginRuntime && f.Function == "Interpreter"
}

// placeOf is the physical frames of a stack, innermost first; nil when none is a JIT
// compiler's, or for one that is too deep to be where a thread waits for work.
func (s *Stacks) placeOf(stack *syscalltrace.Stack) []frame {
	s.place = s.place[:0]
	jit := false
	for i := range stack.Frames {
		f := &stack.Frames[i]
		p := frame{jit: f.Module == jitModule}
		p.compiled = p.jit && !interpreted(f)
		if f.Origin != syscalltrace.OriginUnknown && !interpreted(f) {
			p.function = 1 + s.function(f)
			p.application = f.Origin == syscalltrace.OriginApplication
		}
		jit = jit || p.jit
		s.place = append(s.place, p)
	}
	if !jit || len(s.place) > maxFrames {
		return nil
	}
	return s.place
}

// samePlace reports whether two stacks may be of the same calls, earlier and now:
// whether there is a sequence of calls, from the thread's start to the wait, of
// which each is a view. In a view an interpreted frame is a call without its name,
// and a compiled one may hide calls on its inner side. The earlier one hid no
// function of the application that is seen now: else a wait in a function that was
// always part of its caller would be where that one waited.
func samePlace(earlier, now []frame) bool {
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

// matches reports whether two frames may be of one function.
func (f frame) matches(o frame) bool {
	return f.jit == o.jit && (f.function == 0 || o.function == 0 || f.function == o.function)
}
