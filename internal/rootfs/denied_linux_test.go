package rootfs

import (
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestARefusalIsNamed(t *testing.T) {
	if denied := Denied(); len(denied) > 0 {
		t.Fatalf("here nothing is refused, and yet: %q", denied)
	}
	denied := make(chan []string)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with its filter
		if err := refuse(unix.SYS_OPENAT2, unix.SYS_PROCESS_VM_READV); err != nil {
			denied <- []string{err.Error()}
			return
		}
		denied <- Denied()
	}()
	got := <-denied
	if len(got) != 2 || !strings.HasPrefix(got[0], "programs: openat2 is refused (function not implemented)") ||
		!strings.HasPrefix(got[1], "memory: process_vm_readv is refused (function not implemented)") {
		t.Errorf("told: %q", got)
	}
}

// refuse has the kernel answer ENOSYS to some calls of this thread.
func refuse(calls ...uint32) error {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	give := func(what uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what} }
	filter := []unix.SockFilter{load(0)}
	for _, call := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call}, give(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	filter = append(filter, give(unix.SECCOMP_RET_ALLOW))
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // a few
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(filter)
	return err
}
