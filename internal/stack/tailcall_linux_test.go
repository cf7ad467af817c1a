package stack_test

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/internal/stack/stacktest"
)

const jumper = `
#include <unistd.h>
#include <time.h>
static void __attribute__((noinline)) fetch(int s) { usleep(s * 100000u); }
static int __attribute__((noinline)) own(int n) { struct timespec t = {n, 0}; nanosleep(&t, 0); return n + 1; }
static int __attribute__((noinline)) passes(int n) { return own(n + 1); }
static volatile int sink;
int main(int argc, char **argv) {
	int (*volatile through)(int) = passes;
	for (;;) {
		if (argc == 1) fetch(9000);
		else if (argc == 2) sink = passes(900) + 1;
		else sink = through(900) + 1;
	}
}
`

// A function that ends in a jump has no frame; who called it says that it was there, if
// it says whom it calls.
func TestAFunctionThatJumpedOnIsNamed(t *testing.T) {
	stacktest.NeedRoot(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		stacktest.Missing(t, "gcc is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `printf '%s' "$1" > jumper.c; exec gcc -O2 -fno-ipa-cp -o jumper jumper.c`, "sh", jumper)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"fetch", "main", "_start"}},
		{[]string{"x"}, []string{"own", "passes", "main", "_start"}},
		{[]string{"x", "x"}, []string{"own", "main", "_start"}},
	} {
		cmd := exec.Command(filepath.Join(dir, "jumper"), tt.args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		time.Sleep(100 * time.Millisecond)
		regs, data, err := stacktest.Capture(cmd.Process.Pid, cmd.Process.Pid, stackBytes)
		if err != nil {
			t.Fatal(err)
		}
		u := stack.NewUnwinder(stack.Options{})
		st, err := u.Unwind(int32(cmd.Process.Pid), regs, stack.Copy{Bytes: data})
		if err != nil || !st.Complete {
			t.Errorf("complete %v, error %v, %s", st.Complete, err, render(st))
		}
		if got := own(st, "jumper"); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%d arguments: got %v, want %v: %s", len(tt.args), got, tt.want, render(st))
		}
	}
}
