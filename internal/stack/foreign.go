package stack

import (
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// What follows names functions that others have unwound, as this package names its own.

// JITFrame is the frame of a function that a runtime compiled or interprets, by the
// name that the runtime gives it; runtime is "jvm", "nodejs" or "cpython".
func JITFrame(name, runtime string) threadtrace.Frame { return jitFrame(name, runtime) }

// GoOrigin tells whose code a Go function is, by its full name.
func GoOrigin(name string) threadtrace.Origin { return goOrigin(name) }

// FileOrigin tells whose code a mapped file has, by its path or, where only that is
// known, its last part. Whether it is the process's own program is not known, so an
// interpreter is told by its name.
func FileOrigin(path string) threadtrace.Origin {
	base := path[strings.LastIndexByte(path, '/')+1:]
	if IsInterpreter(base) {
		return threadtrace.OriginRuntime
	}
	if base == path && isLibraryName(base) {
		path = "/usr/lib/" + base // where most are
	}
	return moduleOrigin(path, "", false)
}

// IsInterpreter reports whether a file is named like an interpreter, with or without a
// version (python3.11, php-fpm8.2, ruby3.1).
func IsInterpreter(base string) bool {
	switch strings.TrimRight(base, "0123456789.") {
	case "python", "ruby", "php", "php-fpm", "php-cgi", "perl", "node", "nodejs", "beam.smp", "dotnet", "java", "luajit", "lua":
		return true
	}
	return false
}
