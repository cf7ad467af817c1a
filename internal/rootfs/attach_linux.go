package rootfs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoSocket is what Dial gives when there is no socket at the path.
var ErrNoSocket = errors.New("not a socket")

// Dial connects to a socket in the root of a process, which the process itself
// must be listening on.
func (d *Door) Dial(ctx context.Context, pid int32, socket string) (net.Conn, error) {
	at, err := do(d, step{pid: pid, timeout: fileTimeout, on: d.onPath(pid, socket)}, func() (opened, error) {
		at, err := d.inRoot(pid, socket, NoFollow)
		if err != nil {
			return opened{}, err
		}
		var st unix.Stat_t
		if err = unix.Fstat(at, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			err = ErrNoSocket
		}
		if err != nil {
			_ = unix.Close(at)
			return opened{}, err
		}
		return opened{fd: at}, nil
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = at.Close() }()
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(at.fd))
	if err != nil {
		return nil, err
	}
	if err := peerIs(c, pid); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// peerIs makes sure that it is the process that listens.
func peerIs(c net.Conn, pid int32) error {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) //nolint:gosec // a descriptor
	}); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	if peer.Pid != pid {
		return fmt.Errorf("process %d listens there, not process %d", peer.Pid, pid)
	}
	return nil
}

// mark is a file made by Mark, in an open directory.
type mark struct {
	dir  int
	name string
}

// Close takes it away again.
func (m mark) Close() error {
	return errors.Join(unix.Unlinkat(m.dir, m.name, 0), unix.Close(m.dir))
}

// Mark makes an empty file in a directory in the root of a process, which must
// not be there yet; remove takes it away again. Nothing else is ever written to
// a target's files.
func (d *Door) Mark(pid int32, file string) (remove func(), err error) {
	m, err := do(d, step{pid: pid, timeout: fileTimeout, on: d.onPath(pid, file)}, func() (mark, error) {
		dir, err := d.inRoot(pid, path.Dir(file), unix.O_DIRECTORY)
		if err != nil {
			return mark{}, err
		}
		// The directory may only be looked at so far.
		at, err := unix.Open("/proc/self/fd/"+strconv.Itoa(dir), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		_ = unix.Close(dir)
		if err != nil {
			return mark{}, err
		}
		m := mark{at, path.Base(file)}
		fd, err := unix.Openat(at, m.name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			_ = unix.Close(at)
			return mark{}, &os.PathError{Op: "openat", Path: file, Err: err}
		}
		return m, unix.Close(fd)
	})
	if err != nil {
		return nil, err
	}
	return func() {
		_, _ = do(d, step{pid: pid, timeout: fileTimeout}, func() (struct{}, error) { return struct{}{}, m.Close() })
	}, nil
}
