package cleantext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "checkout-api", "checkout-api"},
		{"other scripts", "café 服务", "café 服务"},
		{"an escape sequence", "\x1b]0;pwned\a\x1b[31mRED\r\n", "]0;pwned[31mRED"},
		{"the control sequence introducer of C1", "a\u009b31mb", "a31mb"},
		{"bidirectional", "bidi\u202egpj.exe\u2066\u200f", "bidigpj.exe"},
		{"zero width, and a byte order mark", "pay\u200bments\ufeff", "payments"},
		{"separators", "a\u2028b\u2029c", "abc"},
		{"invalid bytes", "bad\xc3(", "bad\ufffd("},
		{"too long", strings.Repeat("é", 20), strings.Repeat("é", 8)},
		{"long and hidden", strings.Repeat("\u202e", 1<<20) + "x", ""},
	} {
		if got := Clean(c.in, 16); got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\u009b\u202e\xff", 8)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = 1 + most&0xff
		got := Clean(s, most)
		if len(got) > most || !utf8.ValidString(got) || strings.ContainsFunc(got, hidden) {
			t.Errorf("%q of %q", got, s)
		}
		if Clean(got, most) != got {
			t.Errorf("%q changes again", got)
		}
	})
}
