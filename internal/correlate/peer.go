package correlate

import (
	"net/netip"
	"slices"
	"strings"
)

// aliasCertainty is how sure a server is that is called by a name that is also
// its service's: container networks and Kubernetes give servers such names,
// but nothing proves that this one is meant.
const aliasCertainty = 0.5

// Peer is the server that a client span calls, as the span names it.
type Peer struct {
	// Host is an IP address or a name.
	Host string
	Port uint16
	// By is the attribute that says so.
	By Tie
}

// Socket is where a service can be called.
type Socket = netip.AddrPort

// ParseSocket reads 127.0.0.1:6379 and the like; false when it is none.
func ParseSocket(s string) (Socket, bool) {
	a, err := netip.ParseAddrPort(s)
	return a, err == nil
}

// listens says how sure it is that a service of this identity, with these
// sockets on a host with these addresses, is the one a caller means: from 0,
// it is not, to 1.
func listens(id Identity, sockets []Socket, addresses []netip.Addr, p Peer, caller Identity) float64 {
	for _, s := range sockets {
		if s.Port() == p.Port {
			if c := answers(id, s.Addr(), addresses, p.Host, caller); c > 0 {
				return c
			}
		}
	}
	return 0
}

func answers(id Identity, at netip.Addr, addresses []netip.Addr, host string, caller Identity) float64 {
	everywhere := at.IsUnspecified()
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		switch {
		case ip.IsLoopback():
			return sure((everywhere || at.Unmap() == ip) && id.sharesLoopback(caller))
		case everywhere:
			return sure(slices.Contains(addresses, ip))
		}
		return sure(at.Unmap() == ip)
	}
	label, _, _ := strings.Cut(host, ".")
	switch {
	case host == "":
		return 0
	case strings.EqualFold(host, "localhost"):
		return sure((everywhere || at.IsLoopback()) && id.sharesLoopback(caller))
	case id.HostName != "" && !at.IsLoopback() && (strings.EqualFold(host, id.HostName) || strings.EqualFold(label, id.HostName)):
		return 1
	case id.Name != "" && strings.EqualFold(label, id.Name):
		return aliasCertainty
	}
	return 0
}

// sharesLoopback reports whether two can call each other by the loopback
// interface: on one host, and not in two containers, but for those of a pod.
func (i Identity) sharesLoopback(other Identity) bool {
	if i.otherHost(other) {
		return false
	}
	return !differ(i.Container, other.Container) || i.Pod != "" && i.Pod == other.Pod
}

func sure(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
