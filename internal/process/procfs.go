package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/rootfs"
)

const (
	// maxFileBytes bounds one file read from /proc: a command line or an
	// environment may be megabytes long, and what the rules look for is
	// near the front.
	maxFileBytes = 128 << 10
	// maxTableBytes bounds one socket table (about 27,000 sockets).
	maxTableBytes = 4 << 20
	// maxLinks bounds the descriptors of one process looked through for a
	// listening socket; servers open their listeners before their clients,
	// so those have low numbers.
	maxLinks = 4096
	// maxHostProcesses bounds one listing of /proc.
	maxHostProcesses = 65536
	// ticksPerSecond is USER_HZ, the unit of starttime in /proc/PID/stat;
	// 100 on every architecture this runs on.
	ticksPerSecond = 100
	// kernelThread is PF_KTHREAD of the flags in /proc/PID/stat.
	kernelThread = 0x00200000
)

// procFS reads one proc file system, what is of a process through the door.
type procFS struct{ door *rootfs.Door }

func newProcFS(root string) procFS { return procFS{&rootfs.Door{Proc: root}} }

// readMemory reads at most limit bytes of a file that the kernel takes from the
// memory of the process.
func (fs procFS) readMemory(pid int32, name string, limit int64) ([]byte, error) {
	return fs.door.ReadMemory(pid, name, limit)
}

func pidName(pid int32) string { return strconv.Itoa(int(pid)) }

// read returns at most limit bytes of a file of a process that the kernel has at
// hand.
func (fs procFS) read(pid int32, name string, limit int64) ([]byte, error) {
	return fs.door.Read(pid, name, limit)
}

func parsePID(s string) (int32, bool) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int32(n), err == nil
}

// stat is what /proc/PID/stat says of a process.
type stat struct {
	Comm  string
	State byte
	// Parent is the pid of the parent process.
	Parent int32
	// Flags are the kernel's PF_ flags.
	Flags uint64
	// Ticks is the start of the process in USER_HZ ticks since boot.
	Ticks uint64
}

func (fs procFS) stat(pid int32) (stat, error) {
	data, err := fs.read(pid, "stat", 4096)
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

var errStat = errors.New("not a process stat line")

// parseStat reads a line of the form "pid (comm) state ppid …". The name may
// itself hold spaces and parentheses: it ends at the last ") ".
func parseStat(data []byte) (stat, error) {
	open := bytes.IndexByte(data, '(')
	end := bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return stat{}, errStat
	}
	fields := strings.Fields(string(data[end+1:]))
	// state is field 3 of the line, starttime field 22.
	if len(fields) < 20 || len(fields[0]) != 1 {
		return stat{}, errStat
	}
	parent, err := strconv.ParseInt(fields[1], 10, 32)
	if err != nil || parent < 0 {
		return stat{}, errStat
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return stat{}, errStat
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, errStat
	}
	return stat{
		Comm:   string(data[open+1 : end]),
		State:  fields[0][0],
		Parent: int32(parent),
		Flags:  flags,
		Ticks:  ticks,
	}, nil
}

// executable is the path of the program a process runs, as its own mount
// namespace names it, also after the file was deleted or replaced.
func (fs procFS) executable(pid int32) (string, error) {
	target, err := fs.door.ReadLink(pid, "exe")
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(target, " (deleted)"), nil
}

// compat reports whether a process runs a 32-bit program: the numbers of its
// system calls are another architecture's.
func (fs procFS) compat(pid int32) (bool, error) {
	const identClass, class32 = 4, 1
	f, err := fs.door.OpenProgram(pid)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, identClass+1)
	if _, err := f.ReadAt(head, 0); err != nil {
		return false, err
	}
	return string(head[:identClass]) == "\x7fELF" && head[identClass] == class32, nil
}

// invoked is the path in the first word of a command line if it is a link to
// the executable; a bare name is looked for beside the executable.
func (fs procFS) invoked(pid int32, exe, command string) (string, error) {
	word, _, _ := strings.Cut(command, " ")
	if exe == "" || word == "" || len(word) > cleantext.MaxPath || strings.HasSuffix(word, "/") {
		return "", nil
	}
	if !strings.HasPrefix(word, "/") {
		word = filepath.Join(filepath.Dir(exe), filepath.Base(word))
	}
	word = filepath.Clean(word)
	if word == exe {
		return "", nil
	}
	// In the target's own root: it may be in a container.
	link, err := fs.door.Stat(pid, word)
	if err != nil {
		return "", err
	}
	file, err := fs.door.StatProgram(pid)
	if err != nil || link.Dev != file.Dev || link.Inode != file.Inode {
		return "", err
	}
	return word, nil
}

// command is the command line with its arguments joined by a space.
func (fs procFS) command(pid int32) (string, error) {
	data, err := fs.readMemory(pid, "cmdline", maxFileBytes)
	if err != nil {
		return "", err
	}
	return parseCommand(data), nil
}

// roleOf hashes a command line, empty when there is none. It is short, so that many
// command lines have each: a secret among the arguments cannot be found by trying.
func roleOf(command string) string {
	if command == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(command))
	return hex.EncodeToString(sum[:3])
}

func parseCommand(data []byte) string {
	return string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte{' '}))
}
