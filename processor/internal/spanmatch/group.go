package spanmatch

import (
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
)

// Group is the spans of one resource as matching needs them.
type Group struct {
	Spans []ptrace.Span
	Match []correlate.Span
	// Until is the end of the last span.
	Until int64
	// Services are those that the spans come from or call.
	Services []string

	rs   ptrace.ResourceSpans
	name string // of the service that they come from
}

// Scope says of which spans a survey reads what matching needs.
type Scope bool

const (
	// Relevant are those that some known service can come from or be called by.
	Relevant Scope = false
	// All are needed where services are known only while they are abnormal:
	// what was usual before is to be known, too.
	All Scope = true
)

// Survey reads whose a resource's spans are and whom they call.
func Survey[T any](ledger *correlate.Ledger[T], rs ptrace.ResourceSpans, now time.Time, scope Scope) *Group {
	id := Identity(rs.Resource().Attributes())
	g := &Group{rs: rs, name: id.Name}
	own := ledger.Find(id)
	ledger.Spans(own, now)
	candidates := [][]correlate.Candidate{own}
	if scope == Relevant && len(own) == 0 && !ledger.Callable() && !ledger.HasRequests() {
		return g
	}
	n := Count(rs)
	g.Spans, g.Match = make([]ptrace.Span, 0, n), make([]correlate.Span, 0, n)
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			s := Matchable(span)
			s.Services = ledger.Receivers(&s, own)
			s.Peers = called(ledger, &s, span, id, now)
			if len(own) == 0 && len(s.Services) > 0 {
				candidates = append(candidates, s.Services)
			}
			if len(s.Peers) > 0 {
				candidates = append(candidates, s.Peers)
			}
			g.Spans, g.Match = append(g.Spans, span), append(g.Match, s)
			g.Until = max(g.Until, s.End)
		}
	}
	g.Services = correlate.Keys(candidates...)
	return g
}

// called are the services without spans of their own that a client span calls.
func called[T any](ledger *correlate.Ledger[T], s *correlate.Span, span ptrace.Span, from correlate.Identity, now time.Time) []correlate.Candidate {
	if !s.Waits {
		return nil
	}
	if peers := ledger.Called(s, now); len(peers) > 0 || !ledger.Callable() {
		return peers
	}
	return ledger.FindPeer(from, now, Peers(span.Attributes())...)
}

// Matchable is what matching needs of a span itself.
func Matchable(span ptrace.Span) correlate.Span {
	return correlate.Span{
		Trace: span.TraceID(), ID: span.SpanID(), Parent: span.ParentSpanID(),
		Start: int64(span.StartTimestamp()), End: int64(span.EndTimestamp()), ThreadID: threadOf(span),
		Waits: span.Kind() == ptrace.SpanKindClient || span.Kind() == ptrace.SpanKindProducer,
	}
}

// Held makes of a group what waits for the judgement of its services.
func (g *Group) Held(deadline time.Time) correlate.Held[ptrace.ResourceSpans] {
	return correlate.Held[ptrace.ResourceSpans]{
		Item: g.rs, Services: g.Services, Until: g.Until, Deadline: deadline,
		Spans: len(g.Spans), Bytes: Size(g.rs),
	}
}

// Kinds appends for each span of the group what its time is compared within: spans of the
// same name and kind of the same service.
func (g *Group) Kinds(dst []string) []string {
	var last ptrace.Span
	for i, span := range g.Spans {
		// Batches have many spans of few kinds.
		if i > 0 && span.Kind() == last.Kind() && span.Name() == last.Name() {
			dst = append(dst, dst[len(dst)-1])
			continue
		}
		last = span
		dst = append(dst, g.Kind(span))
	}
	return dst
}

// Kind is what Kinds appends for a span.
func (g *Group) Kind(span ptrace.Span) string {
	return g.name + "\x00" + strconv.Itoa(int(span.Kind())) + "\x00" + Name(span)
}

// Name is the name of a span as it is remembered: cut, since senders choose it.
func Name(span ptrace.Span) string { return cleantext.Clean(span.Name(), cleantext.MaxName) }

// RequestKind is what the time of a request is compared within: the name of its span,
// and the route, where that is not a part of it.
func RequestKind(span ptrace.Span) string {
	name := Name(span)
	if v, ok := span.Attributes().Get("http.route"); ok && v.Type() == pcommon.ValueTypeStr && !strings.Contains(name, v.Str()) {
		return cleantext.Clean(name+" "+v.Str(), cleantext.MaxName)
	}
	return name
}

// RequestSize is how much a request asked for, in bytes or rows as its span tells;
// zero when it does not.
func RequestSize(span ptrace.Span) float64 {
	for _, key := range [...]string{"http.response.body.size", "http.request.body.size", "db.response.returned_rows", "messaging.batch.message_count"} {
		if v, ok := span.Attributes().Get(key); ok && v.Type() == pcommon.ValueTypeInt && v.Int() > 0 {
			return float64(v.Int())
		}
	}
	return 0
}

// Count is how many spans there are.
func Count(rs ptrace.ResourceSpans) (n int) {
	for _, ss := range rs.ScopeSpans().All() {
		n += ss.Spans().Len()
	}
	return n
}

func threadOf(span ptrace.Span) int64 {
	if v, ok := span.Attributes().Get("thread.id"); ok && v.Type() == pcommon.ValueTypeInt {
		return v.Int()
	}
	return 0
}

// Peers reads the server that a client span calls: where it really was
// connected to first, then what it was asked to call. The second name of each
// is that of the conventions before 1.21, which many instrumentations have.
func Peers(attrs pcommon.Map) []correlate.Peer {
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
			peers = append(peers, correlate.Peer{Host: cleantext.Clean(host.AsString(), cleantext.MaxName), Port: uint16(n), By: names.by})
		}
	}
	return peers
}
