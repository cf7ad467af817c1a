package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/testbed/proc"
)

// Mount is a directory with the files of writeFiles that a process of its own
// serves through FUSE, as sshfs or s3fs do.
type Mount struct {
	*proc.Process
	// Point is where it is mounted.
	Point string

	dir string
}

// StartMount mounts a directory.
func StartMount(ctx context.Context) (*Mount, error) {
	path, err := find("bindfs")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("mount")
	if err != nil {
		return nil, err
	}
	m := &Mount{Point: filepath.Join(dir, "mnt"), dir: dir}
	if err := errors.Join(writeFiles(filepath.Join(dir, "files")), os.Mkdir(m.Point, 0o755)); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	log := filepath.Join(dir, "bindfs.log")
	m.Process, err = proc.Start(proc.Options{
		Path: path, Args: []string{"-f", "-o", "allow_other", filepath.Join(dir, "files"), m.Point}, Dir: dir, Output: log,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	err = waitReady(ctx, m.Process, log, func() error {
		_, err := os.Stat(filepath.Join(m.Point, "0.bin"))
		return err
	})
	if err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// Stop unmounts it.
func (m *Mount) Stop() {
	_ = m.Signal(syscall.SIGCONT)
	_ = m.Process.Stop(2 * time.Second)
	_ = unix.Unmount(m.Point, unix.MNT_DETACH) // bindfs has done it, unless it was killed
	os.RemoveAll(m.dir)
}
