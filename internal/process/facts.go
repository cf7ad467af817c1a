package process

import (
	"errors"
	"io/fs"
	"net/netip"

	"github.com/perfscope/perfscope/internal/procread"
)

// facts are what is known of one process, each read when it is first asked
// for: most processes of a host are ruled out by one or two of them.
type facts struct {
	fs   procFS
	pid  int32
	stat stat
	// sockets gives the listening sockets of the process's network
	// namespace; shared by all processes of one scan.
	sockets func(pid int32) listeners

	exe, cmd *string
	called   *string
	cg       *cgroup
	env      *environment
	held     *[]netip.AddrPort

	// stuck is set when a fact could not be had in time.
	stuck error
	// refused is set when the kernel denied a fact that was asked for.
	refused error
}

func (f *facts) note(err error) {
	// A process may end while it is read: only a refusal is worth telling.
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.refused = err
	case errors.Is(err, procread.ErrStuck), errors.Is(err, procread.ErrQuarantined), errors.Is(err, procread.ErrBusy):
		f.stuck = err
	}
}

func (f *facts) executable() string {
	if f.exe == nil {
		path, err := f.fs.executable(f.pid)
		f.note(err)
		f.exe = &path
	}
	return *f.exe
}

// invoked is the path the program was started by, when that is a link to its
// file: Debian's /usr/bin/redis-server is a link to redis-check-rdb, which is
// what the kernel calls it. The process may write anything there, so it counts
// only if it leads to the very file. Empty when it says nothing new.
func (f *facts) invoked() string {
	if f.called == nil {
		path := f.fs.invoked(f.pid, f.executable(), f.command())
		f.called = &path
	}
	return *f.called
}

func (f *facts) command() string {
	if f.cmd == nil {
		line, err := f.fs.command(f.pid)
		f.note(err)
		f.cmd = &line
	}
	return *f.cmd
}

func (f *facts) cgroup() cgroup {
	if f.cg == nil {
		c, err := f.fs.cgroup(f.pid)
		f.note(err)
		f.cg = &c
	}
	return *f.cg
}

func (f *facts) environment() environment {
	if f.env == nil {
		env, err := f.fs.environment(f.pid)
		f.note(err)
		f.env = &env
	}
	return *f.env
}

// listening are the sockets the process itself holds.
func (f *facts) listening() []netip.AddrPort {
	if f.held == nil {
		held, err := f.fs.sockets(f.pid, f.sockets(f.pid))
		f.note(err)
		f.held = &held
	}
	return *f.held
}
