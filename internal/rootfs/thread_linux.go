package rootfs

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func currentThread() int32 { return int32(unix.Gettid()) } //nolint:gosec // a thread's id fits

// runnable reports whether a thread of this process runs or only waits for a CPU:
// the kernel's, or Go's, which it waits for in a futex. A read that hangs does
// neither.
func runnable(thread int32) bool {
	data, err := readAll(fmt.Sprintf("/proc/self/task/%d/syscall", thread), 256)
	if err != nil {
		return false
	}
	call, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return call == "running" || call == strconv.Itoa(unix.SYS_FUTEX)
}
