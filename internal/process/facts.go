package process

import (
	"errors"
	"io/fs"
	"net/netip"
	"time"

	"github.com/perfscope/perfscope/internal/rootfs"
)

// facts are what is known of one process, each read when it is first asked
// for: most processes of a host are ruled out by one or two of them.
type facts struct {
	fs   procFS
	pid  int32
	stat stat
	// found is when the process was first seen.
	found time.Time
	// sockets gives the listening sockets of the process's network
	// namespace; shared by all processes of one scan.
	sockets func(pid int32) listeners

	exe, cmd *string
	called   *string
	cg       *cgroup
	env      *environment
	held     *[]netip.AddrPort
	inPod    *Pod
	// pods is nil where nothing is known of pods.
	pods Pods

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
	case rootfs.IsStuck(err):
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
		path, err := f.fs.invoked(f.pid, f.executable(), f.command())
		if rootfs.IsStuck(err) {
			f.note(err) // whatever else: the process wrote the path itself
		}
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
		if env.erased && env.ServiceName == "" {
			env = f.inherited()
		}
		f.env = &env
	}
	return *f.env
}

// maxAncestors bounds how far the environment of a process is looked for.
const maxAncestors = 8

// inherited is the environment of the nearest process above that has one: a program
// that wrote over its own had that, unless it was started with another.
func (f *facts) inherited() (env environment) {
	pid := f.stat.Parent
	for range maxAncestors {
		if pid <= 1 {
			break
		}
		found, err := f.fs.environment(pid)
		f.note(err)
		if err != nil {
			break
		}
		if !found.erased || found.ServiceName != "" {
			return found
		}
		st, err := f.fs.stat(pid)
		if err != nil {
			break
		}
		pid = st.Parent
	}
	return env
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
