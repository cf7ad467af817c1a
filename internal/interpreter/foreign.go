package interpreter

import "github.com/perfscope/perfscope/pkg/threadtrace"

// FrameOf names a function that others have seen in an interpreter, by the language
// ("cpython", "ruby" or "php"), as this package names those that it sees; false for
// another language.
func FrameOf(language, function, file string) (threadtrace.Frame, bool) {
	switch language {
	case "cpython":
		return pythonFrame(function, file), true
	case "ruby":
		return rubyFrameOf(function, file), true
	case "php":
		return phpFrame(function, file), true
	}
	return threadtrace.Frame{}, false
}
