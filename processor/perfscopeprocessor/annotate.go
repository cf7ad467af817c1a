package perfscopeprocessor

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/suspect"
)

// Attributes of the event on a span beside the anomaly's: how the two were
// tied to each other.
const (
	attrMatchResource   = "perfscope.match.resource"
	attrMatchBy         = "perfscope.match.by"
	attrMatchConfidence = "perfscope.match.confidence"
	attrPeerService     = "service.peer.name"
)

// annotate appends to spans the anomalies that they were part of. What is
// given together is matched together: the spans of a request may come apart.
func (e *engine) annotate(ctx context.Context, lots ...*lot) {
	var spans []ptrace.Span
	var t timed
	for _, l := range lots {
		spans, t.spans, t.kinds = append(spans, l.spans...), append(t.spans, l.match...), l.kinds(t.kinds)
	}
	now := e.clock()
	if t.matches = e.ledger.Match(t.spans); len(t.matches) > 0 {
		e.slower.count(&t)
		if e.slower.undecided(&t, now) {
			e.peek(now)
		}
	}
	annotated, last := 0, -1
	for _, m := range e.slower.sift(&t) {
		if appendAnomaly(spans[m.Span], &m, e.calledName(&m)) && m.Span != last {
			last = m.Span
			annotated++
		}
	}
	if annotated > 0 {
		e.telemetry.ProcessorPerfscopeSpansAnnotated.Add(ctx, int64(annotated))
	}
}

// peek learns from spans that are held whether anomalies slow any down: those
// that are let go first may be from before it began.
func (e *engine) peek(now time.Time) {
	e.mu.Lock()
	handles := slices.Clone(e.traces)
	e.mu.Unlock()
	for _, h := range handles {
		var t timed
		h.mu.Lock()
		every, n := 1+h.store.Spans()/peekSpans, 0
		h.store.Each(func(held *correlate.Held[ptrace.ResourceSpans]) bool {
			if n++; n%every == 0 {
				l := e.survey(held.Item, now)
				t.spans, t.kinds = append(t.spans, l.match...), l.kinds(t.kinds)
			}
			return true
		})
		h.mu.Unlock()
		t.matches = e.ledger.Match(t.spans)
		e.slower.count(&t)
	}
}

// calledName is the name of the service that a span calls, when the match is
// with that one.
func (e *engine) calledName(m *correlate.Match[pcommon.Map]) string {
	if !m.Called {
		return ""
	}
	id, _ := e.ledger.Identity(m.Service.Service)
	return id.Name
}

// appendAnomaly appends an anomaly to a span. An event that is there already,
// as when an agent and a gateway both do this, is left as it is.
func appendAnomaly(span ptrace.Span, m *correlate.Match[pcommon.Map], called string) bool {
	attrs := m.Verdict.Value
	if id, ok := attrs.Get(attrID); ok {
		for i := range span.Events().Len() {
			ev := span.Events().At(i)
			if ev.Name() != eventAnomaly {
				continue
			}
			if other, ok := ev.Attributes().Get(attrID); ok && other.Equal(id) {
				return false
			}
		}
	}
	ev := span.Events().AppendEmpty()
	ev.SetName(eventAnomaly)
	ev.SetTimestamp(pcommon.Timestamp(m.At))
	attrs.CopyTo(ev.Attributes())
	describeMatch(m, called, ev.Attributes())
	return true
}

// describeMatch writes how a span and an anomaly were tied to each other.
func describeMatch(m *correlate.Match[pcommon.Map], called string, dst pcommon.Map) {
	dst.PutStr(attrMatchResource, string(m.Service.Tie))
	dst.PutStr(attrMatchBy, string(m.Way))
	dst.PutDouble(attrMatchConfidence, suspect.Round(m.Confidence()))
	if called != "" {
		dst.PutStr(attrPeerService, called)
	}
}
