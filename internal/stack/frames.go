package stack

import (
	"fmt"
	"strings"

	"github.com/ianlancetaylor/demangle"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// goFrames names the code at addr in a Go function.
func goFrames(t *goTable, fn *goFunc, module string, addr uint64) (out []threadtrace.Frame) {
	for _, p := range t.position(fn, addr) {
		out = append(out, threadtrace.Frame{
			Function: cleantext.Clean(p.name, cleantext.MaxFunction), Module: module, File: cleantext.Clean(p.file, cleantext.MaxPath), Line: p.line,
			Origin: goOrigin(p.name), Inlined: true,
		})
	}
	out[len(out)-1].Inlined = false
	return out
}

// framesAt names the code at addr, which is not in a Go function: inlined functions first,
// last the function that holds the code, and where that starts. s is how its frame is left, nil if that is
// not known.
func (mod *module) framesAt(addr uint64, s *site) (out []threadtrace.Frame, start uint64) {
	if s != nil && s.kind == stepCFI && s.row.signal {
		// The kernel's return from a handler (__restore_rt), which few symbol
		// tables name: the frames outside it were interrupted, not called.
		return []threadtrace.Frame{{Function: "[signal]", Module: mod.name, Origin: threadtrace.OriginLibrary}}, 0
	}
	img := mod.img
	if img.inPLT(addr) {
		return []threadtrace.Frame{{Function: mod.name + "@plt", Module: mod.name, Origin: threadtrace.OriginLibrary}}, 0
	}
	name, start := img.symbolAt(addr)
	frame := threadtrace.Frame{Module: mod.name, Origin: mod.origin}
	switch {
	case name != "":
		frame.Function, frame.Origin = displayName(name), nativeOrigin(name, mod.origin)
	case start != 0 && start == img.entry:
		frame.Function = "_start"
	case start != 0:
		frame.Function = fmt.Sprintf("%s+%#x", mod.name, start)
	default:
		// No table knows where the function starts; its address would be
		// another "function" at each instruction.
		frame.Function = mod.name
	}
	positions := img.lines.at(addr)
	for i, p := range positions {
		if i == len(positions)-1 {
			frame.File, frame.Line = cleantext.Clean(p.file, cleantext.MaxPath), p.line
			break
		}
		if p.function == "" {
			continue
		}
		out = append(out, threadtrace.Frame{
			Function: displayName(p.function), Module: mod.name, File: cleantext.Clean(p.file, cleantext.MaxPath), Line: p.line,
			Origin: nativeOrigin(p.function, mod.origin), Inlined: true,
		})
	}
	return append(out, frame), start
}

// displayName demangles C++ and Rust names, without parameters, and takes off
// the suffixes by which compilers mark pieces and clones of one function.
func displayName(raw string) string {
	name := raw
	for {
		i := strings.LastIndexByte(name, '.')
		if i <= 0 {
			break
		}
		suffix := name[i+1:]
		if strings.Trim(suffix, "0123456789") == "" { // .cold.12, .part.0
			j := strings.LastIndexByte(name[:i], '.')
			if j <= 0 || !isCloneMark(name[j+1:i]) {
				break
			}
			name = name[:j]
			continue
		}
		if !isCloneMark(suffix) {
			break
		}
		name = name[:i]
	}
	if strings.HasPrefix(name, "_Z") || strings.HasPrefix(name, "_R") {
		name = demangle.Filter(name, demangle.NoParams, demangle.NoEnclosingParams, demangle.MaxLength(10))
	}
	return cleantext.Clean(name, cleantext.MaxFunction)
}

func isCloneMark(s string) bool {
	switch s {
	case "cold", "part", "isra", "constprop", "lto_priv", "llvm", "localalias":
		return true
	}
	return false
}

// symbolise turns a walk into frames.
func (u *Unwinder) symbolise(p *process, places []place, complete bool) threadtrace.Stack {
	st := threadtrace.Stack{Complete: complete, Frames: make([]threadtrace.Frame, 0, len(places))}
	for i := range places {
		at := &places[i]
		switch {
		case at.mod != nil:
			st.Frames = append(append(st.Frames, u.jumped(places, i)...), at.site.frames...)
		case at.jit:
			if name, ok := p.perf.find(at.addr); ok {
				st.Frames = append(st.Frames, jitFrame(name, p.runtimeName))
			} else {
				st.Frames = append(st.Frames, threadtrace.Frame{Function: "[jit]", Module: "[jit]", Origin: threadtrace.OriginUnknown})
			}
		default:
			name := "[unknown]"
			if m := p.find(at.addr); m != nil && m.isFile() {
				name = cleantext.Clean(m.name(), cleantext.MaxFunction) // a module that could not be read
			}
			st.Frames = append(st.Frames, threadtrace.Frame{Function: "[unknown]", Module: name, Origin: threadtrace.OriginUnknown})
		}
	}
	nameMain(st.Frames)
	return st
}

// nameMain names the program's main where its symbol is stripped: the C
// library's __libc_start_call_main, named or not, calls nothing else of the
// program's.
func nameMain(frames []threadtrace.Frame) {
	for i := len(frames) - 1; i > 1 && i >= len(frames)-3; i-- {
		if !strings.HasPrefix(frames[i].Function, "__libc_start_main") {
			continue
		}
		libc, f := &frames[i-1], &frames[i-2]
		if libc.Module == frames[i].Module && f.Module != libc.Module && strings.HasPrefix(f.Function, f.Module+"+0x") {
			f.Function = "main"
		}
		return
	}
}
