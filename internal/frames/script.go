package frames

import (
	"slices"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Script reports whether the code is a script's own, outside of any function with a name:
// languages call it {main}, <main>, <module>, {closure}.
func (f Function) Script() bool {
	n := len(f.Name)
	return n > 2 && (f.Name[0] == '{' && f.Name[n-1] == '}' || f.Name[0] == '<' && f.Name[n-1] == '>')
}

// Tells reports whether the name of a function says what it does.
func (f Function) Tells() bool { return !f.Nameless() && !f.Script() }

// scripts reports whether no function of the program on a stack has a name of its own: they
// say which script runs, and not what it does.
func (t *Table) scripts(functions []int32) bool {
	return !slices.ContainsFunc(functions, func(f int32) bool { return !t.functions[f].Script() })
}

// called adds the functions with a name that the innermost code of the program calls, of libraries
// and the runtime, to a stack of scripts.
func (t *Table) called(stack *threadtrace.Stack, s *Stack) {
	own := slices.Clone(t.frames)
	t.frames = t.frames[:0]
	callee, hidden := "", 0
	for i := range stack.Frames {
		f := &stack.Frames[i]
		if f.Origin == threadtrace.OriginApplication {
			break
		}
		switch {
		case speaks(f) && !IsLoop(f) && !(Function{Name: f.Function, Module: f.Module}).Nameless():
			t.add(f)
		case len(t.frames) > 0:
		case f.Origin == threadtrace.OriginUnknown:
			hidden++
		default:
			callee, _, _ = strings.Cut(f.Function, "@")
		}
	}
	if len(t.frames) > 0 {
		s.Direct, s.Hidden, s.Wrapper = callee == "" && hidden == 0, hidden, t.wrapper(t.frames, callee)
	}
	t.frames = append(t.frames, own[:min(len(own), maxFrames-len(t.frames))]...)
	s.Frames = t.frames
}
