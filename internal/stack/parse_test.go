package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestParseMapping(t *testing.T) {
	tests := []struct {
		name, line string
		want       mapping
		ok         bool
		module     string
	}{
		{"file", "55d0-55e0 r-xp 00002000 fd:01 1234 /usr/bin/a b",
			mapping{start: 0x55d0, end: 0x55e0, offset: 0x2000, inode: 1234, path: "/usr/bin/a b"}, true, "a b"},
		{"deleted", "1000-2000 r-xp 00000000 fd:01 7                          /usr/sbin/nginx (deleted)",
			mapping{start: 0x1000, end: 0x2000, inode: 7, path: "/usr/sbin/nginx", deleted: true}, true, "nginx"},
		{"anonymous", "7f00-7f10 rwxp 00000000 00:00 0 ",
			mapping{start: 0x7f00, end: 0x7f10}, true, "[jit]"},
		{"anonymous without padding", "7f00-7f10 rwxp 00000000 00:00 0", mapping{start: 0x7f00, end: 0x7f10}, true, "[jit]"},
		{"vdso", "7fff-8fff r-xp 00000000 00:00 0                          [vdso]",
			mapping{start: 0x7fff, end: 0x8fff, path: "[vdso]"}, true, "[vdso]"},
		{"memfd", "10-20 r-xs 00000000 00:01 99 /memfd:jit (deleted)",
			mapping{start: 0x10, end: 0x20, inode: 99, path: "/memfd:jit", deleted: true}, true, "[jit]"},
		{"data", "10-20 rw-p 00000000 00:00 0 [heap]", mapping{}, false, ""},
		{"backwards", "20-10 r-xp 00000000 00:00 0", mapping{}, false, ""},
		{"garbage", "hello", mapping{}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := parseMapping(tt.line)
			if ok != tt.ok {
				t.Fatalf("ok = %v, want %v", ok, tt.ok)
			}
			got.dev = "" // in all of them
			if ok && (got != tt.want || got.name() != tt.module) {
				t.Errorf("got %+v (%s), want %+v (%s)", got, got.name(), tt.want, tt.module)
			}
		})
	}
}

func TestPerfMapNewestWins(t *testing.T) {
	var m perfMap
	text := "1000 100 a\n1100 80 b\nbad line\n2000 10 c\nfff0 0 empty\n"
	if err := m.update(strings.NewReader(text+"30"), int64(len(text)+2)); err != nil {
		t.Fatal(err)
	}
	grown := text + "3000 10 d\n1080 100 e f\n"
	if err := m.update(strings.NewReader(grown), int64(len(grown))); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]string{0x1000: "", 0x1080: "e f", 0x117f: "e f", 0x1180: "", 0x2005: "c", 0x300f: "d", 0x3010: ""} {
		if got, _ := m.find(addr); got != want {
			t.Errorf("%#x is %q, want %q", addr, got, want)
		}
	}
	generation := m.generation
	if err := m.update(strings.NewReader("5000 10 z\n"), 10); err != nil {
		t.Fatal(err)
	}
	if got, _ := m.find(0x2005); got != "c" || m.generation == generation {
		t.Errorf("while a map is written anew, what is not there yet is %q", got)
	}
}

// TestPerfMapWrittenAnew is what the JVM does: a complete map each time it is
// asked, larger than the last, read half way.
func TestPerfMapWrittenAnew(t *testing.T) {
	var m perfMap
	read := func(text string) {
		t.Helper()
		if err := m.update(strings.NewReader(text), int64(len(text))); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want map[uint64]string) {
		t.Helper()
		for addr, name := range want {
			if got, _ := m.find(addr); got != name {
				t.Errorf("%#x is %q, want %q", addr, got, name)
			}
		}
	}
	read("1000 100 stub\n2000 100 old\n4000 100 kept\n")
	const second = "1000 100 stub\n1800 100 added\n2080 100 newer\n4000 100 kept\n5000 100 last\n"
	read(second[:40])
	expect(map[uint64]string{0x1000: "stub", 0x1800: "added", 0x2000: "old", 0x4000: "kept"})
	read(second)
	expect(map[uint64]string{0x1800: "added", 0x2000: "old", 0x2080: "newer", 0x4000: "kept", 0x5000: "last"})
	generation := m.generation
	read("")
	read(second)
	if m.generation != generation {
		t.Error("the same map again is taken for another")
	}
	// Of the same length, but other code.
	read(strings.Replace(second, "last", "next", 1))
	expect(map[uint64]string{0x2000: "", 0x5000: "next"})
}

func TestOrigins(t *testing.T) {
	const app, lib, rt = threadtrace.OriginApplication, threadtrace.OriginLibrary, threadtrace.OriginRuntime
	for path, want := range map[string]threadtrace.Origin{
		"/usr/lib/x86_64-linux-gnu/libc.so.6":                             lib,
		"/lib/aarch64-linux-gnu/libz.so.1.2.13":                           lib,
		"/lib64/ld-linux-x86-64.so.2":                                     lib,
		"/usr/lib/ld-musl-x86_64.so.1":                                    lib,
		"/usr/local/lib/libfoo.so.1":                                      lib,
		"/usr/lib/libapr-1.so.0":                                          lib,
		"/usr/lib/apache2/modules/mod_php.so":                             app,
		"/usr/lib/nginx/modules/ngx_mail_module.so":                       app,
		"/usr/lib/postgresql/15/lib/libpqwalreceiver.so":                  app,
		"/opt/app/lib/libcore.so":                                         app,
		"/usr/lib/x86_64-linux-gnu/plugin.so":                             app,
		"/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so":         rt,
		"/usr/lib/jvm/java-17-openjdk-amd64/lib/libnio.so":                rt,
		"/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0":                  rt,
		"/usr/lib/apache2/modules/libphp8.2.so":                           rt,
		"/usr/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libcrypto.so.3": lib,
	} {
		if got := moduleOrigin(path, "", false); got != want {
			t.Errorf("%s is %d, want %d", path, got, want)
		}
	}
	for name, want := range map[string]threadtrace.Origin{
		"main.main": app, "example.com/x/y.(*T).Do": app, "myapp/store.Get": app,
		"slices.SortFunc[go.shape.[]example.com/x.T,go.shape.int]": lib,
		"net/http.(*conn).serve":                                   lib, "vendor/golang.org/x/net/http2.x": lib,
		"runtime.mallocgc": rt, "internal/runtime/syscall.Syscall6": rt, "internal/runtime/syscall/linux.Syscall6": rt,
		"syscall.Read": rt, "internal/poll.(*FD).Read": rt, "golang.org/x/sys/unix.Read": rt, "golang.org/x/net/http2.x": app,
		"memeqbody": rt, "type:.eq.main.T": rt, "internal/bytealg.Index": lib,
	} {
		if got := goOrigin(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if got := moduleOrigin("/usr/bin/node", "nodejs", true); got != rt {
		t.Errorf("node itself is %d, want runtime", got)
	}
	for _, extension := range []struct{ path, runtime string }{
		{"/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so", "cpython"},
		{"/usr/lib/python3/dist-packages/aiohttp/_http_parser.so", "cpython"},
		{"/usr/lib/x86_64-linux-gnu/ruby/3.1.0/io/wait.so", "ruby"},
		// Of interpreters that are a part of another program.
		{"/usr/lib/python3/dist-packages/aiohttp/_http_parser.so", ""},
		{"/usr/lib/php/20220829/opcache.so", ""},
	} {
		if got := moduleOrigin(extension.path, extension.runtime, false); got != lib {
			t.Errorf("%s is %d, want a library", extension.path, got)
		}
	}
}

func TestJITNames(t *testing.T) {
	tests := []struct {
		runtime, name string
		want          threadtrace.Frame
	}{
		{"jvm", "int com.acme.Shop.total(java.util.List)", threadtrace.Frame{Function: "com.acme.Shop.total"}},
		{"jvm", "int java.lang.String.hashCode()", threadtrace.Frame{Function: "java.lang.String.hashCode", Origin: threadtrace.OriginLibrary}},
		{"jvm", "Lcom/acme/Shop;::total", threadtrace.Frame{Function: "com.acme.Shop.total"}},
		{"jvm", "void com.acme.Shop.<init>(java.lang.String)", threadtrace.Frame{Function: "com.acme.Shop.<init>"}},
		{"jvm", "void com.acme.Shop$$Lambda$14/0x0000000800c03000.run()", threadtrace.Frame{Function: "com.acme.Shop$$Lambda.run"}},
		{"jvm", "void com.acme.Shop$$Lambda/0x00007f1c00c03000.run()", threadtrace.Frame{Function: "com.acme.Shop$$Lambda.run"}},
		{"jvm", "void java.lang.invoke.LambdaForm$MH/0x0000000800c4e400.invoke(java.lang.Object)",
			threadtrace.Frame{Function: "java.lang.invoke.LambdaForm$MH.invoke", Origin: threadtrace.OriginLibrary}},
		{"jvm", "void jakarta.servlet.http.HttpServlet.service(jakarta.servlet.ServletRequest, jakarta.servlet.ServletResponse)",
			threadtrace.Frame{Function: "jakarta.servlet.http.HttpServlet.service", Origin: threadtrace.OriginLibrary}},
		{"jvm", "Interpreter", threadtrace.Frame{Function: "Interpreter", Origin: threadtrace.OriginRuntime}},
		{"jvm", "vtable stub", threadtrace.Frame{Function: "vtable stub", Origin: threadtrace.OriginRuntime}},
		{"jvm", "I2C/C2I adapters(0xbbbb)", threadtrace.Frame{Function: "I2C/C2I adapters(0xbbbb)", Origin: threadtrace.OriginRuntime}},
		{"cpython", "py::total:/srv/shop.py", threadtrace.Frame{Function: "total", File: "/srv/shop.py"}},
		{"", "luajit_fn", threadtrace.Frame{Function: "luajit_fn"}},
	}
	for _, tt := range tests {
		tt.want.Module = "[jit]"
		if got := jitFrame(tt.name, tt.runtime); got != tt.want {
			t.Errorf("%s %q = %+v, want %+v", tt.runtime, tt.name, got, tt.want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	for raw, want := range map[string]string{
		"flushAppendOnlyFile":        "flushAppendOnlyFile",
		"foo.cold":                   "foo",
		"foo.isra.0":                 "foo",
		"foo.part.0.constprop.1":     "foo",
		"foo.cold.12":                "foo",
		"main.go.thing":              "main.go.thing",
		"v1.2":                       "v1.2",
		"_ZN2ns5Class6methodEib":     "ns::Class::method",
		"_ZN2ns5Class6methodEi.cold": "ns::Class::method",
		"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE": "core::fmt::Write::write_fmt",
		"_RNvCs1234_7mycrate3foo":                          "mycrate::foo",
		"_Znope":                                           "_Znope",
	} {
		if got := displayName(raw); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
}

// symbolBytes builds an Elf64_Sym table.
func symbolBytes(symbols ...[4]uint64) (data, names []byte) {
	names = []byte("\x00read\x00__read\x00neighbour\x00label\x00")
	offsets := []uint32{1, 6, 13, 23}
	for _, s := range symbols { // name index, info, addr, size
		var b [symbolEntrySize]byte
		binary.LittleEndian.PutUint32(b[:], offsets[s[0]])
		b[4] = byte(s[1])
		binary.LittleEndian.PutUint16(b[6:], 1)
		binary.LittleEndian.PutUint64(b[8:], s[2])
		binary.LittleEndian.PutUint64(b[16:], s[3])
		data = append(data, b[:]...)
	}
	return data, names
}

// unhurried is an allowance whose time stands still: that of a thread is another one when a
// test is moved to another thread.
func unhurried() *allowance { return newAllowance(func() time.Duration { return 0 }) }

func TestSymbolMustCoverTheAddress(t *testing.T) {
	fn := uint64(elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC))
	label := uint64(elf.ST_INFO(elf.STB_GLOBAL, elf.STT_NOTYPE))
	data, names := symbolBytes(
		[4]uint64{1, fn, 0x1000, 0x20}, [4]uint64{0, fn, 0x1000, 0x20},
		[4]uint64{2, fn, 0x2000, 0x10}, [4]uint64{3, label, 0x3000, 0})
	table := readSymbols(unhurried(), bytes.NewReader(data), names, selection{})
	tests := []struct {
		name        string
		addr, start uint64
		want        string
	}{
		{"public alias", 0x1010, 0x1000, "read"},
		{"past the neighbour's end", 0x2010, 0x2010, ""},
		{"far past the neighbour", 0x2fff, 0, ""},
		{"label at the range's start", 0x3004, 0x3000, "label"},
		{"label elsewhere", 0x3004, 0x2ff0, ""},
		{"label without a range", 0x3004, 0, ""},
		{"below all", 0x10, 0, ""},
	}
	for _, tt := range tests {
		if got, _, _ := table.find(tt.addr, tt.start); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestStringsOfOthersAreNotKept: most of a table of strings may name what is no function,
// or what another table names.
func TestStringsOfOthersAreNotKept(t *testing.T) {
	fn := uint64(elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC))
	data, names := symbolBytes([4]uint64{1, fn, 0x1000, 0x20}, [4]uint64{2, fn, 0x2000, 0x10}, [4]uint64{3, fn, 0x3000, 0x10})
	whole := readSymbols(unhurried(), bytes.NewReader(data), names, selection{})
	names = append(names, make([]byte, 1<<16)...)
	table := readSymbols(unhurried(), bytes.NewReader(data), names, selection{leave: span{0x2000, 0x3000}})
	if len(table.strings) > 64 || !table.left || len(table.symbols) != 2 {
		t.Errorf("%d bytes of names are kept of %d symbols; some are left out: %v", len(table.strings), len(table.symbols), table.left)
	}
	for _, addr := range []uint64{0x1000, 0x3000} {
		got, _, _ := table.find(addr, addr)
		if want, _, _ := whole.find(addr, addr); got != want || got == "" {
			t.Errorf("%#x is %q, not %q", addr, got, want)
		}
	}
	if got, _, ok := table.find(0x2000, 0x2000); ok {
		t.Errorf("%s is left out", got)
	}
	none := readSymbols(unhurried(), bytes.NewReader(data), names, selection{leave: span{0, 0x4000}})
	if len(none.symbols) != 0 || len(none.strings) != 0 {
		t.Errorf("%d bytes of names are kept of nothing", len(none.strings))
	}
}

func TestExpressions(t *testing.T) {
	var regs registers
	regs.set(7, 0x1000)
	regs.set(16, 0x400b)
	mem := &memory{base: 0x1000, data: binary.LittleEndian.AppendUint64(nil, 0xbeef)}
	tests := []struct {
		name string
		expr []byte
		want uint64
		ok   bool
	}{
		// What GNU ld writes for .plt: rsp+8 + ((rip & 15) >= 11) * 8.
		{"plt pushed", []byte{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}, 0x1010, true},
		{"deref", []byte{0x77, 0, 0x06}, 0xbeef, true},
		{"deref outside", []byte{0x77, 8, 0x06}, 0, false},
		{"unknown register", []byte{0x76, 0}, 0, false},
		{"underflow", []byte{0x22}, 0, false},
		{"endless", []byte{0x2f, 0xfd, 0xff}, 0, false},
		{"truncated", []byte{0x0c, 1}, 0, false},
		{"empty", nil, 0, false},
	}
	for _, tt := range tests {
		got, ok := evaluate(tt.expr, &regs, mem)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: %#x %v, want %#x %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzParseMaps(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/maps"); err == nil {
		f.Add(text)
	}
	f.Add([]byte("1-2 r-xp 0 0:0 0 /a (deleted)\n\n--- - -"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, m := range parseMaps(text) {
			if m.end <= m.start {
				t.Fatalf("empty mapping %+v", m)
			}
		}
	})
}

func FuzzPerfMap(f *testing.F) {
	f.Add([]byte("1000 100 a\n1080 100 b\n"))
	f.Add([]byte("ffffffffffffffff 1 x\n0 0 \n0x10 0x10 y z\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m perfMap
		_ = m.merge(text)
		_ = m.merge(text)
		var last jitSymbol
		size := int64(0)
		if m.now.tree != nil {
			m.now.tree.Ascend(func(s jitSymbol) bool {
				if s.start < last.end {
					t.Fatal("entries overlap")
				}
				last = s
				size += s.bytes()
				return true
			})
		}
		if size != m.now.size {
			t.Fatalf("%d bytes are counted, not %d", m.now.size, size)
		}
	})
}
