package stacktest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
)

// Capture stops the thread tid of process pid for a moment and copies its
// registers and up to limit bytes of its stack, from the stack pointer up.
// The calling goroutine is locked to its thread meanwhile. It needs root or
// the target's user.
func Capture(pid, tid, limit int) (stack.Registers, []byte, error) {
	const seize, interrupt, wall, stopEvent = 0x4206, 0x4207, 0x40000000, 128
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := ptrace(seize, tid); err != nil {
		return stack.Registers{}, nil, fmt.Errorf("seize thread %d: %w", tid, err)
	}
	defer func() { _ = syscall.PtraceDetach(tid) }()
	if err := ptrace(interrupt, tid); err != nil {
		return stack.Registers{}, nil, fmt.Errorf("interrupt thread %d: %w", tid, err)
	}
	var status syscall.WaitStatus
	// Polled, so that a stop that somebody else's wait took cannot hang us.
	for deadline := time.Now().Add(2 * time.Second); ; {
		got, err := syscall.Wait4(tid, &status, wall|syscall.WNOHANG, nil)
		if err != nil && err != syscall.EINTR {
			return stack.Registers{}, nil, fmt.Errorf("wait for thread %d: %w", tid, err)
		}
		if got != tid {
			if time.Now().After(deadline) {
				return stack.Registers{}, nil, fmt.Errorf("thread %d does not stop", tid)
			}
			time.Sleep(20 * time.Microsecond)
			continue
		}
		if !status.Stopped() {
			return stack.Registers{}, nil, fmt.Errorf("thread %d is gone", tid)
		}
		if int(status)>>16 == stopEvent {
			break
		}
		// A signal came first: deliver it and wait on.
		_ = syscall.PtraceCont(tid, int(status.StopSignal()))
	}
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &regs); err != nil {
		return stack.Registers{}, nil, fmt.Errorf("registers of thread %d: %w", tid, err)
	}
	r := registersOf(&regs)
	mem, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil {
		return r, nil, err
	}
	defer func() { _ = mem.Close() }()
	data := make([]byte, limit)
	n := 0
	for n < limit { // page by page: the stack may end before limit
		end := min(limit, n+4096-int((r.SP+uint64(n))&4095))
		if _, err := mem.ReadAt(data[n:end], int64(r.SP)+int64(n)); err != nil {
			break
		}
		n = end
	}
	return r, data[:n], nil
}

func ptrace(request, tid int) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(request), uintptr(tid), 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Threads lists the thread ids of a process.
func Threads(pid int) []int {
	paths, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
	var out []int
	for _, p := range paths {
		if tid, err := strconv.Atoi(filepath.Base(p)); err == nil {
			out = append(out, tid)
		}
	}
	return out
}

// Children lists the processes whose parent is pid.
func Children(pid int) []int {
	paths, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	var out []int
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		for len(text) > 0 {
			var child int
			n, err := fmt.Sscan(string(text), &child)
			if n != 1 || err != nil {
				break
			}
			out = append(out, child)
			text = text[len(strconv.Itoa(child))+1:]
		}
	}
	return out
}
