package stack

import (
	"regexp"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// legacyRust is the end of a name that Rust mangles as C++ does: a hash.
var legacyRust = regexp.MustCompile(`17h[0-9a-f]{16}E`)

// nativeOrigin tells whose code a function of a module is by its symbol: compilers put
// what a program uses of the standard library of Rust, and of the templates of that of
// C++, into the program itself.
func nativeOrigin(symbol string, module threadtrace.Origin) threadtrace.Origin {
	if module != threadtrace.OriginApplication {
		return module
	}
	var standard bool
	switch {
	case strings.HasPrefix(symbol, "_R"), strings.HasPrefix(symbol, "_ZN") && legacyRust.MatchString(symbol):
		standard = isRustStandard(displayName(symbol))
	case strings.HasPrefix(symbol, "_Z"):
		name := displayName(symbol)
		standard = strings.HasPrefix(name, "std::") || strings.HasPrefix(name, "__gnu_cxx::")
	}
	if standard {
		return threadtrace.OriginLibrary
	}
	return module
}

// isRustStandard reports whether a path is of one of the crates that make up the standard
// library. A method of a trait, <type as trait>::method, is where its type is or, of a
// type without a path, the trait.
func isRustStandard(name string) bool {
	if rest, ok := strings.CutPrefix(name, "<"); ok {
		of, trait, _ := strings.Cut(rest, " as ")
		name = strings.TrimLeft(of, "&*[(<")
		for _, word := range []string{"mut ", "const ", "dyn "} {
			name = strings.TrimPrefix(name, word)
		}
		if !strings.Contains(name, "::") {
			name = trait
		}
	}
	for _, crate := range []string{"std::", "core::", "alloc::"} {
		if strings.HasPrefix(name, crate) {
			return true
		}
	}
	return false
}
