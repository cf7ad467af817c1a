package frames

import (
	"strconv"
	"strings"
)

// jniName is the name of the Java method that a native function implements, false when
// it is none: Java_sun_nio_ch_FileDispatcherImpl_force0 is
// sun.nio.ch.FileDispatcherImpl.force0. See "Resolving Native Method Names" in the
// specification of the Java Native Interface.
func jniName(symbol string) (string, bool) {
	rest, ok := strings.CutPrefix(symbol, "Java_")
	if !ok {
		return "", false
	}
	rest, _, _ = strings.Cut(rest, "__") // the types of an overloaded one
	var name strings.Builder
	for rest != "" {
		c := rest[0]
		rest = rest[1:]
		if c != '_' {
			name.WriteByte(c)
			continue
		}
		switch {
		case strings.HasPrefix(rest, "1"):
			name.WriteByte('_')
			rest = rest[1:]
		case strings.HasPrefix(rest, "0") && len(rest) >= 5:
			code, err := strconv.ParseUint(rest[1:5], 16, 16)
			if err != nil {
				return "", false
			}
			name.WriteRune(rune(code))
			rest = rest[5:]
		default:
			name.WriteByte('.')
		}
	}
	return name.String(), strings.Contains(name.String(), ".")
}
