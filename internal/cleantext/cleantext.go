// Package cleantext makes text that a target chose (the name of a service, a
// thread, a function) fit to be shown: in logs, on consoles and on pages.
package cleantext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxName bounds names of services, instances and threads (bytes): none
	// in use comes near it.
	MaxName = 255
	// MaxFunction bounds names of functions and modules (bytes).
	MaxFunction = 512
	// MaxPath bounds paths (bytes), PATH_MAX of the kernel.
	MaxPath = 4096
)

// Clean returns at most most bytes of valid UTF-8 without characters that
// do not show or that change how others show: control characters (C0, DEL, C1),
// format characters (bidirectional and zero-width ones among them), line and
// paragraph separators. Invalid bytes become U+FFFD. At
// most twice as many bytes are looked at, however long s is, and nothing is
// allocated for plain ASCII.
func Clean(s string, most int) string {
	if len(s) <= most && isPlain(s) {
		return s
	}
	if end := 2 * most; len(s) > end {
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII, which most names are.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func hidden(r rune) bool {
	if r >= ' ' && r <= '~' {
		return false // most are
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}
