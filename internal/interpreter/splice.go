package interpreter

import (
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// HasLoop reports whether an interpreter's loop is on a native stack: then there is
// something to look for.
func HasLoop(native threadtrace.Stack) bool {
	for i := range native.Frames {
		if frames.IsLoop(&native.Frames[i]) {
			return true
		}
	}
	return false
}

// Splice puts the functions of the program where the interpreter's loop stands on
// a native stack, innermost first as that is. The native stack is not changed.
//
// From the innermost loop on each has its call. Where the two do not fit, because
// either was cut short or the thread went on, the native frames inside the
// innermost loop stay, and outside it are the program's only. What of the interpreter
// itself is outside of its loop is a runtime's.
func Splice(native threadtrace.Stack, calls []Call) threadtrace.Stack {
	if len(calls) == 0 {
		return native
	}
	count, added := 0, 0
	for i := range native.Frames {
		if frames.IsLoop(&native.Frames[i]) {
			count++
		}
	}
	for i := range calls {
		added += len(calls[i].Frames)
	}
	cut := calls[len(calls)-1].Cut
	fits := count == len(calls) || count > len(calls) && cut || count < len(calls) && !native.Complete
	out := threadtrace.Stack{Complete: native.Complete && !cut, Frames: make([]threadtrace.Frame, 0, len(native.Frames)+added)}
	runtime := "" // the module of the loop, once that is met
	for i := range native.Frames {
		f := &native.Frames[i]
		if !frames.IsLoop(f) {
			out.Frames = append(out.Frames, *f)
			if runtime != "" && f.Module == runtime && f.Origin == threadtrace.OriginApplication {
				out.Frames[len(out.Frames)-1].Origin = threadtrace.OriginRuntime // it is what starts the program
			}
			continue
		}
		runtime = f.Module
		if !fits {
			break
		}
		if len(calls) == 0 {
			continue
		}
		out.Frames = append(out.Frames, calls[0].Frames...)
		if calls = calls[1:]; len(calls) == 0 && cut {
			return out // what follows is outside of what was cut
		}
	}
	for i := range calls {
		out.Frames = append(out.Frames, calls[i].Frames...)
	}
	if !fits {
		out.Complete = false
	}
	return out
}

// Conceal gives a native stack on which it is not known what an interpreter's loop runs:
// the program that the interpreter is a part of, outside of the loop, only starts it, as
// an interpreter's own program does, and is taken for a part of it. The native stack is
// not changed.
func Conceal(native threadtrace.Stack) threadtrace.Stack {
	inside := true
	out := native
	for i := range native.Frames {
		f := &native.Frames[i]
		if frames.IsLoop(f) {
			inside = false
		}
		if inside || f.Origin != threadtrace.OriginApplication {
			continue
		}
		if &out.Frames[0] == &native.Frames[0] {
			out.Frames = slices.Clone(native.Frames)
		}
		out.Frames[i].Origin = threadtrace.OriginRuntime
	}
	return out
}
