//go:build linux

package stack

import (
	"os"
	"strings"
	"testing"
	"time"

	"unicode/utf8"

	"github.com/perfscope/perfscope/internal/cleantext"
)

// FuzzNames: no symbol of a program, and no entry of a perf map, takes long, is long, or brings control characters.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"_ZN4core3fmt9Formatter12pad_integral17h1234567890abcdefE", "_RNvNtCs1234_7mycrate3foo3bar", "_ZNSt6vectorIiSaIiEE9push_backEOi",
		"JS:*handle /srv/app.js:10:5", "int java.lang.String.hashCode()", "Lcom/shop/Cart$$Lambda$14/0x0000000800c03000;::accept", "foo.isra.0.cold", "a\x1b[31m\u009b\u202e",
		"_Z1fI" + strings.Repeat("S_", 500) + "E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxSymbolName {
			s = s[:maxSymbolName]
		}
		begun := time.Now()
		names := []string{displayName(s)}
		for _, runtime := range []string{"", "nodejs", "jvm"} {
			fr := jitFrame(cleantext.Clean(s, cleantext.MaxFunction), runtime)
			names = append(names, fr.Function, fr.Module)
		}
		if d := time.Since(begun); d > time.Minute {
			t.Fatalf("%v for %q", d, s)
		}
		for _, n := range names {
			if len(n) > 2*cleantext.MaxFunction {
				t.Fatalf("%d bytes", len(n))
			}
			if !utf8.ValidString(n) {
				t.Fatalf("invalid UTF-8 %q of %q", n, s)
			}
			for _, r := range n {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
					t.Fatalf("control character %q in %q of %q", r, n, s)
				}
			}
		}
	})
}

// FuzzMiniDebug: the xz-compressed symbol table.
func FuzzMiniDebug(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x01"))
	if data, err := os.ReadFile("testdata/hostile/two-dictionaries.xz"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		begun := time.Now()
		b := buildELF([]sec{{name: ".gnu_debugdata", typ: 1, data: data}})
		_, _ = loadImage(strings.NewReader(string(b)), imageOptions{arch: &amd64})
		if d := time.Since(begun); d > time.Minute {
			t.Fatal(d)
		}
	})
}
