package stack

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestV8Names(t *testing.T) {
	const library, runtime = threadtrace.OriginLibrary, threadtrace.OriginRuntime
	tests := []struct {
		entry string
		want  threadtrace.Frame
	}{
		{"JS:*handle /srv/app.js:10:5", threadtrace.Frame{Function: "handle", Module: "app.js", File: "/srv/app.js", Line: 10}},
		{"LazyCompile:~handle /srv/app.js:10:5", threadtrace.Frame{Function: "handle", Module: "app.js", File: "/srv/app.js", Line: 10}},
		{"JS:^ file:///srv/app.mjs:3:1", threadtrace.Frame{Function: "(anonymous) app.mjs:3", Module: "app.mjs", File: "/srv/app.mjs", Line: 3}},
		{"JS:~get size /srv/my shop/cart.js:7:11", threadtrace.Frame{Function: "get size", Module: "cart.js", File: "/srv/my shop/cart.js", Line: 7}},
		{"JS:*parse /srv/node_modules/qs/lib/parse.js:9:1", threadtrace.Frame{Function: "parse", Module: "qs/lib/parse.js", File: "/srv/node_modules/qs/lib/parse.js", Line: 9}},
		{"JS:*list /srv/routes/index.js:4:1", threadtrace.Frame{Function: "list", Module: "routes/index.js", File: "/srv/routes/index.js", Line: 4}},
		{"Eval:~ /srv/app.js:1:1", threadtrace.Frame{Function: "(anonymous) app.js:1", Module: "app.js", File: "/srv/app.js", Line: 1}},
		{"JS:*emit node:events:466:44", threadtrace.Frame{Function: "emit", Module: "node:events", File: "node:events", Line: 466, Origin: library}},
		{"JS:*processTimers node:internal/timers:500:1", threadtrace.Frame{Function: "processTimers", Module: "node:internal/timers", File: "node:internal/timers", Line: 500, Origin: runtime}},
		{"JS:~map native array.js:1:1", threadtrace.Frame{Function: "map", Module: "[jit]", File: "native array.js", Line: 1, Origin: runtime}},
		{"JS:~", threadtrace.Frame{Function: "(anonymous)", Module: "[jit]", Origin: runtime}},
		{"Builtin:ArrayMap", threadtrace.Frame{Function: "Builtin:ArrayMap", Module: "[jit]", Origin: runtime}},
		{"BytecodeHandler:LdaZero", threadtrace.Frame{Function: "BytecodeHandler:LdaZero", Module: "[jit]", Origin: runtime}},
		{"RegExp:^(a+)+$", threadtrace.Frame{Function: "RegExp:^(a+)+$", Module: "[jit]", Origin: runtime}},
	}
	for _, tt := range tests {
		if got := jitFrame(tt.entry, "nodejs"); got != tt.want {
			t.Errorf("%q = %+v, want %+v", tt.entry, got, tt.want)
		}
	}
}

func TestEndsInCall(t *testing.T) {
	for want, codes := range map[bool][][6]byte{
		true: {
			{0x90, 0xe8, 1, 2, 3, 4},             // call rel32
			{0xff, 0x95, 0xc0, 0x1f, 0, 0},       // call *disp32(%r13)
			{1, 2, 3, 0xff, 0x51, 0x0f},          // call *0xf(%rcx)
			{1, 2, 3, 4, 0xff, 0xd1},             // call *%rcx
			{0x48, 0x8b, 0xc8, 0x41, 0xff, 0xd2}, // call *%r10
		},
		false: {
			{},
			{0x48, 0x83, 0xec, 0x38, 0x48, 0x89},
			{1, 2, 3, 4, 0xff, 0xe1}, // jmp *%rcx
		},
	} {
		for _, code := range codes {
			if endsInCall(code) != want {
				t.Errorf("% x: want %v", code, want)
			}
		}
	}
}
