package syscallreceiver

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keptCapabilities are what the receiver needs once it runs.
var keptCapabilities = []int{
	unix.CAP_BPF, unix.CAP_PERFMON, // the hooks are attached and detached for each burst
	unix.CAP_SYS_PTRACE,         // programs, maps and memory of the targets
	unix.CAP_DAC_READ_SEARCH,    // files of targets that other accounts may not read
	unix.CAP_CHECKPOINT_RESTORE, // the files behind mappings (map_files)
	unix.CAP_KILL,               // SIGQUIT asks a JVM for its attach socket
	unix.CAP_NET_BIND_SERVICE,   // other receivers of the collector may not listen yet
}

// lastCapability is the highest number there may ever be: a set has 64 bits.
const lastCapability = 63

// dropPrivileges gives up, in all threads and for good, every capability but
// those the receiver needs while it runs, and the gaining of new ones by
// programs that would be started.
func dropPrivileges() error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("cannot set no_new_privs: %w", errno)
	}
	for c := uintptr(0); c <= lastCapability; c++ {
		if slices.Contains(keptCapabilities, int(c)) {
			continue
		}
		// Who may not (without CAP_SETPCAP) can give nothing away that way either;
		// EINVAL is one the kernel does not know.
		_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0)
		if errno != 0 && !errors.Is(errno, unix.EPERM) && !errors.Is(errno, unix.EINVAL) {
			return fmt.Errorf("cannot drop capability %d from the bounding set: %w", c, errno)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return fmt.Errorf("cannot read the capabilities: %w", err)
	}
	var kept [2]uint32
	for _, c := range keptCapabilities {
		kept[c/32] |= 1 << (c % 32)
	}
	for i := range have {
		have[i].Permitted &= kept[i]
		have[i].Effective &= kept[i]
		have[i].Inheritable = 0
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&have[0])), 0)
	runtime.KeepAlive(&header)
	runtime.KeepAlive(&have)
	if errno != 0 {
		return fmt.Errorf("cannot drop capabilities: %w", errno)
	}
	return nil
}
