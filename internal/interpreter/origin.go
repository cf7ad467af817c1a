package interpreter

import (
	"path"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// pythonFrame makes a frame of a function and its file.
func pythonFrame(function, file string) threadtrace.Frame {
	return threadtrace.Frame{
		Function: cleantext.Clean(function, cleantext.MaxFunction),
		Module:   cleantext.Clean(pythonModule(file), cleantext.MaxFunction),
		File:     cleantext.Clean(file, cleantext.MaxPath),
		Origin:   pythonOrigin(file),
	}
}

// pythonOrigin tells whose code a file is: what a package manager installed is a
// library's, and so is what comes with Python; what has no file is the
// interpreter's own (<frozen importlib._bootstrap>).
func pythonOrigin(file string) threadtrace.Origin {
	switch {
	case strings.HasPrefix(file, "<frozen "):
		return threadtrace.OriginRuntime
	case strings.HasPrefix(file, "<"):
		return threadtrace.OriginApplication // made at run time, by the program
	case strings.Contains(file, "/site-packages/"), strings.Contains(file, "/dist-packages/"), isStandard(file):
		return threadtrace.OriginLibrary
	}
	return threadtrace.OriginApplication
}

// isStandard reports whether a file is of the standard library, which is in a
// directory python3.N of a lib.
func isStandard(file string) bool {
	for rest := file; ; {
		_, after, ok := strings.Cut(rest, "/lib/python3")
		if !ok {
			return false
		}
		version, _, _ := strings.Cut(after, "/")
		if strings.Trim(version, ".0123456789t") == "" {
			return true
		}
		rest = after
	}
}

// pythonModule is what tells a file from others: from its package on, else its
// base name, with the directory where that says nothing.
func pythonModule(file string) string {
	for _, packages := range []string{"/site-packages/", "/dist-packages/"} {
		if i := strings.LastIndex(file, packages); i >= 0 {
			return file[i+len(packages):]
		}
	}
	dir, base := path.Split(file)
	if base == "__init__.py" || base == "__main__.py" {
		return path.Join(path.Base(dir), base)
	}
	return base
}
