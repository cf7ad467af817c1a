package interpreter

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
)

// pythons are the interpreters of this machine: Debian's, and those of pyenv.
func pythons(t *testing.T) []string {
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin/python3.*"))
	require.NoError(t, err)
	found = slices.DeleteFunc(found, func(path string) bool {
		return pythonMinor(filepath.Base(path)) < 8
	})
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		found = append(found, "/usr/bin/python3")
	}
	if len(found) == 0 {
		t.Skip("no python here")
	}
	return found
}

// running is a script that says where its threads are.
type running struct {
	PID     int32
	Threads map[string][][3]any
}

// startScript starts a script that says in a line of JSON where it waits, and that
// ends when its input does.
func startScript(t testing.TB, told any, program string, args ...string) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(line), told))
}

// flat is what the script prints.
func flat(calls []Call) (frames [][3]any) {
	for _, c := range calls {
		for _, f := range c.Frames {
			frames = append(frames, [3]any{f.Function, f.File, float64(f.Line)})
		}
	}
	return frames
}

// newTestReader is a Reader as the receiver has it.
func newTestReader() *Reader {
	u := stack.NewUnwinder(stack.Options{Variables: Variables})
	return NewReader(&rootfs.Door{}, func(pid int32) (Program, error) {
		module, at, err := u.Variables(pid)
		return Program{Module: module, Variables: at}, err
	})
}

// waiting is what a thread that waits is seen at; it waits until it does.
func waiting(t testing.TB, pid, tid int32) Seen {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
		if err != nil {
			t.Skip("the kernel does not show where threads wait: ", err)
		}
		fields := strings.Fields(string(text))
		if len(fields) < 3 {
			continue // it runs
		}
		sp, err := strconv.ParseUint(fields[len(fields)-2], 0, 64)
		require.NoError(t, err)
		ip, err := strconv.ParseUint(fields[len(fields)-1], 0, 64)
		require.NoError(t, err)
		return Seen{SP: sp, IP: ip}
	}
	t.Fatal("it does not wait")
	return Seen{}
}

func TestPythonIsInTheFunctionsThatItSays(t *testing.T) {
	for _, program := range pythons(t) {
		for _, how := range []string{"plain", "fork"} {
			t.Run(program+" "+how, func(t *testing.T) {
				var r running
				startScript(t, &r, program, "testdata/threads.py", how)
				require.Len(t, r.Threads, 7)
				reader := newTestReader()
				for id, told := range r.Threads {
					tid, err := strconv.Atoi(id)
					require.NoError(t, err)
					calls, err := reader.Look(r.PID, int32(tid), waiting(t, r.PID, int32(tid))) //nolint:gosec // a thread id
					require.NoError(t, err, told)
					require.Equal(t, told, flat(calls))
				}
				began := time.Now()
				calls, err := reader.Look(r.PID, r.PID, waiting(t, r.PID, r.PID))
				t.Logf("a look took %v", time.Since(began))
				require.NoError(t, err)
				main := flat(calls)
				require.Equal(t, "main_waits", main[len(main)-2][0])
			})
		}
	}
}

// TestAProcessForkedPastPython has thread ids that are not its own.
func TestAProcessForkedPastPython(t *testing.T) {
	for _, program := range pythons(t) {
		if exec.Command(program, "-c", "import ctypes").Run() != nil {
			continue
		}
		t.Run(program, func(t *testing.T) {
			var r running
			startScript(t, &r, program, "testdata/forked.py")
			calls, err := newTestReader().Look(r.PID, r.PID, waiting(t, r.PID, r.PID))
			require.NoError(t, err)
			frames := flat(calls)
			require.NotEmpty(t, frames)
			require.Contains(t, []any{"serve", "FileIO.readall"}, frames[0][0], frames)
		})
	}
}

// TestAThreadRunsInOneOfItsInterpreters: it has a state in each.
func TestAThreadRunsInOneOfItsInterpreters(t *testing.T) {
	for _, program := range pythons(t) {
		if exec.Command(program, "-c", "import _xxsubinterpreters").Run() != nil {
			continue // newer ones have it by another name
		}
		t.Run(program, func(t *testing.T) {
			var r running
			startScript(t, &r, program, "testdata/subinterpreter.py")
			calls, err := newTestReader().Look(r.PID, r.PID, waiting(t, r.PID, r.PID))
			require.NoError(t, err)
			frames := flat(calls)
			require.NotEmpty(t, frames)
			require.Contains(t, []any{"serve", "FileIO.readall"}, frames[0][0], frames)
		})
	}
}
