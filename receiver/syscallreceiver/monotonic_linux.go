package syscallreceiver

import "golang.org/x/sys/unix"

// monotonic is CLOCK_MONOTONIC in nanoseconds, by which a Go runtime counts.
func monotonic() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
