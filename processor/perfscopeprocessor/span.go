package perfscopeprocessor

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
)

// sizer measures spans as they are on the wire.
var sizer ptrace.ProtoMarshaler

// lot is the spans of one resource as matching needs them.
type lot struct {
	rs    ptrace.ResourceSpans
	spans []ptrace.Span
	match []correlate.Span
	// from is the name of the service that they come from.
	from string
	// until is the end of the last span.
	until int64
	// services are those that the spans come from or call.
	services []string
}

// survey reads whose a resource's spans are and whom they call. Nothing else
// is read when no service is known that could be either; a gateway, which hears
// of services only when they are abnormal, needs to know what was usual before.
func (e *engine) survey(rs ptrace.ResourceSpans, now time.Time) *lot {
	id := identityOf(rs.Resource().Attributes())
	l := &lot{rs: rs, from: id.Name}
	own := e.ledger.Find(id)
	e.ledger.Spans(own, now)
	candidates := [][]correlate.Candidate{own}
	nobody := len(own) == 0 && !e.ledger.Callable() && !e.ledger.HasRequests() && e.across == nil
	for _, ss := range rs.ScopeSpans().All() {
		if nobody {
			break
		}
		for _, span := range ss.Spans().All() {
			l.spans = append(l.spans, span)
			l.until = max(l.until, int64(span.EndTimestamp()))
			s := matchable(span)
			s.Services = e.ledger.Receivers(&s, own)
			if len(own) == 0 && len(s.Services) > 0 {
				candidates = append(candidates, s.Services)
			}
			if s.Waits {
				s.Peers = e.ledger.Called(&s, now)
			}
			if s.Waits && len(s.Peers) == 0 && e.ledger.Callable() {
				s.Peers = e.ledger.FindPeer(id, now, peersOf(span.Attributes())...)
			}
			if len(s.Peers) > 0 {
				candidates = append(candidates, s.Peers)
			}
			l.match = append(l.match, s)
		}
	}
	l.services = correlate.Keys(candidates...)
	return l
}

// matchable is what matching needs of a span itself.
func matchable(span ptrace.Span) correlate.Span {
	return correlate.Span{
		Trace: span.TraceID(), ID: span.SpanID(), Parent: span.ParentSpanID(),
		Start: int64(span.StartTimestamp()), End: int64(span.EndTimestamp()), ThreadID: threadOf(span),
		Waits: span.Kind() == ptrace.SpanKindClient || span.Kind() == ptrace.SpanKindProducer,
	}
}

// held makes of a lot what waits.
func (l *lot) held(deadline time.Time) correlate.Held[ptrace.ResourceSpans] {
	return correlate.Held[ptrace.ResourceSpans]{
		Item: l.rs, Services: l.services, Until: l.until, Deadline: deadline,
		Spans: len(l.spans), Bytes: sizer.ResourceSpansSize(l.rs),
	}
}

func threadOf(span ptrace.Span) int64 {
	if v, ok := span.Attributes().Get("thread.id"); ok && v.Type() == pcommon.ValueTypeInt {
		return v.Int()
	}
	return 0
}

// peersOf reads the server that a client span calls: where it really was
// connected to first, then what it was asked to call. The second name of each
// is that of the conventions before 1.21, which many instrumentations have.
func peersOf(attrs pcommon.Map) []correlate.Peer {
	var peers []correlate.Peer
	for _, names := range [...]struct {
		by         correlate.Tie
		host, port string
	}{
		{correlate.TiePeerAddress, "network.peer.address", "network.peer.port"},
		{correlate.TiePeerAddress, "net.sock.peer.addr", "net.sock.peer.port"},
		{correlate.TieServerAddress, "server.address", "server.port"},
		{correlate.TieServerAddress, "net.peer.name", "net.peer.port"},
	} {
		host, ok := attrs.Get(names.host)
		if !ok {
			continue
		}
		port, ok := attrs.Get(names.port)
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(port.AsString(), 10, 16); err == nil {
			peers = append(peers, correlate.Peer{Host: host.AsString(), Port: uint16(n), By: names.by})
		}
	}
	return peers
}
