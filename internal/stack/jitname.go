package stack

import (
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// jitFrame makes a frame of a perf map's entry. The forms are those that V8
// (--perf-basic-prof), the JVM (jcmd Compiler.perfmap, perf-map-agent) and
// CPython (-X perf) write; names of any other compiler are kept as they are.
func jitFrame(name, runtimeName string) threadtrace.Frame {
	f := threadtrace.Frame{Function: name, Module: "[jit]"}
	switch runtimeName {
	case "nodejs":
		v8Frame(&f, name)
	case "jvm":
		jvmFrame(&f, name)
	case "cpython":
		if rest, ok := strings.CutPrefix(name, "py::"); ok {
			fn, file, _ := strings.Cut(rest, ":")
			f.Function, f.File = fn, file
			if strings.HasPrefix(file, "<") || strings.Contains(file, "/lib/python") && !strings.Contains(file, "-packages/") {
				f.Origin = threadtrace.OriginLibrary
			}
		}
	}
	return f
}

// jvmLibraries are the packages that come with the JVM, the interfaces of
// containers, and the run time of other languages compiled for it.
var jvmLibraries = []string{"java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala."}

// jvmFrame reads "int java.lang.String.hashCode()" (the JVM's own map) and
// "Ljava/lang/String;::hashCode" (perf-map-agent). The JVM names its stubs
// without a class.
func jvmFrame(f *threadtrace.Frame, name string) {
	var method string
	if class, m, ok := strings.Cut(name, ";::"); ok && strings.HasPrefix(class, "L") {
		m, _, _ = strings.Cut(m, "(")
		method = strings.ReplaceAll(class[1:], "/", ".") + "." + m
	} else if before, _, ok := strings.Cut(name, "("); ok && strings.Contains(before, ".") {
		method = before[strings.LastIndexByte(before, ' ')+1:]
	} else {
		f.Origin = threadtrace.OriginRuntime // Interpreter, StubRoutines, adapters, blobs
		return
	}
	f.Function = withoutHidden(method)
	for _, p := range jvmLibraries {
		if strings.HasPrefix(method, p) {
			f.Origin = threadtrace.OriginLibrary
		}
	}
}

// withoutHidden takes the number and the address off the name of a class made
// at run time: com.shop.Cart$$Lambda$14/0x0000000800c03000.accept is another
// one in every process.
func withoutHidden(method string) string {
	class, address, ok := strings.Cut(method, "/0x")
	if !ok {
		return method
	}
	if before, number, found := strings.Cut(class, "$$Lambda$"); found && strings.Trim(number, "0123456789") == "" {
		class = before + "$$Lambda"
	}
	return class + strings.TrimLeft(address, "0123456789abcdef")
}
