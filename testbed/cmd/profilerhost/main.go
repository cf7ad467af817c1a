// Command profilerhost executes a command as if the host had what the OpenTelemetry
// eBPF profiler asks of one, and a container may lack: tracefs, mounted in a namespace
// of its own, and a limit of locked memory that may be raised. Kernels from 5.11 on do
// not count the memory of BPF there, so that the call that raises it
// has nothing to do: it succeeds without doing anything. Nothing else is changed, and
// it is for tests only.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: profilerhost command [argument ...]")
		os.Exit(2)
	}
	err := run(os.Args[1:])
	fmt.Fprintln(os.Stderr, "error:", err)
	os.Exit(1)
}

// run returns only when the command cannot be executed.
func run(command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread() // namespaces and filters are a thread's
	if err := mountTracefs(); err != nil {
		return fmt.Errorf("tracefs: %w", err)
	}
	if err := allowLockedMemory(); err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	return unix.Exec(path, command, os.Environ())
}

const tracefs = "/sys/kernel/tracing"

func mountTracefs() error {
	if _, err := os.Stat(tracefs + "/events"); err == nil {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("tracefs", tracefs, "tracefs", 0, "")
}

// allowLockedMemory has prlimit(RLIMIT_MEMLOCK) that sets a limit return 0. A process
// that may raise the limit is left alone.
func allowLockedMemory() error {
	infinite := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &infinite, nil); !errors.Is(err, unix.EPERM) {
		return err
	}
	// Offsets in struct seccomp_data; the upper half of the pointer to the new limit
	// tells a pointer from none.
	const nr, resource, limitHigh = 0, 16 + 8, 16 + 2*8 + 4
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: nr},
		{Code: equal, K: unix.SYS_PRLIMIT64, Jf: 5},
		{Code: load, K: resource},
		{Code: equal, K: unix.RLIMIT_MEMLOCK, Jf: 3},
		{Code: load, K: limitHigh},
		{Code: equal, K: 0, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_ERRNO}, // with the error 0
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
