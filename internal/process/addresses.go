package process

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
)

// maxRouteBytes bounds one table of local addresses; that of a router with the
// routes of the Internet is larger, and its own addresses come first.
const maxRouteBytes = 1 << 20

// addresses are those of the network namespace of a process, but for loopback and
// link-local ones, in order; maxAddresses at most.
func (fs procFS) addresses(pid int32) []netip.Addr {
	var out []netip.Addr
	add := func(ip netip.Addr) {
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !slices.Contains(out, ip) && len(out) < maxAddresses {
			out = append(out, ip)
		}
	}
	if table, err := fs.read(pid, "net/fib_trie", maxRouteBytes); err == nil {
		for _, ip := range parseLocal(string(table)) {
			add(ip)
		}
	}
	if table, err := fs.read(pid, "net/if_inet6", maxRouteBytes); err == nil {
		for _, ip := range parseInet6(string(table)) {
			add(ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// parseLocal reads the addresses of /proc/net/fib_trie: a leaf "|-- 10.1.2.3" with
// "/32 host LOCAL" below it.
func parseLocal(table string) (out []netip.Addr) {
	var leaf netip.Addr
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if text, is := strings.CutPrefix(line, "|-- "); is {
			leaf, _ = netip.ParseAddr(text)
			continue
		}
		if line == "/32 host LOCAL" && leaf.IsValid() {
			out = append(out, leaf)
		}
	}
	return out
}

// parseInet6 reads /proc/net/if_inet6: 32 digits, then the interface.
func parseInet6(table string) (out []netip.Addr) {
	for line := range strings.Lines(table) {
		digits, _, _ := strings.Cut(line, " ")
		raw, err := hex.DecodeString(digits)
		if ip, ok := netip.AddrFromSlice(raw); err == nil && ok && ip.Is6() {
			out = append(out, ip)
		}
	}
	return out
}

// reachable says where sockets of a process can be called. One that listens on all
// addresses has those of its own network namespace, where that is not the host's:
// clients of a container call an address that the host does not have.
func (d *Discoverer) reachable(pid int32, sockets []netip.AddrPort) []netip.AddrPort {
	if !slices.ContainsFunc(sockets, func(s netip.AddrPort) bool { return s.Addr().IsUnspecified() }) {
		return sockets
	}
	ns, err := d.fs.netNamespace(pid)
	if err != nil || d.hostNetwork == "" || ns == d.hostNetwork {
		return sockets
	}
	addresses, known := d.networks[ns]
	if !known {
		addresses = d.fs.addresses(pid)
		d.networks[ns] = addresses
	}
	if len(addresses) == 0 {
		return sockets
	}
	var out []netip.AddrPort
	for _, s := range sockets {
		if !s.Addr().IsUnspecified() {
			out = append(out, s)
			continue
		}
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.Port()))
		for _, ip := range addresses {
			// [::] takes IPv4, too, unless the program forbids it.
			if s.Addr().Is6() || ip.Is4() {
				out = append(out, netip.AddrPortFrom(ip, s.Port()))
			}
		}
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	out = slices.Compact(out)
	return out[:min(len(out), maxSockets)]
}
