package profile

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Locations as the OpenTelemetry eBPF profiler v0.0.202633 tells them.
func TestAFunctionHasTheNameThatTheReceiverGivesIt(t *testing.T) {
	const (
		app, library, runtime, unknown = threadtrace.OriginApplication, threadtrace.OriginLibrary, threadtrace.OriginRuntime, threadtrace.OriginUnknown
	)
	for _, tc := range []struct {
		at               Location
		function, module string
		origin           threadtrace.Origin
	}{
		{Location{Language: "cpython", Function: "is_attack.<locals>.<genexpr>", File: "/srv/guestbook.py"}, "is_attack.<locals>.<genexpr>", "guestbook.py", app},
		{Location{Language: "cpython", Function: "Differ._fancy_replace", File: "/usr/lib/python3.11/difflib.py"}, "Differ._fancy_replace", "difflib.py", library},
		{Location{Language: "cpython", Function: "get", File: "/usr/lib/python3/dist-packages/requests/api.py"}, "get", "requests/api.py", library},
		{Location{Language: "cpython", Function: "main", File: "/srv/shop/__main__.py"}, "main", "shop/__main__.py", app},
		{Location{Language: "cpython", Function: "_find_and_load", File: "<frozen importlib._bootstrap>"}, "_find_and_load", "<frozen importlib._bootstrap>", runtime},
		{Location{Language: "cpython", Function: "<module>", File: "<string>"}, "<module>", "<string>", app},
		{Location{Language: "ruby", Function: "Object#merge_stops", File: "/srv/config.ru"}, "Object#merge_stops", "config.ru", app},
		{Location{Language: "ruby", Function: "Net::HTTP#request", File: "/usr/lib/ruby/3.1.0/net/http.rb"}, "Net::HTTP#request", "http.rb", library},
		{Location{Language: "ruby", Function: "Puma::Server#run", File: "/usr/share/rubygems-integration/all/gems/puma-5.6.5/lib/puma/server.rb"}, "Puma::Server#run", "puma-5.6.5/lib/puma/server.rb", library},
		{Location{Language: "ruby", Function: "Array#include?", File: "<cfunc>"}, "Array#include?", "ruby", library},
		{Location{Language: "php", Function: "related_articles", File: "/srv/article.php"}, "related_articles", "article.php", app},
		{Location{Language: "php", Function: "similar_text"}, "similar_text", "php", library},
		{Location{Language: "v8js", Function: "link_pairs", File: "/srv/node_modules/markdown-it/lib/rules_inline/balance_pairs.js"}, "link_pairs", "markdown-it/lib/rules_inline/balance_pairs.js", app},
		{Location{Language: "v8js", Function: "<anonymous>", File: "/srv/files.js", Line: 26}, "(anonymous) files.js:26", "files.js", app},
		{Location{Language: "v8js", Function: "emit", File: "node:events"}, "emit", "node:events", library},
		{Location{Language: "v8js", Function: "processTimers", File: "node:internal/timers"}, "processTimers", "node:internal/timers", runtime},
		{Location{Language: "v8js", Function: "V8::ExitFrame"}, "V8::ExitFrame", "[jit]", runtime},
		{Location{Language: "jvm", Function: "int java.lang.String.hashCode()"}, "java.lang.String.hashCode", "[jit]", library},
		{Location{Language: "jvm", Function: "void com.shop.Cart.add(int)"}, "com.shop.Cart.add", "[jit]", app},
		{Location{Language: "go", Function: "main.(*journal).record", Mapping: "/srv/tolls"}, "main.(*journal).record", "tolls", app},
		{Location{Language: "go", Function: "runtime.gopark", Mapping: "/srv/tolls"}, "runtime.gopark", "tolls", runtime},
		{Location{Language: "dotnet", Function: "System.String.Concat"}, "System.String.Concat", "[jit]", library},
		{Location{Language: "native", Mapping: "python3.11"}, "python3.11+0x?", "python3.11", runtime},
		{Location{Language: "native", Mapping: "libc.so.6"}, "libc.so.6+0x?", "libc.so.6", library},
		{Location{Language: "native", Mapping: "/srv/bin/server"}, "server+0x?", "server", app},
		{Location{Language: "native", Function: "poll", Mapping: "/usr/lib/x86_64-linux-gnu/libc.so.6"}, "poll", "libc.so.6", library},
		{Location{Language: "cpython"}, "[unknown]+0x?", "[unknown]", runtime},
		{Location{}, "[unknown]+0x?", "[unknown]", unknown},
		{Location{Function: "work", File: "/srv/lib/work.rs", Line: 1 << 40}, "work", "work.rs", app},
		{Location{Language: "cpython", Function: "f\x1b[2J\n", File: "/a/b.py"}, "f", "b.py", app},
	} {
		f := tc.at.Frame()
		if tc.function == "f" {
			if f.Function == tc.at.Function {
				t.Errorf("%q is left as it is", f.Function)
			}
			continue
		}
		if f.Function != tc.function || f.Module != tc.module || f.Origin != tc.origin {
			t.Errorf("%+v is %q (%s), origin %d; want %q (%s), origin %d", tc.at, f.Function, f.Module, f.Origin, tc.function, tc.module, tc.origin)
		}
	}
}
