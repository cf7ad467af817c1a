package stack

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// v8Frame reads an entry of V8's perf map: "JS:*handle /srv/app.js:10:5", in
// older versions "LazyCompile:*handle …". The mark before the name is the
// optimisation tier. Everything else is V8's own: Builtin:, BytecodeHandler:,
// Stub:, RegExp:.
func v8Frame(f *threadtrace.Frame, name string) {
	kind, rest, _ := strings.Cut(name, ":")
	switch kind {
	case "JS", "LazyCompile", "Function", "Script", "Eval":
	default:
		f.Origin = threadtrace.OriginRuntime
		return
	}
	function, script, line := v8Position(strings.TrimLeft(rest, "*~^+"))
	f.File, f.Line = script, line
	switch {
	case strings.HasPrefix(script, "node:internal/"):
		f.Module, f.Origin = script, threadtrace.OriginRuntime
	case strings.HasPrefix(script, "node:"):
		f.Module, f.Origin = script, threadtrace.OriginLibrary
	case script == "" || strings.HasPrefix(script, "native "):
		f.Origin = threadtrace.OriginRuntime
	default:
		f.Module = scriptName(script)
	}
	f.Function = function
	if function == "" {
		f.Function = "(anonymous)"
		if f.Module != "[jit]" {
			// Without its place, all of a script's would be one function.
			f.Function = fmt.Sprintf("(anonymous) %s:%d", f.Module, line)
		}
	}
}

// v8Position takes "get size /srv/my shop/cart.js:10:5" apart. Names of
// accessors and of computed properties have spaces, paths have them, too.
func v8Position(text string) (function, script string, line int32) {
	at := strings.IndexByte(text, ' ')
	for _, start := range []string{" /", " file://", " node:"} {
		if i := strings.Index(text, start); i >= 0 {
			at = i
			break
		}
	}
	function, script = text[:max(at, 0)], text[at+1:]
	// line:column
	if i := strings.LastIndexByte(script, ':'); i > 0 {
		if j := strings.LastIndexByte(script[:i], ':'); j > 0 {
			if n, err := strconv.ParseInt(script[j+1:i], 10, 32); err == nil {
				script, line = script[:j], int32(n)
			}
		}
	}
	return function, strings.TrimPrefix(script, "file://"), line
}

// scriptName is what tells a script from others: from its package on, else
// its base name, with the directory where that says nothing.
func scriptName(script string) string {
	const packages = "/node_modules/"
	if i := strings.LastIndex(script, packages); i >= 0 {
		return script[i+len(packages):]
	}
	dir, base := path.Split(script)
	if strings.HasPrefix(base, "index.") {
		return path.Join(path.Base(dir), base)
	}
	return base
}

// inV8 reports whether a place without call frame information is one of V8's
// builtins or bytecode handlers.
func (u *Unwinder) inV8(p *process, at *place) bool {
	if p.runtimeName != "nodejs" {
		return false
	}
	if at.mod != nil {
		return at.mod.origin == threadtrace.OriginRuntime
	}
	// Newer versions copy them to where the compiled code is.
	name, _ := p.perf.find(at.addr)
	return strings.HasPrefix(name, "Builtin:") || strings.HasPrefix(name, "BytecodeHandler:")
}

// maxPushed bounds what a builtin without a frame has pushed.
const maxPushed = 4

// stepV8 leaves a builtin. They make a frame only on the paths that need one;
// on others the frame pointer is the caller's, and to follow it would skip the
// JavaScript function that called. What tells is the top of the stack, which
// has a return address into code of V8 where a frame has values, and the word
// below the frame pointer: a tagged pointer, its context, in the frame of a
// JavaScript function, a small even number in most of the builtins' own. amd64
// only: arm64 has the return address in a register.
func (u *Unwinder) stepV8(p *process, regs *registers, mem *memory) bool {
	bp, known := regs.get(u.arch.bp)
	if u.arch.lr != 0 || !known {
		return u.stepFramePointer(p, regs, mem)
	}
	below, ok := mem.word(bp - 8)
	calledByScript := ok && below&1 == 1
	sp := regs.value[u.arch.sp]
	for i := range uint64(maxPushed) {
		ra, ok := mem.word(sp + 8*i)
		if !ok || sp+8*i >= bp {
			break
		}
		if u.returnsToV8(p, ra, calledByScript) {
			regs.set(u.arch.sp, sp+8*i)
			return u.stepLeaf(regs, mem)
		}
	}
	return u.stepFramePointer(p, regs, mem)
}

// returnsToV8 reports whether a word is a return address into a builtin or, if
// that can be, into a compiled script.
func (u *Unwinder) returnsToV8(p *process, ra uint64, script bool) bool {
	if ra < 16 {
		return false
	}
	m := p.find(ra - 1)
	switch {
	case m == nil:
		return false
	case m.isFile() && !m.isMemory():
		if mod := u.moduleFor(p, m); mod == nil || mod.origin != threadtrace.OriginRuntime {
			return false
		}
	case !script:
		return false
	}
	code, ok := u.codeBefore(p, ra)
	return ok && endsInCall(code)
}

// endsInCall reports whether machine code of amd64 ends in a call instruction
// as V8 writes them.
func endsInCall(code [6]byte) bool {
	const call, indirect = 0xe8, 0xff
	switch {
	case code[1] == call,
		code[0] == indirect && code[1]&0xf8 == 0x90, // call [register+disp32]
		code[3] == indirect && code[4]&0xf8 == 0x50, // call [register+disp8]
		code[4] == indirect && code[5]&0xf8 == 0xd0, // call register
		code[4] == indirect && code[5]&0xf8 == 0x10: // call [register]
		return true
	}
	return false
}
