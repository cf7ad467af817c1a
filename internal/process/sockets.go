package process

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// listeners maps the inodes of listening TCP sockets to their ports.
type listeners map[uint64]uint16

// tcpListen is TCP_LISTEN as /proc/net/tcp writes it.
const tcpListen = "0A"

// listening reads the sockets listening on one of the wanted ports in the
// network namespace of pid.
func (fs procFS) listening(pid int32, wanted map[uint16]bool) (listeners, error) {
	found := listeners{}
	var firstErr error
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(fs.path(pid, name))
		if err != nil {
			// A host without IPv6 has no tcp6.
			if firstErr == nil && !errors.Is(err, os.ErrNotExist) {
				firstErr = err
			}
			continue
		}
		maps.Copy(found, parseListening(io.LimitReader(file, maxTableBytes), wanted))
		_ = file.Close()
	}
	return found, firstErr
}

// parseListening reads lines "sl local_address rem_address st … inode …" of
// /proc/net/tcp and /proc/net/tcp6; the port is hexadecimal. The kernel lists
// the listening sockets first: it stops at the first of another kind, as a
// busy server has tens of thousands of those.
func parseListening(r io.Reader, wanted map[uint16]bool) listeners {
	found := listeners{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		if fields[3] != tcpListen {
			break
		}
		_, hex, ok := strings.Cut(fields[1], ":")
		if !ok {
			continue
		}
		port, err := strconv.ParseUint(hex, 16, 16)
		if err != nil || !wanted[uint16(port)] {
			continue
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if err != nil || inode == 0 {
			continue
		}
		found[inode] = uint16(port)
	}
	return found
}

// ports are the wanted ports that pid itself holds a listening socket of.
func (fs procFS) ports(pid int32, among listeners) (map[uint16]bool, error) {
	held := map[uint16]bool{}
	if len(among) == 0 {
		return held, nil
	}
	dir, err := os.Open(fs.path(pid, "fd"))
	if err != nil {
		return held, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxLinks)
	if err != nil && !errors.Is(err, io.EOF) {
		return held, err
	}
	for _, name := range names {
		target, err := os.Readlink(filepath.Join(dir.Name(), name))
		if err != nil {
			continue
		}
		if inode, ok := parseSocket(target); ok {
			if port, ok := among[inode]; ok {
				held[port] = true
			}
		}
	}
	return held, nil
}

// parseSocket reads a link of the form socket:[12345].
func parseSocket(target string) (uint64, bool) {
	rest, ok := strings.CutPrefix(target, "socket:[")
	if !ok {
		return 0, false
	}
	digits, ok := strings.CutSuffix(rest, "]")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(digits, 10, 64)
	return inode, err == nil
}

// netNamespace names the network namespace of pid.
func (fs procFS) netNamespace(pid int32) (string, error) {
	return os.Readlink(fs.path(pid, "ns/net"))
}
