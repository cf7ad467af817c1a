package stack

import (
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// goStandard are the top-level directories of Go's standard library.
var goStandard = func() map[string]bool {
	m := map[string]bool{}
	for _, p := range strings.Fields(`archive arena bufio builtin bytes cmp compress container context
		crypto database debug embed encoding errors expvar flag fmt go hash html image index internal
		io iter log maps math mime net os path plugin reflect regexp runtime simd slices sort strconv
		strings structs sync syscall testing text time unicode unique unsafe vendor weak`) {
		m[p] = true
	}
	return m
}()

// goPackage is the import path in a Go symbol's name.
func goPackage(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i] // type arguments hold paths too
	}
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot < 0 {
		return ""
	}
	return name[:slash+dot]
}

// goOrigin tells whose code a Go function is. The runtime and its syscall
// wrappers are runtime; the rest of the standard library is library.
func goOrigin(name string) threadtrace.Origin {
	pkg := goPackage(name)
	switch {
	case pkg == "", strings.HasPrefix(name, "type:"), strings.HasPrefix(name, "go:"):
		return threadtrace.OriginRuntime // linker-made: runtime entry points, type..eq
	case pkg == "main":
		return threadtrace.OriginApplication
	case pkg == "runtime", pkg == "syscall", pkg == "internal/poll",
		hasPathPrefix(pkg, "runtime"), hasPathPrefix(pkg, "internal/runtime"),
		hasPathPrefix(pkg, "internal/syscall"), hasPathPrefix(pkg, "golang.org/x/sys"):
		return threadtrace.OriginRuntime
	}
	first, _, _ := strings.Cut(pkg, "/")
	if goStandard[first] {
		return threadtrace.OriginLibrary
	}
	return threadtrace.OriginApplication
}

func hasPathPrefix(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// isLibraryName reports whether a file is named like a shared library
// (libz.so.1, ld-linux-x86-64.so.2, libc-2.31.so), not like a plugin.
func isLibraryName(base string) bool {
	return (strings.HasPrefix(base, "lib") || strings.HasPrefix(base, "ld-")) && strings.Contains(base, ".so")
}

// isLoaderDirectory reports whether the dynamic loader looks into dir by
// default: /lib, /usr/lib, /usr/local/lib, their 64-bit and multiarch forms.
// Plugins of programs live one level deeper.
func isLoaderDirectory(dir string) bool {
	dir = strings.TrimPrefix(dir, "/usr")
	dir = strings.TrimPrefix(dir, "/local")
	for _, lib := range []string{"/lib", "/lib64"} {
		if rest, ok := strings.CutPrefix(dir, lib); ok {
			if rest == "" {
				return true
			}
			// /lib/x86_64-linux-gnu and glibc's per-CPU variants below it.
			arch, more, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
			if rest[0] == '/' && strings.Contains(arch, "-linux-") && (more == "" || strings.HasPrefix(more, "glibc-hwcaps")) {
				return true
			}
		}
	}
	return false
}

// moduleOrigin tells whose code a native module is, by its path. isProgram
// is set for the process's executable.
func moduleOrigin(path, runtimeName string, isProgram bool) threadtrace.Origin {
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i], path[i+1:]
	}
	if isProgram {
		switch runtimeName {
		case "jvm", "nodejs", "cpython", "dotnet", "ruby", "php":
			return threadtrace.OriginRuntime // the interpreter, not the program
		}
		return threadtrace.OriginApplication
	}
	switch {
	case strings.Contains(path, "/lib/server/libjvm"), strings.Contains(dir, "/jvm/"),
		base == "libjvm.so", base == "libcoreclr.so", base == "libclrjit.so",
		strings.HasPrefix(base, "libnode.so"), strings.HasPrefix(base, "libpython"),
		strings.HasPrefix(base, "libruby"), strings.HasPrefix(base, "libphp"), strings.HasPrefix(base, "libv8"):
		return threadtrace.OriginRuntime
	case runtimeName == "jvm" && (base == "libjava.so" || base == "libnio.so" || base == "libnet.so" || base == "libjli.so"):
		return threadtrace.OriginRuntime
	case strings.Contains(dir, "/python3") && (strings.Contains(dir, "/lib-dynload") || strings.Contains(dir, "-packages/")),
		runtimeName == "cpython" && strings.Contains(dir, "-packages/"),
		runtimeName == "ruby" && (strings.Contains(dir, "/ruby/") || strings.Contains(dir, "/gems/")),
		strings.Contains(dir, "/lib/php/"):
		return threadtrace.OriginLibrary // an extension, of those that the functions with names call
	case isLoaderDirectory(dir) && isLibraryName(base), strings.HasPrefix(base, "ld-linux"), strings.HasPrefix(base, "ld-musl"):
		return threadtrace.OriginLibrary
	}
	return threadtrace.OriginApplication
}
