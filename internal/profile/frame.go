package profile

import (
	"fmt"
	"path"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/interpreter"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Location is one function on a stack as a profiler tells it.
type Location struct {
	// Language is the value of profile.frame.type
	// (https://opentelemetry.io/docs/specs/semconv/registry/attributes/profile/),
	// empty when it is not said.
	Language string
	// Function is empty for a native function without a symbol.
	Function string
	// File and Line are where the source is.
	File string
	Line int64
	// Mapping is the file that is mapped there, a path or its last part.
	Mapping string
}

// Frame names a function as the receiver does, so that a function has one name
// whoever saw it. What others wrote is made plain and short.
func (l *Location) Frame() threadtrace.Frame {
	f := threadtrace.Frame{
		Function: cleantext.Clean(l.Function, cleantext.MaxFunction),
		File:     cleantext.Clean(l.File, cleantext.MaxPath),
	}
	if l.Line > 0 && l.Line < 1<<31 {
		f.Line = int32(l.Line)
	}
	mapping := cleantext.Clean(l.Mapping, cleantext.MaxPath)
	if name, ok := languages[l.Language]; ok && f.Function != "" {
		f.Module = path.Base(mapping)
		name(&f)
	} else {
		native(&f, mapping, l.Language)
	}
	return f
}

// languages name the functions of a language; f has the function, file and line, and
// as its module the mapped file.
var languages = map[string]func(f *threadtrace.Frame){
	"cpython": python, "ruby": ruby, "php": php, "perl": perl, "v8js": v8, "jvm": jvm, "go": golang, "dotnet": dotnet,
	"beam": script, "luajit": script,
}

// noFile is a file that an interpreter makes up: <string>, <eval>, <cfunc>.
func noFile(file string) bool { return file == "" || file[0] == '<' }

// module is what tells a file from others: from its package on, else its base name,
// with the directory where that says nothing.
func module(file string, packages []string, vague func(base string) bool) string {
	if file == "" {
		return "[unknown]"
	}
	for _, p := range packages {
		if i := strings.LastIndex(file, p); i >= 0 {
			return file[i+len(p):]
		}
	}
	dir, base := path.Split(file)
	if vague(base) {
		return path.Join(path.Base(dir), base)
	}
	return base
}

// known names a function of a language that the receiver reads itself.
func known(language string) func(f *threadtrace.Frame) {
	return func(f *threadtrace.Frame) {
		line := f.Line
		*f, _ = interpreter.FrameOf(language, f.Function, f.File)
		f.Line = line
	}
}

func python(f *threadtrace.Frame) {
	trampoline := strings.HasPrefix(f.Function, "<interpreter ")
	known("cpython")(f)
	if trampoline {
		f.Origin = threadtrace.OriginRuntime
	}
}

func ruby(f *threadtrace.Frame) {
	switch {
	case strings.HasPrefix(f.File, "<gc>"), strings.HasPrefix(f.Function, "("): // (marking)
		f.Module, f.Origin = "ruby", threadtrace.OriginRuntime
	case f.File == "" || strings.HasPrefix(f.File, "<cfunc>"):
		f.Module, f.File, f.Origin = "ruby", "", threadtrace.OriginLibrary // of Ruby's core, written in C
	default:
		known("ruby")(f)
	}
}

func php(f *threadtrace.Frame) {
	if noFile(f.File) {
		f.Module, f.Origin = "php", threadtrace.OriginLibrary // of PHP's own, written in C
		return
	}
	known("php")(f)
	anonymous(f)
}

// script is for languages whose library functions have no file.
func script(f *threadtrace.Frame) {
	f.Module = module(f.File, nil, func(string) bool { return false })
	if noFile(f.File) {
		f.Origin = threadtrace.OriginLibrary
	}
	anonymous(f)
}

func perl(f *threadtrace.Frame) {
	script(f)
	if strings.HasPrefix(f.File, "/usr/share/perl") || strings.Contains(f.File, "/perl5/") || strings.HasPrefix(f.File, "/usr/lib/") {
		f.Origin = threadtrace.OriginLibrary
	}
}

func v8(f *threadtrace.Frame) {
	f.Module = module(f.File, []string{"/node_modules/"}, func(base string) bool { return strings.HasPrefix(base, "index.") })
	f.File = strings.TrimPrefix(f.File, "file://")
	switch {
	case strings.HasPrefix(f.File, "node:internal/"):
		f.Module, f.Origin = f.File, threadtrace.OriginRuntime
	case strings.HasPrefix(f.File, "node:"):
		f.Module, f.Origin = f.File, threadtrace.OriginLibrary
	case noFile(f.File), strings.HasPrefix(f.File, "native "), strings.HasPrefix(f.Function, "V8::"):
		f.Module, f.Origin = "[jit]", threadtrace.OriginRuntime
	}
	anonymous(f)
}

// anonymous gives a function without a name its place: else all of a file's would be
// one function.
func anonymous(f *threadtrace.Frame) {
	switch f.Function {
	case "<anonymous>", "(anonymous)", "{closure}":
		f.Function = fmt.Sprintf("(anonymous) %s:%d", f.Module, f.Line)
	}
}

func jvm(f *threadtrace.Frame) {
	file, line := f.File, f.Line
	*f = stack.JITFrame(f.Function, "jvm")
	f.File, f.Line = file, line
}

func golang(f *threadtrace.Frame) { f.Origin = stack.GoOrigin(f.Function) }

func dotnet(f *threadtrace.Frame) {
	f.Module = "[jit]"
	for _, p := range []string{"System.", "Microsoft.", "Interop", "Internal."} {
		if strings.HasPrefix(f.Function, p) {
			f.Origin = threadtrace.OriginLibrary
		}
	}
	if strings.HasPrefix(f.Function, "[stub: ") {
		f.Origin = threadtrace.OriginRuntime
	}
}

// native names a function of a mapped file. Without a symbol it is the file alone: the
// address is the sample's, and would make a function of every instruction.
func native(f *threadtrace.Frame, mapping, language string) {
	f.Module = path.Base(mapping)
	if mapping == "" {
		f.Module, f.Origin = "[unknown]", threadtrace.OriginUnknown
		if f.Function != "" {
			f.Module, f.Origin = module(f.File, nil, func(string) bool { return false }), threadtrace.OriginApplication
		}
	} else {
		f.Origin = stack.FileOrigin(mapping)
	}
	if f.Function == "" {
		f.Function = f.Module + "+0x?"
	}
	if _, interpreted := languages[language]; interpreted {
		f.Origin = threadtrace.OriginRuntime // a frame of an interpreter that has no name
	}
}
