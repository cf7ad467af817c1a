//go:build !linux

package machine

func sockets() []socket { return nil }

func parseSocket([]byte, bool) (socket, bool) { return socket{}, false }
