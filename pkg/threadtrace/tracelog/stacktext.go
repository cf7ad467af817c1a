package tracelog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A stack as text: one frame per line, innermost first,
//
//	function (module) file:line [library] [inlined]
//
// where file:line is there when known and application code has no marker. A
// last line "..." says that the walk ended before the thread's start.
// Backslash, control characters and bytes that are no UTF-8 are written \xHH,
// and so are parentheses in module and file and brackets in file, which is
// what makes the text readable back without loss.

const walkEnded = "..."

var originMarkers = [...]string{
	threadtrace.OriginApplication: "",
	threadtrace.OriginLibrary:     " [library]",
	threadtrace.OriginRuntime:     " [runtime]",
	threadtrace.OriginUnknown:     " [unknown]",
}

const inlinedMarker = " [inlined]"

// StackText writes a stack as text, as code.stacktrace holds it.
func StackText(s threadtrace.Stack) string {
	var out strings.Builder
	for i := range s.Frames {
		f := &s.Frames[i]
		if i > 0 {
			out.WriteByte('\n')
		}
		escape(&out, f.Function, "")
		out.WriteString(" (")
		escape(&out, f.Module, "()")
		out.WriteByte(')')
		if f.File != "" || f.Line != 0 {
			out.WriteByte(' ')
			escape(&out, f.File, "()[]")
			out.WriteByte(':')
			out.WriteString(strconv.Itoa(int(f.Line)))
		}
		if int(f.Origin) < len(originMarkers) {
			out.WriteString(originMarkers[f.Origin])
		}
		if f.Inlined {
			out.WriteString(inlinedMarker)
		}
	}
	if !s.Complete {
		if len(s.Frames) > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(walkEnded)
	}
	return out.String()
}

// ParseStack reads the text that StackText writes.
func ParseStack(text string) (threadtrace.Stack, error) {
	s := threadtrace.Stack{Complete: true}
	if text == "" {
		return s, nil
	}
	lines := strings.Split(text, "\n")
	if lines[len(lines)-1] == walkEnded {
		s.Complete, lines = false, lines[:len(lines)-1]
	}
	for i, line := range lines {
		f, err := parseFrame(line)
		if err != nil {
			return threadtrace.Stack{}, fmt.Errorf("line %d: %w", i+1, err)
		}
		s.Frames = append(s.Frames, f)
	}
	return s, nil
}

func parseFrame(line string) (f threadtrace.Frame, err error) {
	line, f.Inlined = strings.CutSuffix(line, inlinedMarker)
	for origin, marker := range originMarkers {
		if rest, found := strings.CutSuffix(line, marker); found && marker != "" {
			line, f.Origin = rest, threadtrace.Origin(origin)
			break
		}
	}
	open := strings.LastIndex(line, " (")
	if open < 0 {
		return f, fmt.Errorf("%.60q is not of the form \"function (module)\"", line)
	}
	module, place, closed := strings.Cut(line[open+2:], ")")
	if !closed {
		return f, fmt.Errorf("%.60q lacks the parenthesis after the module", line)
	}
	if place != "" {
		at := strings.LastIndexByte(place, ':')
		if at < 1 || place[0] != ' ' {
			return f, fmt.Errorf("%.60q after the module is not of the form \" file:line\"", place)
		}
		n, notNumber := strconv.ParseInt(place[at+1:], 10, 32)
		if notNumber != nil {
			return f, fmt.Errorf("line number %.20q", place[at+1:])
		}
		f.Line = int32(n)
		if f.File, err = unescape(place[1:at]); err != nil {
			return f, err
		}
	}
	if f.Module, err = unescape(module); err != nil {
		return f, err
	}
	f.Function, err = unescape(line[:open])
	return f, err
}

const hexDigits = "0123456789abcdef"

// escape writes s with the bytes in special, and all that would break a line
// or a protobuf string, as \xHH.
func escape(out *strings.Builder, s, special string) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ', r == 0x7f, r == '\\', size == 1 && strings.IndexByte(special, s[i]) >= 0:
			out.WriteString(`\x`)
			out.WriteByte(hexDigits[s[i]>>4])
			out.WriteByte(hexDigits[s[i]&15])
		default:
			out.WriteString(s[i : i+size])
		}
		i += size
	}
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+3 >= len(s) || s[i+1] != 'x' {
			return "", fmt.Errorf("%.60q has a backslash that starts no \\xHH", s)
		}
		v, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%.60q has a backslash that starts no \\xHH", s)
		}
		out = append(out, byte(v))
		i += 3
	}
	return string(out), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
