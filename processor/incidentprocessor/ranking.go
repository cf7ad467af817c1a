package incidentprocessor

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// median is which part of the past an own time is compared with: half of the
// requests of a kind take longer, so what is beyond it adds up.
const median = 0.5

// seenSpan is what is remembered of a span.
type seenSpan struct {
	match correlate.Span
	name  string
	from  *correlate.Identity
	peers []correlate.Peer
	// anomalies are those that it came with.
	anomalies []blame.Anomaly
}

const (
	// maxSpanAnomalies bounds the anomalies remembered of one span: agents write
	// four at most, and a client's span may have its server's.
	maxSpanAnomalies = 16
	// seenSize, identitySize and anomalySize are what is remembered takes beside
	// its texts (bytes).
	seenSize, identitySize, anomalySize = 320, 160, 160
)

// gather remembers the spans of a resource. What it keeps of them is read before
// the lock is taken.
func (c *causes) gather(rs ptrace.ResourceSpans, now time.Time) {
	id := spanmatch.Identity(rs.Resource().Attributes())
	c.ledger.Spans(c.ledger.Find(id), now)
	var seen []*seenSpan
	left := 0
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			s := &seenSpan{match: spanmatch.Matchable(span), name: spanmatch.Name(span), from: &id}
			if s.match.Waits {
				s.peers = spanmatch.Peers(span.Attributes())
			}
			left += s.read(span.Events(), &id)
			seen = append(seen, s)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left.spanAnomalies += left
	shared := identitySize + id.Len()
	for _, s := range seen {
		c.table.Add(s.match.Trace, s, s.size()+shared, now)
		shared = 0 // the first has it
	}
}

// read reads the anomalies of a span's events, each once; it returns how many were
// left out.
func (s *seenSpan) read(events ptrace.SpanEventSlice, from *correlate.Identity) (left int) {
	for _, ev := range events.All() {
		if ev.Name() != anomalylog.Event {
			continue
		}
		a := onSpan(ev.Attributes(), from)
		switch {
		case slices.ContainsFunc(s.anomalies, func(b blame.Anomaly) bool { return b.ID == a.ID }):
		case len(s.anomalies) == maxSpanAnomalies:
			left++
		default:
			s.anomalies = append(s.anomalies, a)
		}
	}
	return left
}

// size estimates the memory that is remembered of a span takes (bytes).
func (s *seenSpan) size() int {
	n := seenSize + len(s.name)
	for _, p := range s.peers {
		n += anomalySize + len(p.Host)
	}
	for i := range s.anomalies {
		n += sizeOf(&s.anomalies[i])
	}
	return n
}

// sizeOf estimates the memory that an anomaly takes (bytes).
func sizeOf(a *blame.Anomaly) int {
	n := anomalySize + len(a.ID) + len(a.Service) + len(a.Pattern)
	for _, s := range a.Suspects {
		n += anomalySize + len(s.Function) + len(s.Module)
	}
	return n
}

// onSpan reads the anomaly of an event on a span of a service.
func onSpan(attrs pcommon.Map, from *correlate.Identity) blame.Anomaly {
	service := from.Service()
	if peer := anomalylog.Name(attrs, anomalylog.AttrPeerService); peer != "" {
		service = peer
	}
	return shortly(&anomalylog.Short{
		ID: anomalylog.ID(attrs), Function: anomalylog.Name(attrs, anomalylog.AttrFunction),
		Pattern: anomalylog.Name(attrs, anomalylog.AttrPattern),
	}, service)
}

// shortly is what a span says of an anomaly: that the first suspect is all.
func shortly(s *anomalylog.Short, service string) blame.Anomaly {
	a := blame.Anomaly{ID: s.ID, Service: service, Pattern: s.Pattern}
	if s.Function != "" {
		a.Suspects = []blame.Suspect{{Function: s.Function, Score: 1}}
	}
	return a
}

// rank ranks a trace, once; nil when nothing in it is abnormal.
func (c *causes) rank(id [16]byte, now time.Time) blame.Ranking {
	c.mu.Lock()
	defer c.mu.Unlock()
	tr := c.table.Get(id)
	if tr == nil {
		return nil
	}
	if tr.Ranked {
		return tr.Ranking
	}
	tr.Ranked = true
	var loads []blame.Load
	for _, s := range blame.Spend(c.resolve(tr.Spans, now)) {
		l := blame.Load{Service: s.Service, Anomalies: s.Anomalies, Calls: s.Calls, Excess: s.Own, Linked: true}
		kind := s.Service + "\x00" + s.Operation
		if past, known := c.habits.Usual(kind, median); known {
			l.Excess = max(0, s.Own-past)
		}
		if len(s.Anomalies) == 0 {
			c.habits.Note(kind, time.Unix(0, endOf(tr.Spans)), s.Own)
		}
		loads = append(loads, l)
	}
	tr.Ranking = blame.Rank(loads)
	c.period.Trace(id, loads)
	return tr.Ranking
}

// endOf is when the last of spans ended.
func endOf(spans []*seenSpan) (end int64) {
	for _, s := range spans {
		end = max(end, s.match.End)
	}
	return end
}

// resolve says of the spans of a trace whose they are, whom they call, and
// which anomalies they were part of.
func (c *causes) resolve(seen []*seenSpan, now time.Time) []blame.Span {
	// The spans of a payload share their resource.
	found := map[*correlate.Identity][]correlate.Candidate{}
	for _, s := range seen {
		if _, known := found[s.from]; !known {
			found[s.from] = c.ledger.Find(*s.from)
			// First who has spans of its own: its callers are not told for it.
			c.ledger.Spans(found[s.from], now)
		}
	}
	spans, match := make([]blame.Span, len(seen)), make([]correlate.Span, len(seen))
	for i, s := range seen {
		match[i] = s.match
		match[i].Services = found[s.from]
		spans[i] = blame.Span{
			ID: s.match.ID, Parent: s.match.Parent, Start: s.match.Start, End: s.match.End,
			Name: s.name, Service: c.serviceOf(match[i].Services, s.from), Client: s.match.Waits,
		}
		for _, a := range s.anomalies {
			spans[i].Anomalies = append(spans[i].Anomalies, c.whole(a))
		}
		if match[i].Peers = c.ledger.FindPeer(*s.from, now, s.peers...); len(match[i].Peers) > 0 {
			spans[i].Callee = c.service(match[i].Peers[0].Service)
		} else if len(s.peers) > 0 {
			// Nobody known: its time is not the caller's all the same.
			spans[i].Callee = "\x00" + s.peers[0].Host
		}
	}
	for _, m := range c.ledger.Match(match) {
		a := c.whole(shortly(&m.Verdict.Value, c.service(m.Service.Service)))
		if !slices.ContainsFunc(spans[m.Span].Anomalies, func(b blame.Anomaly) bool { return b.ID == a.ID }) {
			spans[m.Span].Anomalies = append(spans[m.Span].Anomalies, a)
		}
	}
	return spans
}

// serviceOf is the service that spans come from: as its anomalies call it, which
// may be another name than its spans have, else as they call it themselves.
func (c *causes) serviceOf(found []correlate.Candidate, from *correlate.Identity) string {
	if len(found) > 0 {
		return c.service(found[0].Service)
	}
	return from.Service()
}

// whole is what the log record said of an anomaly, if it came: events on spans
// say less.
func (c *causes) whole(a blame.Anomaly) blame.Anomaly {
	if known := c.known[a.ID]; known != nil {
		return known.Anomaly
	}
	return a
}

// service is the service of an instance.
func (c *causes) service(key string) string {
	id, _ := c.ledger.Identity(key)
	return id.Service()
}
