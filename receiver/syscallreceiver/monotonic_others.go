//go:build !linux

package syscallreceiver

func monotonic() int64 { return 0 }
