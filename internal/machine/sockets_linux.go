package machine

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The layout of sock_diag (include/uapi/linux/inet_diag.h).
const (
	sockDiagByFamily = 20
	diagInfo         = 2 // INET_DIAG_INFO
	diagRequestSize  = 56
	diagMessageSize  = 72

	stateEstablished, stateSynSent, stateCloseWait, stateListen = 1, 2, 8, 10
)

// sockets asks the kernel for the connections of this network namespace; none on a
// kernel without sock_diag. It waits a second at the most.
func sockets() (all []socket) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return nil
	}
	buffer := make([]byte, 64<<10)
	const tcp = 1<<stateEstablished | 1<<stateSynSent | 1<<stateCloseWait | 1<<stateListen
	for _, ask := range []struct {
		family, protocol byte
		states           uint32
	}{
		{unix.AF_INET, unix.IPPROTO_TCP, tcp}, {unix.AF_INET6, unix.IPPROTO_TCP, tcp},
		{unix.AF_INET, unix.IPPROTO_UDP, 1 << stateEstablished}, {unix.AF_INET6, unix.IPPROTO_UDP, 1 << stateEstablished},
	} {
		if unix.Sendto(fd, diagRequest(ask.family, ask.protocol, ask.states), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
			continue
		}
		for more := true; more; {
			n, _, err := unix.Recvfrom(fd, buffer, 0)
			if err != nil {
				return all
			}
			all, more = parseSockets(buffer[:n], ask.protocol == unix.IPPROTO_UDP, all)
		}
	}
	return all
}

func diagRequest(family, protocol byte, states uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+diagRequestSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b))) //nolint:gosec // small
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	r := b[unix.SizeofNlMsghdr:]
	r[0], r[1], r[2] = family, protocol, 1<<(diagInfo-1)
	binary.NativeEndian.PutUint32(r[4:], states)
	return b
}

// parseSockets reads netlink messages; more is false after the last one.
func parseSockets(data []byte, datagrams bool, all []socket) (out []socket, more bool) {
	for len(data) >= unix.SizeofNlMsghdr {
		length, kind := int(binary.NativeEndian.Uint32(data)), binary.NativeEndian.Uint16(data[4:])
		if length < unix.SizeofNlMsghdr || length > len(data) || kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
			return all, false
		}
		if s, ok := parseSocket(data[unix.SizeofNlMsghdr:length], datagrams); ok && len(all) < maxSockets {
			all = append(all, s)
		}
		data = data[min(len(data), (length+3)&^3):]
	}
	return all, true
}

// parseSocket reads a struct inet_diag_msg and the tcp_info after it. What has no file is in
// line to be accepted, which the one that listens tells, or is nobody's any more.
func parseSocket(b []byte, datagrams bool) (s socket, ok bool) {
	if len(b) < diagMessageSize {
		return s, false
	}
	family, state := b[0], b[1]
	address := func(at int) netip.Addr {
		if family == unix.AF_INET {
			return netip.AddrFrom4([4]byte(b[at : at+4]))
		}
		return netip.AddrFrom16([16]byte(b[at : at+16]))
	}
	s = socket{
		local: netip.AddrPortFrom(address(8), binary.BigEndian.Uint16(b[4:])), remote: netip.AddrPortFrom(address(24), binary.BigEndian.Uint16(b[6:])),
		inode: binary.NativeEndian.Uint32(b[68:]), listening: state == stateListen && !datagrams, connecting: state == stateSynSent, datagrams: datagrams,
	}
	if s.listening {
		s.queue = binary.NativeEndian.Uint32(b[56:])
	}
	for rest := b[diagMessageSize:]; len(rest) >= unix.SizeofNlAttr; {
		length, kind := int(binary.NativeEndian.Uint16(rest)), binary.NativeEndian.Uint16(rest[2:])
		if length < unix.SizeofNlAttr || length > len(rest) {
			break
		}
		if kind == diagInfo && !datagrams && !s.listening {
			s.describe(rest[unix.SizeofNlAttr:length])
		}
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	return s, s.inode != 0
}

// describe takes a struct tcp_info, of which an older kernel has less.
func (s *socket) describe(b []byte) {
	var info unix.TCPInfo
	whole := unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)) //nolint:gosec // plain numbers
	copy(whole, b)
	s.sent, s.received, s.acked, s.unacked, s.unsent = info.Last_data_sent, info.Last_data_recv, info.Last_ack_recv, info.Unacked, info.Notsent_bytes
	s.segments, s.answers, s.retransmits, s.duplicates = info.Data_segs_in, info.Data_segs_out, info.Total_retrans, info.Dsack_dups
	s.acksIn, s.acksOut = info.Segs_in-min(info.Segs_in, info.Data_segs_in), info.Segs_out-min(info.Segs_out, info.Data_segs_out)
	s.busy, s.receiverLimited = info.Busy_time, info.Rwnd_limited
}
