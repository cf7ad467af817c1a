package perfscopeprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
)

// finish writes to spans what is known when they are let go.
func (e *engine) finish(ctx context.Context, td ptrace.Traces) {
	now := e.clock()
	if e.ledger.Callable() {
		// First who has spans of its own: its callers are not told for it.
		for _, rs := range td.ResourceSpans().All() {
			e.ledger.Spans(e.ledger.Find(identityOf(rs.Resource().Attributes())), now)
		}
	}
	if e.across != nil {
		e.eachRanked(td, now, func(string, ptrace.Span, blame.Ranking) {})
	}
	if e.cfg.Output == OutputLogs {
		return
	}
	lots := make([]*lot, 0, td.ResourceSpans().Len())
	for _, rs := range td.ResourceSpans().All() {
		lots = append(lots, e.survey(rs, now))
	}
	e.annotate(ctx, lots...)
	if e.across != nil {
		e.eachRanked(td, now, func(service string, span ptrace.Span, r blame.Ranking) { decorate(span, service, r) })
	}
}

// eachRanked calls fn with every span of a trace in which something is
// abnormal. Traces are ranked on the way.
func (e *engine) eachRanked(td ptrace.Traces, now time.Time, fn func(service string, span ptrace.Span, r blame.Ranking)) {
	for _, rs := range td.ResourceSpans().All() {
		service := identityOf(rs.Resource().Attributes()).Name
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if r := e.across.rank(span.TraceID(), now); len(r) > 0 {
					fn(service, span, r)
				}
			}
		}
	}
}

// report tells, once a hop, what is to blame across services.
func (e *engine) report(now time.Time) {
	e.across.expire(now)
	if now.Sub(e.reported) >= e.cfg.Hop {
		e.reported = now
		e.tellIncident(now)
	}
}

func (e *engine) tellIncident(now time.Time) {
	in, ok := e.across.conclude(now)
	if !ok {
		return
	}
	e.telemetry.ProcessorPerfscopeIncidents.Add(context.Background(), 1)
	if e.cfg.Output != OutputSpanEvents {
		e.send(nil, in.ranking[0].Service, in.logs(e.version))
	}
}
