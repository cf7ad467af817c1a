// Package annotate appends to spans the anomalies that they were part of.
package annotate

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/slowdown"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

const (
	// peekSpans bounds about how many held spans are looked at to learn whether an
	// anomaly slows any: milliseconds.
	peekSpans = 4096
	// exemplarGroups bounds the groups of spans looked through for an anomaly's
	// example: enough for some of most services, and milliseconds.
	exemplarGroups = 256
)

// Annotator knows the anomalies of services, and which spans they slow down. It
// is safe for concurrent use.
type Annotator struct {
	// Ledger has the anomalies by service.
	Ledger correlate.Ledger[anomalylog.Short]
	// Holders have the spans that wait.
	Holders spanhold.Holders

	slow  *slowdown.Detector[anomalylog.Short]
	scope spanmatch.Scope
}

// New knows no anomaly yet.
func New(scope spanmatch.Scope) *Annotator {
	return &Annotator{slow: slowdown.New[anomalylog.Short](), scope: scope}
}

// Survey reads whose a resource's spans are and whom they call.
func (a *Annotator) Survey(rs ptrace.ResourceSpans, now time.Time) *spanmatch.Group {
	return spanmatch.Survey(&a.Ledger, rs, now, a.scope)
}

// Finish annotates spans that are let go; it returns how many are now.
func (a *Annotator) Finish(td ptrace.Traces, now time.Time) int {
	groups := make([]*spanmatch.Group, 0, td.ResourceSpans().Len())
	for _, rs := range td.ResourceSpans().All() {
		groups = append(groups, a.Survey(rs, now))
	}
	return a.Annotate(now, groups...)
}

// Own enters which services send spans of their own: their callers are not told
// for them. It goes before Finish, of all spans that are let go at once.
func (a *Annotator) Own(td ptrace.Traces, now time.Time) {
	if !a.Ledger.Callable() {
		return
	}
	for _, rs := range td.ResourceSpans().All() {
		a.Ledger.Spans(a.Ledger.Find(spanmatch.Identity(rs.Resource().Attributes())), now)
	}
}

// Annotate appends to spans the anomalies that they were part of; it returns how
// many of them have one now. What is given together is matched together: the
// spans of a request may come apart.
func (a *Annotator) Annotate(now time.Time, groups ...*spanmatch.Group) (annotated int) {
	spans, t := gather(groups)
	if t.Matches = a.Ledger.Match(t.Spans); len(t.Matches) > 0 {
		a.slow.Count(&t)
		if a.slow.Undecided(&t, now) {
			a.peek(now)
		}
	}
	last := -1
	for _, m := range a.slow.Sift(&t) {
		if anomalylog.AppendEvent(spans[m.Span], &m, a.calledName(&m)) && m.Span != last {
			last = m.Span
			annotated++
		}
	}
	return annotated
}

// gather takes the spans of groups together.
func gather(groups []*spanmatch.Group) (spans []ptrace.Span, t slowdown.Spans[anomalylog.Short]) {
	if len(groups) == 1 { // most often: nothing is copied
		g := groups[0]
		t.Spans, t.Kinds = g.Match, g.Kinds(make([]string, 0, len(g.Spans)))
		return g.Spans, t
	}
	for _, g := range groups {
		spans, t.Spans, t.Kinds = append(spans, g.Spans...), append(t.Spans, g.Match...), g.Kinds(t.Kinds)
	}
	return spans, t
}

// peek learns from spans that are held whether anomalies slow any down: those
// that are let go first may be from before it began.
func (a *Annotator) peek(now time.Time) {
	for _, h := range a.Holders.All() {
		var t slowdown.Spans[anomalylog.Short]
		held, _ := h.Held()
		every, n := 1+held/peekSpans, 0
		h.Each(func(held *spanhold.Group) bool {
			if n++; n%every == 0 {
				g := a.Survey(held.Item, now)
				t.Spans, t.Kinds = append(t.Spans, g.Match...), g.Kinds(t.Kinds)
			}
			return true
		})
		t.Matches = a.Ledger.Match(t.Spans)
		a.slow.Count(&t)
	}
}

// calledName is the name of the service that a span calls, when the match is
// with that one.
func (a *Annotator) calledName(m *correlate.Match[anomalylog.Short]) string {
	if !m.Called {
		return ""
	}
	id, _ := a.Ledger.Identity(m.Service.Service)
	return id.Name
}

// Exemplar finds the held span that an anomaly of a service covers most of, a
// slow one before all others; nil when there is none.
func (a *Annotator) Exemplar(service string, v correlate.Verdict[anomalylog.Short], now time.Time) (ref *anomalylog.SpanRef) {
	most := int64(-1)
	for _, h := range a.Holders.All() {
		groups := 0
		h.Each(func(held *spanhold.Group) bool {
			if !slices.Contains(held.Services, service) {
				return true
			}
			g := a.Survey(held.Item, now)
			for _, m := range a.Ledger.MatchVerdict(service, v, g.Match) {
				span, weight := g.Spans[m.Span], m.Overlap
				if a.slow.IsSlow(g.Kind(span), &g.Match[m.Span]) {
					weight += m.Verdict.End - m.Verdict.Start
				}
				if weight > most {
					most, ref = weight, &anomalylog.SpanRef{Trace: span.TraceID(), Span: span.SpanID()}
				}
			}
			groups++
			return groups < exemplarGroups
		})
	}
	return ref
}
