package interpreter

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const eval = "_PyEval_EvalFrameDefault"

func framesOf(names string) (out []threadtrace.Frame) {
	for _, name := range strings.Fields(names) {
		out = append(out, threadtrace.Frame{Function: strings.ReplaceAll(name, "EVAL", eval)})
	}
	return out
}

func TestSplice(t *testing.T) {
	for _, tt := range []struct {
		name, native string
		incomplete   bool
		calls        []Call
		want         string
		complete     bool
	}{
		{
			name:   "each loop has its call",
			native: "recv sock_recv EVAL vectorcall EVAL main", calls: []Call{{Frames: framesOf("fetch handle")}, {Frames: framesOf("run")}},
			want: "recv sock_recv fetch handle vectorcall run main", complete: true,
		},
		{
			name:   "nothing was seen",
			native: "recv EVAL main", want: "recv EVAL main", complete: true,
		},
		{
			name:   "the native stack was cut short",
			native: "recv EVAL vectorcall", incomplete: true, calls: []Call{{Frames: framesOf("fetch")}, {Frames: framesOf("run")}},
			want: "recv fetch vectorcall run",
		},
		{
			name:   "the look came to its bound",
			native: "recv EVAL vectorcall EVAL main", calls: []Call{{Frames: framesOf("deep deep"), Cut: true}},
			want: "recv deep deep",
		},
		{
			name:   "they do not fit: more loops than calls",
			native: "recv EVAL vectorcall EVAL main", calls: []Call{{Frames: framesOf("fetch run")}},
			want: "recv fetch run",
		},
		{
			name:   "they do not fit: fewer loops than calls",
			native: "recv EVAL main", calls: []Call{{Frames: framesOf("fetch")}, {Frames: framesOf("run")}},
			want: "recv fetch run",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			native := threadtrace.Stack{Frames: framesOf(tt.native), Complete: !tt.incomplete}
			got := Splice(native, tt.calls)
			assert.Equal(t, framesOf(tt.want), got.Frames)
			assert.Equal(t, tt.complete, got.Complete)
			assert.Equal(t, framesOf(tt.native), native.Frames, "it is shared")
		})
	}
}

func TestWhatStartsTheProgramIsTheRuntime(t *testing.T) {
	const module = "php8.2"
	native := threadtrace.Stack{Frames: []threadtrace.Frame{
		{Function: "similar", Module: module}, {Function: "execute_ex", Module: module}, {Function: "zend_execute", Module: module}, {Function: "main", Module: "embeds"},
	}}
	var origins []threadtrace.Origin
	for _, f := range Splice(native, []Call{{Frames: framesOf("related")}}).Frames {
		origins = append(origins, f.Origin)
	}
	const app = threadtrace.OriginApplication
	assert.Equal(t, []threadtrace.Origin{app, app, threadtrace.OriginRuntime, app}, origins)
}

func TestHasLoop(t *testing.T) {
	assert.True(t, HasLoop(threadtrace.Stack{Frames: framesOf("recv EVAL main")}))
	assert.False(t, HasLoop(threadtrace.Stack{Frames: framesOf("recv main")}))
}

func TestPythonOrigin(t *testing.T) {
	for file, want := range map[string]threadtrace.Origin{
		"/srv/shop/app.py":              threadtrace.OriginApplication,
		"app.py":                        threadtrace.OriginApplication,
		"<string>":                      threadtrace.OriginApplication,
		"<frozen importlib._bootstrap>": threadtrace.OriginRuntime,
		"/usr/lib/python3.11/socket.py": threadtrace.OriginLibrary,
		"/usr/lib/python3/dist-packages/requests/api.py":                threadtrace.OriginLibrary,
		"/usr/local/lib/python3.12/site-packages/flask/app.py":          threadtrace.OriginLibrary,
		"/root/.pyenv/versions/3.13.0/lib/python3.13/asyncio/events.py": threadtrace.OriginLibrary,
		"/opt/lib/python3tools/app.py":                                  threadtrace.OriginApplication,
		"/opt/lib/python3tools/lib/python3.9/json/decoder.py":           threadtrace.OriginLibrary,
	} {
		assert.Equal(t, want, pythonFrame("f", file).Origin, file)
	}
}

func TestPythonModule(t *testing.T) {
	for file, want := range map[string]string{
		"/srv/shop/app.py":                               "app.py",
		"/srv/shop/__init__.py":                          "shop/__init__.py",
		"/usr/lib/python3/dist-packages/requests/api.py": "requests/api.py",
		"<string>": "<string>",
	} {
		assert.Equal(t, want, pythonFrame("f", file).Module, file)
	}
}

func TestPythonMinor(t *testing.T) {
	for name, want := range map[string]int{
		"python3.8": 8, "python3.13": 13, "libpython3.10.so.1.0": 10, "libpython3.9d.so.1.0": 9, "python3": 0, "python": 0, "perl": 0,
	} {
		assert.Equal(t, want, pythonMinor(name), name)
	}
}

func TestConcealTheProgramAroundAnInterpreter(t *testing.T) {
	native := threadtrace.Stack{Frames: framesOf("compress EVAL python_call accept_loop main"), Complete: true}
	native.Frames[1].Origin = threadtrace.OriginRuntime
	before := slices.Clone(native.Frames)
	var origins []threadtrace.Origin
	for _, f := range Conceal(native).Frames {
		origins = append(origins, f.Origin)
	}
	rt := threadtrace.OriginRuntime
	assert.Equal(t, []threadtrace.Origin{threadtrace.OriginApplication, rt, rt, rt, rt}, origins)
	assert.Equal(t, before, native.Frames)
	none := threadtrace.Stack{Frames: framesOf("recv main")}
	assert.Equal(t, none, Conceal(none))
}
