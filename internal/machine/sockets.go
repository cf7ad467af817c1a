package machine

import (
	"net/netip"
	"strconv"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// socket is a connection of a service, as far as it says something of its peer.
type socket struct {
	inode         uint32
	local, remote netip.AddrPort
	// namespace is that of the network, as its inode, and process one that has it; zero of
	// those in the collector's own.
	namespace uint32
	process   int32
	// listening is set on one that takes connections, connecting on one that waits for
	// its peer to take it, datagrams on one of UDP.
	listening, connecting, datagrams bool
	// queue is how many connections are in line to be accepted by one that listens.
	queue uint32
	// sent and received are how long ago the last data was, in ms, acked the last
	// acknowledgement; unacked is what was sent and is not acknowledged, unsent what is
	// not even sent.
	sent, received, acked, unacked, unsent uint32
	// segments with data came in, answers went out, retransmits once more; of duplicates the
	// peer said that it had them already (D-SACK, RFC 2883).
	segments, answers, retransmits, duplicates uint32
	// acksIn and acksOut are the segments without data: acknowledgements that came and went
	// apart from data.
	acksIn, acksOut uint32
	// peerLate is set when since the look before most of what was sent was acknowledged apart
	// from an answer: the peer takes longer than an acknowledgement is put off for it. ownLate
	// is the same of what came.
	peerLate, ownLate bool
	// busy is for how long data was under way, receiverLimited the part of it in which
	// the peer did not take it; onTheWay is what of the rest the network took (us).
	busy, receiverLimited, onTheWay uint64
}

// awaits reports whether a connection that the service made waits for an answer: it
// sent last, and all of that has arrived. Who asks again within the millisecond of an
// answer sent and received at once: an acknowledgement that came later then is that of the
// question, and a peer that answers late has not answered yet.
func (s *socket) awaits() bool {
	if s.datagrams || s.connecting {
		return true
	}
	if s.unsent > 0 || s.unacked > 0 && s.sent > slowestAck {
		return false // it is on its way still
	}
	return s.sent < s.received || s.sent == s.received && (s.acked+ackDelay < s.received || s.peerLate)
}

// owes reports whether a connection that the service took waits for its answer. The first
// question may have come in the millisecond in which the connection was made, which
// counts as sent.
func (s *socket) owes() bool {
	return !s.datagrams && (s.received < s.sent || s.answers == 0 && s.segments > 0)
}

// seemsToOwe is owes where the times do not tell: the kernel has ticks of some milliseconds,
// and who asks again within the tick of an answer received and sent at once, as did who was
// answered within the tick of the question. The former has sent more segments than came back
// as long as questions and answers are one each, or is answered late. That is enough where
// something else says that answers take longer.
func (s *socket) seemsToOwe() bool {
	return s.owes() || !s.datagrams && s.received == s.sent && (s.segments > s.answers || s.ownLate)
}

// rests reports whether nothing came and nothing went for a while.
func (s *socket) rests() bool {
	return min(s.sent, s.received) >= atRest && !s.datagrams && !s.connecting
}

// atRest is from how many ms without data on a connection is at rest.
const atRest = 100

// ackDelay is by how many ms an acknowledgement is later than what it came with, if it
// came alone.
const ackDelay = 10

// slowestAck is how many ms a peer that has something takes to acknowledge it.
const slowestAck = 200

// putOff is for how long (us) a peer puts off the acknowledgement of a question, to send it
// with the answer: 40 ms (TCP_ATO_MIN) and a tick of the kernel.
const putOff = 50_000

// maxSockets bounds the connections looked at, of all services, in the collector's network
// namespace and in others.
const maxSockets = 8192

// handshake is how many segments without data a new connection has sent and received at
// the most.
const handshake = 2

// compare sets what the look before, by inode, and this one tell together.
func compare(all []socket, before map[uint32]socket) (now map[uint32]socket) {
	now = make(map[uint32]socket, len(all))
	for i := range all {
		s := &all[i]
		was, known := before[s.inode]
		if !known {
			was = socket{acksIn: handshake, acksOut: handshake}
		}
		s.peerLate, s.ownLate = was.peerLate, was.ownLate
		s.onTheWay = was.onTheWay + s.delayed(&was)
		if s.segments != was.segments || s.answers != was.answers {
			s.peerLate = apart(s.acksIn, was.acksIn, s.answers-was.answers)
			s.ownLate = apart(s.acksOut, was.acksOut, s.segments-was.segments)
		}
		now[s.inode] = *s
	}
	return now
}

// delayed is for how long (us) the network had data since the look before. A question counts as
// under way until it is acknowledged, which may be with its answer: only what was lost, or was
// under way for longer than that, is known to be the network's.
func (s *socket) delayed(was *socket) uint64 {
	under := s.busy - min(s.busy, s.receiverLimited)
	under -= min(under, was.busy-min(was.busy, was.receiverLimited))
	open := func(s *socket) uint64 { return uint64(min(s.unacked, 1)) }
	questions := min(uint64(s.answers-was.answers)+open(was), uint64(s.segments-was.segments)+open(s))
	if s.lost() <= was.lost() && under <= max(1, questions)*putOff {
		return 0
	}
	return under
}

// lost is how many segments were sent again because the network lost them. What had arrived
// was sent again as a probe (RFC 8985), since its acknowledgement was put off.
func (s *socket) lost() uint32 { return s.retransmits - min(s.retransmits, s.duplicates) }

// apart reports whether there are acknowledgements, one for every second segment at least:
// a peer does not put off more.
func apart(acks, before, segments uint32) bool {
	return acks > before && 2*(acks-before) >= segments
}

// putting takes a figure of a service. A counter is of one connection, and grows.
type putting = func(service int, m threadtrace.Measure, resource string, v int64, counter uint64)

// place is an address in a network namespace: each pod may have a port 80.
type place struct {
	namespace uint32
	at        netip.AddrPort
}

// listeners are the owners of the sockets that take connections, by address.
type listeners map[place]int

// listen finds them; a port that several services share by other means than their addresses
// is one's of them.
func listen(all []socket, owner func(*socket) int) listeners {
	at := listeners{}
	for i := range all {
		if s := &all[i]; s.listening {
			address := place{s.namespace, netip.AddrPortFrom(s.local.Addr().Unmap(), s.local.Port())}
			if who, known := at[address]; !known || who < 0 {
				at[address] = owner(s)
			}
			at[place{s.namespace, netip.AddrPortFrom(netip.Addr{}, s.local.Port())}] = -1 // at another address: an address may be translated
		}
	}
	return at
}

// of is who takes the connections that one is of, below zero for somebody else; taken is
// false when nobody listens there.
func (l listeners) of(s *socket) (who int, taken bool) {
	for _, address := range [...]netip.Addr{s.local.Addr().Unmap(), netip.IPv4Unspecified(), netip.IPv6Unspecified(), {}} {
		if who, taken = l[place{s.namespace, netip.AddrPortFrom(address, s.local.Port())}]; taken {
			return who, true
		}
	}
	return -1, false
}

// connections takes the figures of the connections of services. owner tells which
// service has a socket, below zero where that is not known. Those that clients
// made are of who listens there: many are over before anybody has looked for their owner.
func connections(all []socket, owner func(*socket) int, stands int64, put putting) {
	listening := listen(all, owner)
	for i := range all {
		s := &all[i]
		service, inward := listening.of(s)
		if mine := owner(s); mine >= 0 {
			service = mine
		}
		switch {
		case service < 0:
		case s.listening:
			if s.queue > 0 {
				put(service, threadtrace.MeasureClientWait, "", stands*int64(s.queue), 0)
			}
		case inward:
			s.ofClient(service, stands, put)
		default:
			s.toPeer(service, stands, put)
		}
	}
}

// ofClient takes the figures of a connection that a client made.
func (s *socket) ofClient(service int, stands int64, put putting) {
	if s.seemsToOwe() {
		put(service, threadtrace.MeasureClientWait, "", stands, 0)
	}
	if s.rests() {
		m := threadtrace.MeasureAnswered
		if s.owes() {
			m = threadtrace.MeasureUnanswered
		}
		put(service, m, strconv.Itoa(int(s.local.Port())), stands, 0)
	}
	s.sends(service, s.remote.Addr().Unmap().String(), put) // the port is another for each connection
}

// toPeer takes the figures of a connection that the service made.
func (s *socket) toPeer(service int, stands int64, put putting) {
	peer := netip.AddrPortFrom(s.remote.Addr().Unmap(), s.remote.Port()).String()
	if s.awaits() {
		put(service, threadtrace.MeasurePeerWait, peer, stands, 0)
	}
	put(service, threadtrace.MeasurePeerSegments, peer, int64(s.segments), uint64(s.inode))
	s.sends(service, peer, put)
}

// sends takes what keeps from arriving what is sent to a peer.
func (s *socket) sends(service int, peer string, put putting) {
	id := uint64(s.inode)
	put(service, threadtrace.MeasureReceiverLimited, peer, micro(int64(min(s.receiverLimited, 1<<50))), id)
	if s.remote.Addr().IsLoopback() || s.remote.Addr() == s.local.Addr() {
		return // there is no network between them
	}
	put(service, threadtrace.MeasureNetworkLimited, peer, micro(int64(min(s.onTheWay, 1<<50))), id)
	put(service, threadtrace.MeasureRetransmits, peer, int64(s.retransmits), id)
}
