package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/internal/procread"
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

// procFS reads one proc file system.
type procFS struct {
	root string
	// patient reads what a stuck process would let nobody read; nil reads
	// it directly.
	patient *procread.Reader
}

// readMemory reads at most limit bytes of a file that the kernel takes from the
// memory of the process, or from a file system that may hang.
func (fs procFS) readMemory(pid int32, name string, limit int64) ([]byte, error) {
	if fs.patient == nil {
		return fs.read(pid, name, limit)
	}
	return procread.Do(fs.patient, pid, func() ([]byte, error) { return fs.read(pid, name, limit) })
}

func (fs procFS) path(pid int32, name string) string {
	return filepath.Join(fs.root, strconv.Itoa(int(pid)), name)
}

// read returns at most limit bytes of a file of a process.
func (fs procFS) read(pid int32, name string, limit int64) ([]byte, error) {
	return readBounded(fs.path(pid, name), limit)
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// pids lists the processes (not the threads) there are now.
func (fs procFS) pids() ([]int32, error) {
	dir, err := os.Open(fs.root)
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w; mount /proc in the collector's namespace", err)
	}
	defer dir.Close()
	var pids []int32
	for len(pids) < maxHostProcesses {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if pid, ok := parsePID(name); ok {
				pids = append(pids, pid)
			}
		}
		if errors.Is(err, io.EOF) {
			return pids, nil
		}
		if err != nil {
			return pids, fmt.Errorf("cannot list processes: %w", err)
		}
	}
	return pids, nil
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
	target, err := os.Readlink(fs.path(pid, "exe"))
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(target, " (deleted)"), nil
}

// compat reports whether a process runs a 32-bit program: the numbers of its
// system calls are another architecture's.
func (fs procFS) compat(pid int32) (bool, error) {
	const identClass, class32 = 4, 1
	head, err := fs.readMemory(pid, "exe", identClass+1)
	return len(head) > identClass && string(head[:identClass]) == "\x7fELF" && head[identClass] == class32, err
}

// invoked is the path in the first word of a command line if it is a link to
// the executable; a bare name is looked for beside the executable.
func (fs procFS) invoked(pid int32, exe, command string) string {
	word, _, _ := strings.Cut(command, " ")
	if exe == "" || word == "" || strings.HasSuffix(word, "/") {
		return ""
	}
	if !strings.HasPrefix(word, "/") {
		word = filepath.Join(filepath.Dir(exe), filepath.Base(word))
	}
	word = filepath.Clean(word)
	if word == exe {
		return ""
	}
	// Through the target's own root: it may be in a container.
	link, err := os.Stat(filepath.Join(fs.path(pid, "root"), word))
	if err != nil {
		return ""
	}
	file, err := os.Stat(fs.path(pid, "exe"))
	if err != nil || !os.SameFile(link, file) {
		return ""
	}
	return word
}

// command is the command line with its arguments joined by a space.
func (fs procFS) command(pid int32) (string, error) {
	data, err := fs.readMemory(pid, "cmdline", maxFileBytes)
	if err != nil {
		return "", err
	}
	return parseCommand(data), nil
}

func parseCommand(data []byte) string {
	return string(bytes.ReplaceAll(bytes.TrimRight(data, "\x00"), []byte{0}, []byte{' '}))
}

// bootTime is the host's boot in seconds since the epoch.
func (fs procFS) bootTime() (int64, error) {
	path := filepath.Join(fs.root, "stat")
	data, err := readBounded(path, maxTableBytes)
	if err != nil {
		return 0, fmt.Errorf("cannot read the boot time: %w", err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			if err == nil && n >= 0 {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("cannot read the boot time: no btime line in %s", path)
}
