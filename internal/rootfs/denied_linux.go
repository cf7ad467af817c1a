package rootfs

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Denied names the system calls that the package cannot do without and that the
// kernel refuses even for what is the caller's own, each with what is lost. A
// seccomp filter does that.
func Denied() (denied []string) {
	at, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err == nil {
		_ = unix.Close(at)
	} else {
		denied = append(denied, fmt.Sprintf("programs: openat2 is refused (%v), so no program of a target is read and no function has a name; "+
			"a seccomp filter does that (systemd's RestrictSUIDSGID=, the profile of an old container engine)", err))
	}
	here, there := [1]byte{1}, [1]byte{}
	addr := uint64(uintptr(unsafe.Pointer(&here))) //nolint:gosec // an address of this process
	err = ProcessMemory(unix.Getpid()).ReadMemory(there[:], addr)
	runtime.KeepAlive(&here)
	if err != nil {
		denied = append(denied, fmt.Sprintf("memory: process_vm_readv is refused (%v), so no function of an interpreter and no parked goroutine is seen; "+
			"a seccomp filter does that (systemd: SystemCallFilter=process_vm_readv allows it again)", err))
	}
	return denied
}
