package frames

import (
	"strings"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A script's own code has no name: what it calls tells what it does.
func TestAScriptSpeaksByWhatItCalls(t *testing.T) {
	runtime := func(name string) threadtrace.Frame {
		return threadtrace.Frame{Function: name, Module: "php-fpm8.2", Origin: threadtrace.OriginRuntime}
	}
	builtin := threadtrace.Frame{Function: "session_start", Module: "php-fpm8.2", Origin: threadtrace.OriginLibrary}
	libc := threadtrace.Frame{Function: "fstatat64", Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
	unknown := threadtrace.Frame{Module: "[jit]", Origin: threadtrace.OriginUnknown}
	script := threadtrace.Frame{Function: "{main}", Module: "cart.php"}
	included := threadtrace.Frame{Function: "<module>", Module: "settings.py"}
	own := threadtrace.Frame{Function: "show_cart", Module: "cart.php"}
	for name, tc := range map[string]struct {
		frames []threadtrace.Frame
		want   string
		direct bool
		hidden int
	}{
		"what waits below it":        {[]threadtrace.Frame{libc, runtime("ps_gc_files"), builtin, script, runtime("php_execute_scripts")}, "ps_gc_files session_start {main}", false, 0},
		"what computes below it":     {[]threadtrace.Frame{runtime("lex_scan"), runtime("zendparse"), script}, "lex_scan zendparse {main}", true, 0},
		"without a name":             {[]threadtrace.Frame{unknown, runtime("zendparse"), script}, "zendparse {main}", false, 1},
		"by its address only":        {[]threadtrace.Frame{runtime("php-fpm8.2+0x40"), runtime("zendparse"), runtime("php-fpm8.2+0x80"), script}, "zendparse {main}", false, 0},
		"a script within another":    {[]threadtrace.Frame{runtime("lex_scan"), script, runtime("compile_filename"), included}, "lex_scan {main} <module>", true, 0},
		"a loop that is still there": {[]threadtrace.Frame{runtime("execute_ex"), script}, "{main}", false, 0},
		"the script itself":          {[]threadtrace.Frame{script, runtime("php_execute_scripts")}, "{main}", true, 0},
		"the C library below it":     {[]threadtrace.Frame{libc, script}, "{main}", false, 0},
		"a function with a name":     {[]threadtrace.Frame{runtime("lex_scan"), own, script}, "show_cart {main}", false, 0},
	} {
		stacks := NewTable()
		s := stacks.Get(stacks.Intern(&threadtrace.Stack{Complete: true, Frames: tc.frames}))
		var names []string
		for _, f := range s.Frames {
			names = append(names, stacks.Function(f).Name)
		}
		if got := strings.Join(names, " "); got != tc.want || s.Direct != tc.direct || s.Hidden != tc.hidden || s.Tier != Application {
			t.Errorf("%s: %s (direct %v, hidden %d, tier %d), want %s (%v, %d)", name, got, s.Direct, s.Hidden, s.Tier, tc.want, tc.direct, tc.hidden)
		}
	}
}

func TestAScriptsOwnCodeHasNoName(t *testing.T) {
	for name, script := range map[string]bool{
		"{main}": true, "<module>": true, "<main>": true, "<lambda>": true, "{closure}": true,
		"main": false, "Shop::{closure}": false, "operator<=>": false, "java.lang.Object.<init>": false, "<>": false, "": false,
	} {
		if got := (Function{Name: name}).Script(); got != script {
			t.Errorf("%q: a script's own code: %v", name, got)
		}
	}
}
