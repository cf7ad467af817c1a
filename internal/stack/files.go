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

	"github.com/perfscope/perfscope/internal/rootfs"
)

// maxMapsText bounds what is read of a memory map (bytes): 65,530 mappings, which
// is the kernel's own bound, with paths of usual length.
const maxMapsText = 8 << 20

// fileKey identifies a file's content: a package upgrade makes another inode.
type fileKey struct {
	dev, inode  uint64
	mtime, size int64
}

func keyOf(i rootfs.Info) fileKey { return fileKey{i.Dev, i.Inode, i.Mtime, i.Size} }

// allocated is what a file takes on its disk (bytes), zero when unknown.
func allocated(r io.ReaderAt) uint64 {
	switch f := r.(type) {
	case *rootfs.File:
		return uint64(max(f.Held, 0))
	case *os.File: // in tests
		return heldBy(f)
	}
	return 0
}

// openMapping opens the file behind a mapping, in the target's own mount
// namespace: through the kernel's own reference, else by path, as long as the
// path still leads to that inode, else, for the program itself, through exe.
func openMapping(door *rootfs.Door, pid int32, m *mapping, exe string) (*rootfs.File, error) {
	f, err := door.OpenMapped(pid, m.start, m.end, m.dev)
	if err == nil || rootfs.IsStuck(err) {
		return f, err
	}
	if !m.deleted {
		f, err = door.Open(pid, m.path, 0)
		if err == nil {
			if f.Inode == m.inode {
				return f, nil
			}
			_ = f.Close()
			err = fmt.Errorf("%s was replaced since it was mapped", m.path)
		}
	}
	if m.path == exe && !rootfs.IsStuck(err) {
		if f, exeErr := door.OpenProgram(pid); exeErr == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("module %s of process %d: %w (reading another user's process needs CAP_SYS_PTRACE)", m.path, pid, err)
}

// readVDSO reads the vDSO out of this process's own memory: it is the same
// for all of the machine's processes.
func readVDSO(door *rootfs.Door) ([]byte, error) {
	text, err := door.ReadMemory(int32(os.Getpid()), "maps", maxMapsText)
	if err != nil {
		return nil, err
	}
	for _, m := range parseMaps(text) {
		if m.isVDSO() && m.end-m.start <= 1<<20 {
			code, err := door.ReadCodes(int32(os.Getpid()), []uint64{m.end}, int(m.end-m.start)) //nolint:gosec // a pid
			if err != nil {
				return nil, err
			}
			return code[0], nil
		}
	}
	return nil, errors.New("no vDSO is mapped")
}

// exePath is the path of a process's program, without " (deleted)".
func exePath(door *rootfs.Door, pid int32) string {
	path, err := door.ReadLink(pid, "exe")
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(path, " (deleted)")
}

// programName is what the program was started as, when that is another name
// of the same file in the same directory, else the file's base name.
func programName(door *rootfs.Door, pid int32, exe string, key fileKey) string {
	dir, base := filepath.Split(exe)
	comm, err := door.Read(pid, "comm", 64)
	if err != nil {
		return base
	}
	name := strings.TrimSpace(string(comm))
	if name == base || name == "" || strings.ContainsRune(name, '/') {
		return base
	}
	if info, err := door.Stat(pid, dir+name); err == nil && info.Inode == key.inode && info.Dev == key.dev {
		return name
	}
	return base
}

// processStatus reads the pid in the innermost namespace and the real user.
func processStatus(door *rootfs.Door, pid int32) (nsPID int32, uid uint32) {
	text, err := door.Read(pid, "status", 64<<10)
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
func openPerfMap(door *rootfs.Door, pid int32) (*rootfs.File, error) {
	nsPID, uid := processStatus(door, pid)
	f, err := door.Open(pid, fmt.Sprintf("/tmp/perf-%d.map", nsPID), rootfs.NoFollow)
	if err != nil {
		return nil, err
	}
	if f.UID != uid && f.UID != 0 {
		_ = f.Close()
		return nil, fmt.Errorf("perf map of process %d belongs to user %d, not to the process's own (%d)", pid, f.UID, uid)
	}
	return f, nil
}

// openDebugFile opens the debug file of a build id, in the target's root first,
// then in the collector's own.
func openDebugFile(door *rootfs.Door, pid int32, dirs []string, id string) (io.ReaderAt, func()) {
	for _, open := range []func(string) (*rootfs.File, error){
		func(path string) (*rootfs.File, error) { return door.Open(pid, path, 0) },
		func(path string) (*rootfs.File, error) { return door.OpenHost(pid, path) },
	} {
		for _, dir := range dirs {
			path := debugFilePath(dir, id)
			if path == "" {
				continue
			}
			if f, err := open(path); err == nil {
				return f, func() { _ = f.Close() }
			}
		}
	}
	return nil, nil
}
