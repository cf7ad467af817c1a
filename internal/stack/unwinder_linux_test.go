package stack_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// here is an address inside this test's own code.
func here(n int) stack.Registers {
	return stack.Registers{IP: uint64(reflect.ValueOf(TestOwnProcess).Pointer()) + uint64(n), SP: 0x1000}
}

func TestOwnProcess(t *testing.T) {
	u := stack.NewUnwinder(stack.Options{})
	pid := int32(os.Getpid())
	st, err := u.Unwind(pid, here(4), stack.Copy{})
	if err != nil {
		t.Fatal(err)
	}
	want := "github.com/perfscope/perfscope/internal/stack_test.TestOwnProcess"
	if len(st.Frames) != 1 || st.Frames[0].Function != want || st.Complete || !strings.HasSuffix(st.Frames[0].File, "unwinder_linux_test.go") {
		t.Errorf("got %+v", st)
	}
	if f, _ := u.Facts(pid); f.Runtime != "go" || f.Functions == 0 {
		t.Errorf("its facts are %+v", f)
	}
}

func TestUnknownProcess(t *testing.T) {
	u := stack.NewUnwinder(stack.Options{})
	_, err := u.Unwind(1<<30, here(0), stack.Copy{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "1073741824") {
		t.Errorf("error %v does not say that the process is gone", err)
	}
	if s := u.Stats(); s.Failed != 1 || s.Processes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestInherit names a stack of a child that has ended before its maps could be
// read.
func TestInherit(t *testing.T) {
	cmd := exec.Command("sh", "-c", ":")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	parent, child := int32(os.Getpid()), int32(cmd.Process.Pid)
	u := stack.NewUnwinder(stack.Options{})
	if _, err := u.Unwind(child, here(4), stack.Copy{}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the child is there still: %v", err)
	}
	_, _ = u.Facts(parent) // it is known, as any process that is followed
	u.Inherit(parent, child)
	u.Forget(parent) // a subshell, which may have ended as well
	grandchild := int32(1 << 30)
	u.Inherit(child, grandchild)
	for _, pid := range []int32{grandchild, child} {
		st, err := u.Unwind(pid, here(4), stack.Copy{})
		if err != nil || len(st.Frames) != 1 || !strings.HasSuffix(st.Frames[0].Function, ".TestOwnProcess") {
			t.Errorf("%+v, %v", st, err)
		}
		if f, _ := u.Facts(pid); f.Runtime != "go" {
			t.Error("its runtime is not known")
		}
	}
	u.Forget(child)
	if _, err := u.Unwind(child, here(4), stack.Copy{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("forgotten, and got %v", err)
	}
}

func TestUnknownAddress(t *testing.T) {
	u := stack.NewUnwinder(stack.Options{})
	st, err := u.Unwind(int32(os.Getpid()), stack.Registers{IP: 0x10, SP: 0x1000}, stack.Copy{})
	if err != nil || len(st.Frames) != 1 || st.Frames[0].Origin != threadtrace.OriginUnknown || st.Complete {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestCachesAreBounded(t *testing.T) {
	u := stack.NewUnwinder(stack.Options{MaxStacks: 3, MaxProcesses: 1, MaxModules: 1})
	pid := int32(os.Getpid())
	for round := range 2 {
		for i := range 10 {
			if _, err := u.Unwind(pid, here(i), stack.Copy{}); err != nil {
				t.Fatal(err)
			}
		}
		if s := u.Stats(); s.CachedStacks != 3 || s.StackBytes > 3*1024 || s.CacheHits != 0 {
			t.Errorf("round %d: %+v", round, s)
		}
	}
	if _, err := u.Unwind(pid, here(9), stack.Copy{}); err != nil {
		t.Fatal(err)
	}
	if s := u.Stats(); s.CacheHits != 1 {
		t.Errorf("the last stack was not cached: %+v", s)
	}
	u.Forget(pid)
	if s := u.Stats(); s.Processes != 0 {
		t.Errorf("forgotten process is held: %+v", s)
	}
	parent := int32(os.Getppid())
	for _, p := range []int32{pid, parent, pid} {
		_, _ = u.Facts(p)
		if s := u.Stats(); s.Processes > 1 || s.Modules > 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	u := stack.NewUnwinder(stack.Options{MaxStacks: 4})
	pid := int32(os.Getpid())
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := u.Unwind(pid, here(i%8+g), stack.Copy{}); err != nil {
					t.Error(err)
				}
				u.Stats()
				if i%20 == 0 {
					u.Forget(pid)
				}
			}
		})
	}
	wg.Wait()
}

const sleeper = `
#include <time.h>
#include <signal.h>
static int __attribute__((noinline)) hidden(int n) { struct timespec t = {n, 0}; nanosleep(&t, 0); return n + 1; }
static inline int __attribute__((always_inline)) wrapped(int n) { return hidden(n) * 2; }
int __attribute__((noinline)) visible(int n) { return wrapped(n) + 1; }
static volatile int sink;
static void handler(int s) { sink = visible(30); }
int main(int argc, char **argv) {
	if (argc == 1) { signal(SIGALRM, handler); raise(SIGALRM); }
	for (;;) visible(30);
}
`

// TestBuilds takes the stack of one program in all the ways it can be shipped.
func TestBuilds(t *testing.T) {
	stacktest.NeedRoot(t)
	for _, tool := range []string{"gcc", "objcopy", "strip", "readelf", "xz", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			stacktest.Missing(t, "%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	script := `set -e
printf '%s' "$1" > a.c
gcc -O2 -g -fomit-frame-pointer -o full a.c
strip -g -o symtab full; strip -s -o stripped full; cp stripped deleted; cp full signal
objcopy --only-keep-debug full debug; objcopy -S --keep-symbol=hidden --keep-symbol=visible --keep-symbol=main debug mini
xz mini; objcopy --add-section .gnu_debugdata=mini.xz stripped minidebug
id=$(readelf -n full | sed -n 's/.*Build ID: //p')
mkdir -p dbg/.build-id/${id%${id#??}}; cp debug dbg/.build-id/${id%${id#??}}/${id#??}.debug`
	cmd := exec.Command("sh", "-c", script, "sh", sleeper)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	named := []string{"hidden", "visible", "main", "_start"}
	tests := []struct {
		name, binary string
		opts         stack.Options
		want         []string // of the program's own module; "?" has no name
	}{
		{"debug information", "full", stack.Options{Lines: true}, []string{"hidden:3", "(wrapped):4", "visible:5", "main:10", "_start"}},
		{"symtab", "symtab", stack.Options{}, named},
		{"gnu_debugdata", "minidebug", stack.Options{}, named},
		{"debug file by build id", "stripped", stack.Options{DebugDirs: []string{filepath.Join(dir, "dbg")}}, named},
		{"stripped", "stripped", stack.Options{}, []string{"?", "?", "main", "_start"}},
		{"deleted", "deleted", stack.Options{}, []string{"?", "?", "main", "_start"}},
		{"signal handler", "signal", stack.Options{}, []string{"hidden", "visible", "handler", "main", "_start"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"x"}
			if tt.binary == "signal" {
				args = nil
			}
			cmd := exec.Command(filepath.Join(dir, tt.binary), args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			time.Sleep(100 * time.Millisecond)
			if tt.binary == "deleted" {
				if err := os.Remove(filepath.Join(dir, "deleted")); err != nil {
					t.Fatal(err)
				}
			}
			regs, data, err := stacktest.Capture(cmd.Process.Pid, cmd.Process.Pid, stackBytes)
			if err != nil {
				t.Fatal(err)
			}
			u := stack.NewUnwinder(tt.opts)
			st, err := u.Unwind(int32(cmd.Process.Pid), regs, stack.Copy{Bytes: data})
			if err != nil || !st.Complete {
				t.Errorf("complete %v, error %v, %s", st.Complete, err, render(st))
			}
			if got := own(st, tt.binary); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v: %s", got, tt.want, render(st))
			}
			if f, _ := u.Facts(int32(cmd.Process.Pid)); f.BuildIDKind != "gnu" || len(f.BuildID) != 40 {
				t.Errorf("its facts are %+v", f)
			}
		})
	}
}

// own renders the frames of one module: (name) is inlined, :n a line.
func own(st threadtrace.Stack, module string) []string {
	var out []string
	for _, f := range st.Frames {
		if f.Module != module {
			continue
		}
		s := f.Function
		if strings.Contains(s, "+0x") {
			s = "?"
		}
		if f.Inlined {
			s = "(" + s + ")"
		}
		if f.Line != 0 {
			s += fmt.Sprintf(":%d", f.Line-1) // the source starts with an empty line
		}
		out = append(out, s)
	}
	return out
}

const napLibrary = `
static long __attribute__((noinline)) sys(long n, long a, long b) {
	long r; __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b) : "rcx", "r11", "memory"); return r; }
static long __attribute__((noinline)) inner(long s, volatile long *k) {
	long t[2] = {s, 0}; long r = sys(35, (long)t, 0); k[0] = r; return r + k[1]; }
long nap(long s) { volatile long k[20]; k[1] = s; return inner(s, k) + k[1]; }
`

const napper = `
long nap(long);
int __attribute__((noinline)) culprit(int n) { return nap(n) + 1; }
int __attribute__((noinline)) outer(int n) { return culprit(n) + 1; }
int main() { for (;;) outer(30); }
`

// TestLibraryWithoutTables walks through a library like Alpine's libc: built
// without call frame information and without frame pointers.
func TestLibraryWithoutTables(t *testing.T) {
	stacktest.NeedRoot(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the search for return addresses is for amd64 only")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		stacktest.Missing(t, "gcc is not installed")
	}
	dir := t.TempDir()
	script := `set -e
printf '%s' "$1" > lib.c; printf '%s' "$2" > main.c
gcc -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer -fPIC -shared -nostdlib -o libnap.so lib.c
gcc -O2 -o plt main.c ./libnap.so -Wl,-rpath,"$PWD"; gcc -O2 -fno-plt -o noplt main.c ./libnap.so -Wl,-rpath,"$PWD"`
	cmd := exec.Command("sh", "-c", script, "sh", napLibrary, napper)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, binary := range []string{"plt", "noplt"} {
		cmd := exec.Command(filepath.Join(dir, binary))
		cmd.Dir = dir // where it looks for its library
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		time.Sleep(100 * time.Millisecond)
		regs, data, err := stacktest.Capture(cmd.Process.Pid, cmd.Process.Pid, stackBytes)
		if err != nil {
			t.Fatal(err)
		}
		st, err := stack.NewUnwinder(stack.Options{}).Unwind(int32(cmd.Process.Pid), regs, stack.Copy{Bytes: data})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := own(st, "libnap.so"), []string{"sys", "inner", "nap"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: library frames %v, want %v", binary, got, want)
		}
		if got, want := own(st, binary), []string{"culprit", "outer", "main", "_start"}; !reflect.DeepEqual(got, want) || !st.Complete {
			t.Errorf("%s: frames %v, want %v", binary, got, want)
		}
	}
}
