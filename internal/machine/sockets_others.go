//go:build !linux

package machine

func sockets() []socket { return nil }
