package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// LoopEnv makes the program that has it in its environment one of the loops
// that are measured: call Loop first thing in main.
const LoopEnv = "PERFSCOPE_BENCH_LOOP"

// loopCalls make a round of a millisecond or so: most fit between two
// interruptions.
const loopCalls = 4000

// Loop is a loop of a kind: getppid, readwrite and handover make calls when they read a
// line, and say how long they took; "paced CALLS THREADS" makes so many calls a
// second until standard input is closed, and "goroutines N" has so many wait.
func Loop(kind string) {
	var calls, threads int
	if n, _ := fmt.Sscanf(kind, "paced %d %d", &calls, &threads); n == 2 {
		pace(calls, threads)
		return
	}
	if n, _ := fmt.Sscanf(kind, "goroutines %d", &threads); n == 1 {
		pass(threads)
		return
	}
	runtime.LockOSThread()
	in := bufio.NewReader(os.Stdin)
	zero, err := os.Open("/dev/zero")
	null, err2 := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if errors.Join(err, err2) != nil {
		os.Exit(1)
	}
	buf := make([]byte, 1)
	body := func() { _, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0) }
	if kind == "readwrite" {
		from, to := int(zero.Fd()), int(null.Fd())
		body = func() {
			_, _ = syscall.Read(from, buf)
			_, _ = syscall.Write(to, buf)
		}
	}
	if kind == "handover" {
		body = handover()
	}
	for {
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
		for range 200 { // the caches, after the pipe
			body()
		}
		start := time.Now()
		for range loopCalls {
			body()
		}
		fmt.Println(time.Since(start).Nanoseconds())
	}
}

// call makes a call on a descriptor with a buffer.
func call(number uintptr, fd int, b []byte) {
	_, _, _ = syscall.RawSyscall(number, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // a descriptor
}

// loop is a started Loop.
type loop struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startLoop(kind string, env ...string) (*loop, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), LoopEnv+"="+kind, "GOMAXPROCS=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &loop{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (l *loop) stop() {
	_ = l.in.Close()
	_ = l.cmd.Wait()
}

// round is the time of a call, in nanoseconds.
func (l *loop) round() (float64, error) {
	if _, err := io.WriteString(l.in, "go\n"); err != nil {
		return 0, err
	}
	line, err := l.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	return n / loopCalls, err
}
