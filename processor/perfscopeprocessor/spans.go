package perfscopeprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// The engine is the spanhold.Engine of the traces pipelines.

// Holding are the holders of the traces pipelines.
func (e *engine) Holding() *spanhold.Holders { return &e.spans.Holders }

// Now is the time that deadlines of spans are compared with.
func (e *engine) Now() time.Time { return e.clock() }

// Judged is the instant up to which a service is judged.
func (e *engine) Judged(service string) (int64, bool) { return e.spans.Ledger.Judged(service) }

// Finish writes to spans what is known when they are let go.
func (e *engine) Finish(ctx context.Context, td ptrace.Traces) {
	now := e.clock()
	e.spans.Own(td, now)
	if e.cfg.Output.ToSpans() {
		groups := make([]*spanmatch.Group, 0, td.ResourceSpans().Len())
		slow := 0
		for _, rs := range td.ResourceSpans().All() {
			g := e.spans.Survey(rs, now)
			slow += e.slow.annotate(g)
			groups = append(groups, g)
		}
		e.countAnnotated(ctx, e.spans.Annotate(now, groups...))
		e.countSlow(ctx, slow)
	}
}

// CountReleased counts spans that are let go.
func (e *engine) CountReleased(ctx context.Context, spans int, why correlate.Reason) {
	e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(spans), withReason(string(why)))
}

// CountRefused counts spans that the next component refused.
func (e *engine) CountRefused(ctx context.Context, spans int) {
	e.telemetry.ProcessorPerfscopeSpansRefused.Add(ctx, int64(spans))
}

func (e *engine) countAnnotated(ctx context.Context, spans int) {
	if spans > 0 {
		e.telemetry.ProcessorPerfscopeSpansAnnotated.Add(ctx, int64(spans))
	}
}

func (e *engine) countSlow(ctx context.Context, spans int) {
	if spans > 0 {
		e.telemetry.ProcessorPerfscopeSlowSpans.Add(ctx, int64(spans))
	}
}

// judged reports whether all that is known of the services of a group is judged
// up to its end.
func (e *engine) judged(g *spanmatch.Group) bool {
	for _, service := range g.Services {
		if at, known := e.Judged(service); known && at < g.Until {
			return false
		}
	}
	return true
}
