//go:build !linux

package syscallreceiver

import "time"

// ownCPUTime is not needed where nothing is recorded.
func ownCPUTime() time.Duration { return 0 }

func threadCPUTime() time.Duration { return 0 }
