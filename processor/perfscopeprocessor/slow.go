package perfscopeprocessor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
	"github.com/perfscope/perfscope/processor/internal/taillog"
)

const (
	// maxInbox bounds the spans of a service that wait for its next hop.
	maxInbox = 8192
	// maxOwn bounds the slow spans of which it is known that they were seen.
	maxOwn = 4096
	// maxSlowSpans bounds the slow spans of a service with what was seen of them, maxSeen
	// how often.
	maxSlowSpans, maxSeen = 32, 64
)

// slowTeller is what the engine needs of inference.Analyzer to tell slow requests.
type slowTeller interface {
	AddRequests([]inference.Request)
	Tails() []inference.Tail
	SawWithin(*inference.Tail, inference.Request) bool
	SeenWithin(r inference.Request, most int) []inference.Seen
}

// slowRequests are the spans of the services on their way to the analysis, and what
// the slow ones of them are told. It is bounded by the services that are held and safe
// for concurrent use.
type slowRequests struct {
	mu       sync.Mutex
	services map[string]*slowSpans
}

// slowSpans are those of a service.
type slowSpans struct {
	inbox []inference.Request
	// left counts those for which there was no room.
	left int64
	// tails are what is known of its kinds, own the slow spans that were seen, oldest
	// first.
	tails map[string]taillog.Slow
	own   map[[8]byte]struct{}
	order [][8]byte
	// shown are the last slow spans by kind, the oldest first.
	shown map[string][]evidence.Span
}

func (q *slowRequests) open(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.services == nil {
		q.services = map[string]*slowSpans{}
	}
	q.services[key] = &slowSpans{}
}

func (q *slowRequests) close(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.services, key)
}

// add takes the spans of a group: those of a service that it serves, and those of its
// callers when it has none of its own.
func (q *slowRequests) add(g *spanmatch.Group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.services) == 0 {
		return
	}
	q.each(g, func(s *slowSpans, i int) {
		if len(s.inbox) >= maxInbox {
			s.left++
			return
		}
		s.inbox = append(s.inbox, requestOf(g, i))
	})
}

// each goes through the spans of a group that are requests, with their services.
func (q *slowRequests) each(g *spanmatch.Group, fn func(*slowSpans, int)) {
	for i := range g.Match {
		m := &g.Match[i]
		of := m.Peers
		if !m.Waits {
			if of = m.Services; !serves(g.Spans[i]) {
				continue
			}
		}
		for _, c := range of {
			if s := q.services[c.Service]; s != nil && c.Certainty >= sure {
				fn(s, i)
			}
		}
	}
}

// serves reports whether a span is a request that its service answers: what it does
// inside of one is no other request.
func serves(span ptrace.Span) bool {
	switch span.Kind() {
	case ptrace.SpanKindServer, ptrace.SpanKindConsumer:
		return true
	}
	return span.ParentSpanID().IsEmpty()
}

func requestOf(g *spanmatch.Group, i int) inference.Request {
	m, span := &g.Match[i], g.Spans[i]
	return inference.Request{
		Kind: spanmatch.RequestKind(span), Trace: span.TraceID(), ID: m.ID, Start: m.Start, End: m.End,
		Thread: int32(m.ThreadID), Size: spanmatch.RequestSize(span), //nolint:gosec // one that is too large is none of the kernel's
	}
}

// take empties the inbox of a service.
func (q *slowRequests) take(key string) (list []inference.Request, left int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.services[key]
	if s == nil {
		return nil, 0
	}
	list, left = s.inbox, s.left
	s.inbox, s.left = nil, 0
	return list, left
}

// tell sets what slow spans of a service are told from now on, and which of them were
// seen themselves.
func (q *slowRequests) tell(key string, tails []inference.Tail, own [][8]byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.services[key]
	if s == nil {
		return
	}
	s.tails = nil
	for i := range tails {
		t := &tails[i]
		if !t.Spans || len(t.Suspects) == 0 {
			continue
		}
		if s.tails == nil {
			s.tails, s.own = map[string]taillog.Slow{}, map[[8]byte]struct{}{}
		}
		s.tails[t.Kind] = taillog.SlowOf(t)
	}
	if s.tails == nil {
		s.own, s.order, s.shown = nil, nil, nil
		return
	}
	maps.DeleteFunc(s.shown, func(kind string, _ []evidence.Span) bool { _, ok := s.tails[kind]; return !ok })
	s.order = append(s.order, own...)
	if over := len(s.order) - maxOwn; over > 0 {
		s.order = append(s.order[:0:0], s.order[over:]...)
	}
	s.own = make(map[[8]byte]struct{}, len(s.order))
	for _, id := range s.order {
		s.own[id] = struct{}{}
	}
}

// annotate tells slow spans of a group why they are slow; it returns how many.
func (q *slowRequests) annotate(g *spanmatch.Group) (told int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.each(g, func(s *slowSpans, i int) {
		if len(s.tails) == 0 {
			return
		}
		m := &g.Match[i]
		slow, ok := s.tails[spanmatch.RequestKind(g.Spans[i])]
		if !ok || m.End-m.Start < int64(slow.Threshold) {
			return
		}
		s.show(slow.Kind, example(g.Spans[i], time.Duration(m.End-m.Start)))
		seen := taillog.EvidenceKind
		if _, own := s.own[m.ID]; own {
			seen = taillog.EvidenceOwn
		}
		if taillog.AppendEvent(g.Spans[i], &slow, seen) {
			told++
		}
	})
	return told
}

// show keeps a slow span of a kind to be shown.
func (s *slowSpans) show(kind string, span evidence.Span) {
	if s.shown == nil {
		s.shown = map[string][]evidence.Span{}
	}
	list := s.shown[kind]
	if len(list) >= maxExamples {
		list = append(list[:0], list[1:]...)
	}
	s.shown[kind] = append(list, span)
}

// examples are the last slow spans of a kind, the newest first.
func (q *slowRequests) examples(key, kind string) []evidence.Span {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.services[key]; s != nil {
		list := slices.Clone(s.shown[kind])
		slices.Reverse(list)
		return list
	}
	return nil
}

// addRequests hands the spans that came to the analysis of their service.
func (e *engine) addRequests(s *service) {
	a, ok := s.analyzer.(slowTeller)
	if !ok {
		return
	}
	list, left := e.slow.take(s.key)
	e.telemetry.ProcessorPerfscopeRequests.Add(context.Background(), int64(len(list)), withResult("taken"))
	e.telemetry.ProcessorPerfscopeRequests.Add(context.Background(), left, withResult("left_out"))
	a.AddRequests(list)
	s.requested = append(s.requested, list...)
}

// tellTails says what the slow requests of a service have that its fast ones have not,
// up to an instant.
func (e *engine) tellTails(s *service, until int64) {
	a, ok := s.analyzer.(slowTeller)
	if !ok {
		return
	}
	tails := a.Tails()
	for i := range tails {
		tails[i].Summary = explain.For(s.name, tails[i].Summary)
		if t := &tails[i]; t.News {
			e.tellTail(s, t)
		}
	}
	e.slow.tell(s.key, tails, s.seenThemselves(a, tails, until))
	e.tails.set(s.name, s.key, tails)
	s.tails = tails
}

// seenThemselves are the slow spans up to an instant of which the first suspect was
// seen while they were under way.
func (s *service) seenThemselves(a slowTeller, tails []inference.Tail, until int64) (own [][8]byte) {
	var later []inference.Request
	for _, r := range s.requested {
		if r.End > until && len(later) < maxInbox {
			later = append(later, r)
			continue
		}
		for i := range tails {
			t := &tails[i]
			if t.Spans && t.Kind == r.Kind && r.End-r.Start >= int64(t.Threshold) && a.SawWithin(t, r) {
				own = append(own, r.ID)
				s.keepSlow(r, a.SeenWithin(r, maxSeen))
			}
		}
	}
	s.requested = later
	return own
}

// keepSlow keeps what was seen of a slow request, to be handed on with its span.
func (s *service) keepSlow(r inference.Request, seen []inference.Seen) {
	if len(seen) == 0 {
		return
	}
	if len(s.slowSpans) >= maxSlowSpans {
		s.slowSpans = append(s.slowSpans[:0:0], s.slowSpans[1:]...) // a copy may be shown
	}
	s.slowSpans = append(s.slowSpans, evidence.SlowSpan{Trace: r.Trace, ID: r.ID, End: time.Unix(0, r.End).UTC(), Seen: seen})
}

func (e *engine) tellTail(s *service, t *inference.Tail) {
	if !e.cfg.Output.ToLogs() {
		return
	}
	ld, resource := taillog.Record(e.scope(), t)
	s.processes.common(resource)
	result := string(e.send(s.sink, s.name, ld))
	e.telemetry.ProcessorPerfscopeTailRecords.Add(context.Background(), 1, withResult(result))
}
