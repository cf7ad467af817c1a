package stack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// fileKey identifies a file's content: a package upgrade makes another inode.
type fileKey struct {
	dev, inode  uint64
	mtime, size int64
}

var errNotRegular = errors.New("mapped file is not a regular file")

// openRegular opens a file for reading and makes sure that it is a plain
// file: a target may put a FIFO or a device where a file is expected.
func openRegular(path string, flags int) (*os.File, fileKey, uint32, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if err != nil {
		return nil, fileKey{}, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	st, ok := statOf(info)
	if err == nil && !ok {
		err = errNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, fileKey{}, 0, err
	}
	return f, fileKey{uint64(st.Dev), st.Ino, st.Mtim.Nano(), st.Size}, st.Uid, nil
}

func statOf(info os.FileInfo) (*syscall.Stat_t, bool) {
	if info == nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// allocated is what a file takes on its disk (bytes), zero when unknown.
func allocated(r io.ReaderAt) uint64 {
	f, ok := r.(*os.File)
	if !ok {
		return 0
	}
	info, err := f.Stat()
	st, ok := statOf(info)
	if err != nil || !ok {
		return 0
	}
	return uint64(st.Blocks) * 512
}

// readLimited reads at most limit bytes of a /proc file.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// procDir is a process's directory below /proc.
func procDir(pid int32) string { return "/proc/" + strconv.Itoa(int(pid)) }

// readMaps reads /proc/PID/maps, bounded.
func readMaps(pid int32) ([]byte, error) {
	const maxMaps = 16 << 20
	return readLimited(procDir(pid)+"/maps", maxMaps)
}

// openMapping opens the file behind a mapping, in the target's own mount
// namespace: through the kernel's own reference (map_files, right even when
// the file was replaced, but needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN),
// else by path, as long as the path still leads to that inode, else, for the
// program itself, through exe.
func openMapping(pid int32, m *mapping, exe string) (*os.File, fileKey, error) {
	dir := procDir(pid)
	f, key, _, err := openRegular(fmt.Sprintf("%s/map_files/%x-%x", dir, m.start, m.end), 0)
	if err == nil {
		return f, key, nil
	}
	if !m.deleted {
		f, key, _, err = openRegular(dir+"/root"+m.path, 0)
		if err == nil {
			if key.inode == m.inode {
				return f, key, nil
			}
			_ = f.Close()
			err = fmt.Errorf("%s was replaced since it was mapped", m.path)
		}
	}
	if m.path == exe {
		if f, key, _, exeErr := openRegular(dir+"/exe", 0); exeErr == nil {
			return f, key, nil
		}
	}
	return nil, fileKey{}, fmt.Errorf("module %s of process %d: %w (reading another user's process needs CAP_SYS_PTRACE)", m.path, pid, err)
}

// readVDSO reads the vDSO out of this process's own memory: it is the same
// for all of the machine's processes.
func readVDSO() ([]byte, error) {
	text, err := readMaps(int32(os.Getpid()))
	if err != nil {
		return nil, err
	}
	for _, m := range parseMaps(text) {
		if m.isVDSO() && m.end-m.start <= 1<<20 {
			mem, err := os.Open("/proc/self/mem")
			if err != nil {
				return nil, err
			}
			defer func() { _ = mem.Close() }()
			data := make([]byte, m.end-m.start)
			_, err = mem.ReadAt(data, int64(m.start))
			return data, err
		}
	}
	return nil, errors.New("no vDSO is mapped")
}

// readCode reads machine code out of a process.
func readCode(pid int32, addr uint64) (code [6]byte, err error) {
	mem, err := os.Open(procDir(pid) + "/mem")
	if err != nil {
		return code, err
	}
	defer func() { _ = mem.Close() }()
	_, err = mem.ReadAt(code[:], int64(addr))
	return code, err
}

// exePath is the path of a process's program, without " (deleted)".
func exePath(pid int32) string {
	path, err := os.Readlink(procDir(pid) + "/exe")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// programName is what the program was started as, when that is another name
// of the same file in the same directory, else the file's base name.
func programName(pid int32, exe string, key fileKey) string {
	dir, base := filepath.Split(exe)
	comm, err := readLimited(procDir(pid)+"/comm", 64)
	if err != nil {
		return base
	}
	name := strings.TrimSpace(string(comm))
	if name == base || name == "" || strings.ContainsRune(name, '/') {
		return base
	}
	// A relative link only: an absolute one would leave the target's root.
	info, err := os.Stat(procDir(pid) + "/root" + dir + name)
	if st, ok := statOf(info); err == nil && ok && st.Ino == key.inode && uint64(st.Dev) == key.dev {
		return name
	}
	return base
}

// processStatus reads the pid in the innermost namespace and the real user.
func processStatus(pid int32) (nsPID int32, uid uint32) {
	text, err := readLimited(procDir(pid)+"/status", 64<<10)
	nsPID = pid
	if err != nil {
		return nsPID, 0
	}
	for line := range bytes.Lines(text) {
		key, rest, _ := strings.Cut(string(line), ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "NSpid":
			if n, err := strconv.ParseInt(fields[len(fields)-1], 10, 32); err == nil {
				nsPID = int32(n)
			}
		case "Uid":
			if n, err := strconv.ParseUint(fields[0], 10, 32); err == nil {
				uid = uint32(n)
			}
		}
	}
	return nsPID, uid
}

// openPerfMap opens the perf map of a process; the directory is writable for
// everyone, so the file must belong to the process's user or to root.
func openPerfMap(pid int32) (*os.File, int64, error) {
	nsPID, uid := processStatus(pid)
	f, key, owner, err := openRegular(fmt.Sprintf("%s/root/tmp/perf-%d.map", procDir(pid), nsPID), syscall.O_NOFOLLOW)
	if err != nil {
		return nil, 0, err
	}
	if owner != uid && owner != 0 {
		_ = f.Close()
		return nil, 0, fmt.Errorf("perf map of process %d belongs to user %d, not to the process's own (%d)", pid, owner, uid)
	}
	return f, key.size, nil
}

// openDebugFile opens the debug file of a build id, below the target's root
// first, then below the collector's own.
func openDebugFile(pid int32, dirs []string, id string) (io.ReaderAt, func()) {
	for _, root := range []string{procDir(pid) + "/root", ""} {
		for _, dir := range dirs {
			path := debugFilePath(dir, id)
			if path == "" {
				continue
			}
			if f, _, _, err := openRegular(root+path, 0); err == nil {
				return f, func() { _ = f.Close() }
			}
		}
	}
	return nil, nil
}
