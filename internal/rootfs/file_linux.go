package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Info is what the kernel says of a regular file, before it is read.
type Info struct {
	// Dev and Inode tell files apart, Mtime (nanoseconds since the epoch)
	// and Size (bytes) their contents.
	Dev, Inode  uint64
	Mtime, Size int64
	// Held is what it takes on its disk, in bytes: less than Size with holes.
	Held int64
	// UID is its owner.
	UID uint32
}

// File is an open regular file of a target. Each read has a deadline, and all
// of them together; it is for one goroutine.
type File struct {
	Info
	door  *Door
	pid   int32
	on    func() device
	spent time.Duration
	// ahead is what was read last for a small read, at aheadAt of the file.
	ahead   []byte
	aheadAt int64
	// fd is closed when refs, the owner's and that of each read, are gone.
	fd   int
	refs *atomic.Int32
}

// opened is a file descriptor that is closed when nobody waits for it.
type opened struct {
	fd   int
	info Info
}

func (o opened) Close() error { return unix.Close(o.fd) }

// Flags of Open.
const (
	// NoFollow refuses a link in the last place of the path.
	NoFollow = unix.O_NOFOLLOW
)

// Open opens a regular file by its path in the root of a process. Neither a
// link nor ".." leads out of that root, or through the links of a proc file
// system.
func (d *Door) Open(pid int32, path string, flags int) (*File, error) {
	return d.open(pid, d.onPath(pid, path), func() (int, error) { return d.inRoot(pid, path, flags) })
}

// OpenMapped opens the file behind a mapping through the kernel's own
// reference, which is right even when the file was replaced; it needs
// CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. dev is that of /proc/PID/maps
// ("fd:01").
func (d *Door) OpenMapped(pid int32, start, end uint64, dev string) (*File, error) {
	return d.open(pid, d.onDevice(pid, decimal(dev)), func() (int, error) {
		return unix.Open(d.procPath(pid, fmt.Sprintf("map_files/%x-%x", start, end)), unix.O_PATH|unix.O_CLOEXEC, 0)
	})
}

// OpenProgram opens the program of a process, also after its file was deleted.
func (d *Door) OpenProgram(pid int32) (*File, error) {
	return d.open(pid, d.onProgram(pid), func() (int, error) {
		return unix.Open(d.procPath(pid, "exe"), unix.O_PATH|unix.O_CLOEXEC, 0)
	})
}

// OpenHost opens a regular file of the collector's own root, on behalf of a
// process: /usr/lib/debug may be on a file system that hangs, too.
func (d *Door) OpenHost(pid int32, path string) (*File, error) {
	return d.open(pid, nil, func() (int, error) { return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0) })
}

// open opens what place gives without a look at it, makes sure that it is a
// regular file, and only then opens it for reading: the opening of a device
// does something already.
func (d *Door) open(pid int32, on func() device, place func() (int, error)) (*File, error) {
	o, err := do(d, step{pid: pid, timeout: fileTimeout, on: on}, func() (opened, error) {
		at, err := place()
		if err != nil {
			return opened{}, err
		}
		defer func() { _ = unix.Close(at) }()
		info, err := regular(at)
		if err != nil {
			return opened{}, err
		}
		fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return opened{fd, info}, err
	})
	if err != nil {
		return nil, err
	}
	f := &File{Info: o.info, door: d, pid: pid, on: on, fd: o.fd, refs: &atomic.Int32{}}
	if f.on == nil {
		f.on = d.onDevice(pid, fmt.Sprintf("%d:%d", unix.Major(o.info.Dev), unix.Minor(o.info.Dev)))
	}
	f.refs.Store(1)
	return f, nil
}

// Stat is what the kernel says of a regular file in the root of a process;
// links are followed within that root.
func (d *Door) Stat(pid int32, path string) (Info, error) {
	return do(d, step{pid: pid, timeout: fileTimeout, on: d.onPath(pid, path)}, func() (Info, error) {
		at, err := d.inRoot(pid, path, 0)
		if err != nil {
			return Info{}, err
		}
		defer func() { _ = unix.Close(at) }()
		return regular(at)
	})
}

// StatProgram is what the kernel says of the program of a process.
func (d *Door) StatProgram(pid int32) (Info, error) {
	return do(d, step{pid: pid, timeout: fileTimeout, on: d.onProgram(pid)}, func() (Info, error) {
		at, err := unix.Open(d.procPath(pid, "exe"), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return Info{}, err
		}
		defer func() { _ = unix.Close(at) }()
		return regular(at)
	})
}

// inRoot finds a path in the root of a process.
func (d *Door) inRoot(pid int32, path string, flags int) (int, error) {
	root, err := unix.Open(d.procPath(pid, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(root) }()
	at, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   uint64(unix.O_PATH | unix.O_CLOEXEC | flags), //nolint:gosec // flags are constants
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, &os.PathError{Op: "openat2", Path: path, Err: err}
	}
	return at, nil
}

func regular(fd int) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Info{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Info{}, ErrNotRegular
	}
	return Info{
		Dev: st.Dev, Inode: st.Ino, Mtime: st.Mtim.Nano(), Size: st.Size, Held: st.Blocks * 512, UID: st.Uid,
	}, nil
}

// onPath and onDevice say later, if anybody asks, which file system it is.
func (d *Door) onPath(pid int32, path string) func() device {
	return func() device { return deviceAt(d.mounts(pid), path, "") }
}

// onDevice takes a device as /proc/PID/mountinfo writes it, in decimal.
func (d *Door) onDevice(pid int32, number string) func() device {
	return func() device { return deviceAt(d.mounts(pid), "", number) }
}

func (d *Door) onProgram(pid int32) func() device {
	return func() device {
		path, err := d.ReadLink(pid, "exe")
		if err != nil {
			return device{}
		}
		return deviceAt(d.mounts(pid), path, "")
	}
}

// decimal turns a device of /proc/PID/maps, in hexadecimal, into one of
// mountinfo.
func decimal(dev string) string {
	major, minor, _ := strings.Cut(dev, ":")
	a, err1 := strconv.ParseUint(major, 16, 32)
	b, err2 := strconv.ParseUint(minor, 16, 32)
	if err1 != nil || err2 != nil {
		return dev
	}
	return fmt.Sprintf("%d:%d", a, b)
}

// mounts is the table of mounts of a process; the kernel alone writes it.
func (d *Door) mounts(pid int32) []byte {
	data, _ := readAll(d.procPath(pid, "mountinfo"), maxMountInfo)
	return data
}

// userOf is whose process it is.
func (d *Door) userOf(pid int32) uint32 {
	var st unix.Stat_t
	if unix.Stat(d.procPath(pid, ""), &st) != nil {
		return ^uint32(0)
	}
	return st.Uid
}

const (
	// readStep is how much is read at a time (bytes): each step is another
	// thread's, which costs two switches.
	readStep = 4 << 20
	// readAhead is how much is read when less is asked for.
	readAhead = 64 << 10
)

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for total < len(p) {
		n, err := f.readSome(p[total:], off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.EOF
		}
	}
	return total, nil
}

// readSome reads at least a byte, if there is one; what is near in the file is
// had from what was read before.
func (f *File) readSome(p []byte, off int64) (int, error) {
	if len(p) >= readAhead {
		return f.readStep(p[:min(len(p), readStep)], off)
	}
	if at := off - f.aheadAt; at < 0 || at >= int64(len(f.ahead)) {
		buf := make([]byte, readAhead)
		n, err := f.readStep(buf, off)
		if err != nil {
			return 0, err
		}
		f.ahead, f.aheadAt = buf[:n], off
	}
	at := min(off-f.aheadAt, int64(len(f.ahead)))
	return copy(p, f.ahead[at:]), nil
}

// readStep reads into memory of its own: a read that was given up may still
// write there.
func (f *File) readStep(p []byte, off int64) (int, error) {
	if f.spent > filePatience {
		on := f.on()
		f.door.mu.Lock()
		f.door.leave(f.pid, on, false) // each read answers, but late
		f.door.mu.Unlock()
		return 0, fmt.Errorf("process %d: its file is read for more than %v: %w", f.pid, filePatience, ErrStuck)
	}
	buf, err := Look(f, func(r io.ReaderAt) ([]byte, error) {
		buf := make([]byte, len(p))
		n, err := r.ReadAt(buf, off)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return buf[:n], err
	})
	return copy(p, buf), err
}

// Look has with read here and there in a file, in one step, which has the deadline of one
// read. When it is late it goes on, and what it returns is dropped: it must not touch
// anything else.
func Look[T any](f *File, with func(r io.ReaderAt) (T, error)) (T, error) {
	begun := time.Now()
	fd, refs := f.fd, f.refs
	refs.Add(1)
	v, err := do(f.door, step{pid: f.pid, timeout: fileTimeout, on: f.on}, func() (T, error) {
		v, err := with(descriptor(fd))
		if refs.Add(-1) == 0 {
			_ = unix.Close(fd) // given up, and closed meanwhile
		}
		return v, err
	})
	f.spent += time.Since(begun)
	if errors.Is(err, ErrQuarantined) || errors.Is(err, ErrBusy) {
		refs.Add(-1) // it was not tried
	}
	return v, err
}

// descriptor reads a file.
type descriptor int

// ReadAt reads as io.ReaderAt does.
func (d descriptor) ReadAt(p []byte, off int64) (total int, err error) {
	for total < len(p) {
		n, err := unix.Pread(int(d), p[total:], off+int64(total))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return total, err
		case n <= 0:
			return total, io.EOF
		default:
			total += n
		}
	}
	return total, nil
}

// Close closes the file, in the background when a read of it hangs.
func (f *File) Close() error {
	if f.refs.Add(-1) > 0 {
		return nil
	}
	fd := f.fd
	if f.door.suspects(f) {
		go func() { _ = unix.Close(fd) }() // it may hang as well
		return nil
	}
	return unix.Close(fd)
}

// suspects reports whether the file is on a file system that may hang.
func (d *Door) suspects(f *File) bool {
	d.mu.Lock()
	trouble := d.hung > 0 || len(d.devices) > 0
	d.mu.Unlock()
	return trouble || f.spent > memoryTimeout
}

// ReadMemory reads at most limit bytes of a file below /proc/PID that the kernel
// takes from the memory of the process, or reads under the lock of its memory
// map (cmdline, environ, maps).
func (d *Door) ReadMemory(pid int32, name string, limit int64) ([]byte, error) {
	path := d.procPath(pid, name)
	return Do(d, pid, func() ([]byte, error) { return readAll(path, limit) })
}

// ReadCodes reads the n bytes of the process's memory before each of some
// addresses; what is not there is nil.
func (d *Door) ReadCodes(pid int32, before []uint64, n int) ([][]byte, error) {
	path := d.procPath(pid, "mem")
	return Do(d, pid, func() ([][]byte, error) {
		mem, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = mem.Close() }()
		out := make([][]byte, len(before))
		for i, addr := range before {
			code := make([]byte, n)
			if _, err := mem.ReadAt(code, int64(addr)-int64(n)); err == nil { //nolint:gosec // an address of user space
				out[i] = code
			}
		}
		return out, nil
	})
}

// Read reads at most limit bytes of a file below /proc/PID that the kernel has
// at hand (stat, status, cgroup, comm): it waits for nobody.
func (d *Door) Read(pid int32, name string, limit int64) ([]byte, error) {
	return readAll(d.procPath(pid, name), limit)
}

// ReadOnce is Read for a file that one read gives all of, at a third of the cost; for
// what is read often.
func (d *Door) ReadOnce(pid int32, name string, limit int) ([]byte, error) {
	path := d.procPath(pid, name)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, limit)
	n, err := unix.Read(fd, b)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return b[:n], nil
}

// ReadLink is a link below /proc/PID; the kernel makes it up.
func (d *Door) ReadLink(pid int32, name string) (string, error) {
	return os.Readlink(d.procPath(pid, name))
}

// List gives at most limit names of a directory below /proc/PID.
func (d *Door) List(pid int32, name string, limit int) ([]string, error) {
	dir, err := os.Open(d.procPath(pid, name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(limit)
	if err == io.EOF { //nolint:errorlint // as the os package documents it
		err = nil
	}
	return names, err
}

// Stream reads a table below /proc/PID that the kernel makes up, up to where the
// reader stops.
func (d *Door) Stream(pid int32, name string) (io.ReadCloser, error) {
	return os.Open(d.procPath(pid, name))
}

func readAll(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}
