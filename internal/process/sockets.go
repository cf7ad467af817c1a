package process

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listeners maps the inodes of listening TCP sockets to where they listen.
type listeners map[uint64]netip.AddrPort

// maxSockets bounds the listening sockets known of one process: more than the
// busiest proxies have, and a resource stays small.
const maxSockets = 64

// socketLine is about two lines of /proc/net/tcp. The kernel fills what it is
// given to fill, and goes through its table of connections, empty for the most
// part, to do so: of a page it goes through a good part of the table.
const socketLine = 320

// tcpListen is TCP_LISTEN as /proc/net/tcp writes it.
const tcpListen = "0A"

// listening reads the sockets listening in the network namespace of pid.
func (fs procFS) listening(pid int32) (listeners, error) {
	found := listeners{}
	var firstErr error
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		file, err := fs.door.Stream(pid, name)
		if err != nil {
			// A host without IPv6 has no tcp6.
			if firstErr == nil && !errors.Is(err, os.ErrNotExist) {
				firstErr = err
			}
			continue
		}
		maps.Copy(found, parseListening(io.LimitReader(file, maxTableBytes)))
		_ = file.Close()
	}
	return found, firstErr
}

// parseListening reads lines "sl local_address rem_address st … inode …" of
// /proc/net/tcp and /proc/net/tcp6. The kernel lists the listening sockets
// first: it stops at the first of another kind, as a busy server has tens of
// thousands of those.
func parseListening(r io.Reader) listeners {
	found := listeners{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, socketLine), bufio.MaxScanTokenSize)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		if fields[3] != tcpListen {
			break
		}
		at, ok := parseSocketAddress(fields[1])
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if err != nil || inode == 0 {
			continue
		}
		found[inode] = at
	}
	return found
}

// parseSocketAddress reads 0100007F:18EB: the address as words of 32 bits in
// the machine's byte order, and the port, all hexadecimal. Every machine that
// is supported is little-endian.
func parseSocketAddress(s string) (netip.AddrPort, bool) {
	words, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(words)
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), err == nil
}

// sockets are those among some that pid itself holds, in order, maxSockets at
// most.
func (fs procFS) sockets(pid int32, among listeners) ([]netip.AddrPort, error) {
	var held []netip.AddrPort
	if len(among) == 0 {
		return held, nil
	}
	names, err := fs.door.List(pid, "fd", maxLinks)
	if err != nil {
		return held, err
	}
	for _, name := range names {
		target, err := fs.door.ReadLink(pid, "fd/"+name)
		if err != nil {
			continue
		}
		if inode, ok := parseSocket(target); ok {
			if at, ok := among[inode]; ok && !slices.Contains(held, at) && len(held) < maxSockets {
				held = append(held, at)
			}
		}
	}
	slices.SortFunc(held, netip.AddrPort.Compare)
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
	return fs.door.ReadLink(pid, "ns/net")
}
