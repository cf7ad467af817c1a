package main

import (
	"net"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/doctor"
	"github.com/perfscope/perfscope/internal/rootfs"
)

func thisHost(pid int) (doctor.Host, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return doctor.Host{}, err
	}
	h := doctor.Host{
		Proc: "/proc", Sys: "/sys", PID: pid,
		Release: unix.ByteSliceToString(u.Release[:]), Machine: unix.ByteSliceToString(u.Machine[:]),
		Listen: listen,
	}
	if pid == 0 {
		h.Load = load
	}
	return h, nil
}

func listen(address string) error {
	l, err := net.Listen("tcp", address) //nolint:noctx // closed at once
	if err != nil {
		return err
	}
	return l.Close()
}

// load has the kernel check all programs, and attaches none.
func load() (parts []string, err error) {
	t, err := capture.New(capture.DefaultConfig(), nil, zap.NewNop())
	if err != nil {
		return nil, err
	}
	for _, d := range t.Degraded() {
		parts = append(parts, d.Feature+": "+d.Reason)
	}
	return append(parts, rootfs.Denied()...), t.Close()
}
