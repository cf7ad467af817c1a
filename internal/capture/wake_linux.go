//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// targetWakes is TARGET_WAKES of bpf/maps.h.
const targetWakes = 1 << 31

// DeliverAtOnce has the samples of a followed process, and of those that it starts from
// now on, given to the Handler as they are taken, not at the next poll: what an
// interpreter runs can only be read while it does. That wakes the reading goroutine, at
// most fifty times a second for each CPU; those between wait for the next time. It does
// nothing for a process that is not followed.
func (t *Tracer) DeliverAtOnce(pid int32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	targets, group := t.obj.coll.Maps[captureMapTargets], uint32(0)
	err := targets.Lookup(uint32(pid), &group)
	if err == nil && group&targetWakes == 0 {
		// It may have ended meanwhile: it is not entered again.
		err = targets.Update(uint32(pid), group|targetWakes, ebpf.UpdateExist)
	}
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("capture: cannot have the samples of process %d at once: %w", pid, err)
	}
	return nil
}

// wakes tells of the wakeups of a ring buffer, which its ringbuf.Reader does not wait
// for. It is Go's own poller that waits, so that no thread does.
type wakes struct {
	file *os.File
	came chan struct{} // holds one
	done chan struct{}
}

func openWakes(ring *ebpf.Map) (*wakes, error) {
	fd, err := unix.FcntlInt(uintptr(ring.FD()), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // a descriptor
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	w := &wakes{file: os.NewFile(uintptr(fd), "ring buffer"), came: make(chan struct{}, 1), done: make(chan struct{})}
	conn, err := w.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	go w.run(conn)
	return w, nil
}

func (w *wakes) run(conn syscall.RawConn) {
	defer close(w.done)
	for {
		asked := false
		err := conn.Read(func(uintptr) bool {
			if !asked {
				asked = true
				return false // until the next wakeup
			}
			return true
		})
		if err != nil {
			return // closed
		}
		select {
		case w.came <- struct{}{}:
		default:
		}
	}
}

func (w *wakes) close() error {
	err := w.file.Close()
	<-w.done
	return err
}
