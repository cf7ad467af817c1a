package threadtrace

//go:generate sh -c "go run ./internal/gentables $(go list -m -f '{{.Dir}}' golang.org/x/sys)"

import (
	"strconv"
	"strings"
	"sync"
)

// The architectures whose system call tables are known, by the name that Go
// and the host.arch attribute give them.
const (
	ArchAMD64 = "amd64"
	ArchARM64 = "arm64"
)

// unnamed starts the name of a call that is in no table.
const unnamed = "syscall_"

// Name is the name of a system call ("epoll_wait") on an architecture, or of a wait
// of goroutines ("go.chan_receive"). A
// number that is in no table is "syscall_<number>", NoCall is the empty string.
func Name(arch string, number int32) string {
	if number == NoCall {
		return ""
	}
	if IsGoroutineWait(number) {
		return goroutineNames[number-goroutineWaits]
	}
	if names := calls(arch); number >= 0 && int(number) < len(names) && names[number] != "" {
		return names[number]
	}
	return unnamed + strconv.Itoa(int(number))
}

// Number is the inverse of Name; false when the architecture has no call of
// that name. The empty string is NoCall.
func Number(arch, name string) (int32, bool) {
	if name == "" {
		return NoCall, true
	}
	if number, ok := numbers()[arch][name]; ok {
		return number, true
	}
	if digits, ok := strings.CutPrefix(name, unnamed); ok {
		if n, err := strconv.ParseInt(digits, 10, 32); err == nil {
			return int32(n), true
		}
	}
	return 0, false
}

// ErrnoName is the name of an error code ("EAGAIN"), given as the positive
// number or, as calls return it, negative. Zero is the empty string, a code
// without a name is "errno_<number>". The kernel's own ERESTARTSYS and kin,
// which only tracing sees, have theirs.
func ErrnoName(errno int32) string {
	if errno < 0 && errno > -4096 {
		errno = -errno
	}
	switch {
	case errno == 0:
		return ""
	case errno > 0 && int(errno) < len(errnos) && errnos[errno] != "":
		return errnos[errno]
	case errno >= 512 && int(errno)-512 < len(kernelErrnos) && kernelErrnos[errno-512] != "":
		return kernelErrnos[errno-512]
	}
	return "errno_" + strconv.Itoa(int(errno))
}

// kernelErrnos are the codes from 512 that tracing sees when a call is
// interrupted and restarted, though no program ever does (include/linux/errno.h).
var kernelErrnos = [...]string{
	0: "ERESTARTSYS", 1: "ERESTARTNOINTR", 2: "ERESTARTNOHAND", 3: "ENOIOCTLCMD",
	4: "ERESTART_RESTARTBLOCK", 5: "EPROBE_DEFER", 6: "EOPENSTALE", 7: "ENOPARAM",
}

func calls(arch string) []string {
	switch arch {
	case ArchAMD64:
		return callsAMD64[:]
	case ArchARM64:
		return callsARM64[:]
	}
	return nil
}

var numbers = sync.OnceValue(func() map[string]map[string]int32 {
	all := map[string]map[string]int32{}
	for _, arch := range []string{ArchAMD64, ArchARM64} {
		names := calls(arch)
		all[arch] = make(map[string]int32, len(names))
		for n, name := range names {
			if name != "" {
				all[arch][name] = int32(n)
			}
		}
		for i, name := range goroutineNames {
			all[arch][name] = goroutineWaits + int32(i) //nolint:gosec // ten
		}
	}
	return all
})
