package perfscopeprocessor

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// tracesHandle is the processor in one traces pipeline. It owns the spans it
// holds and lets them go in its own Shutdown.
type tracesHandle struct {
	*spanhold.Pipeline[*engine]
	cfg *Config
}

func newTracesHandle(s *sharedEngines, set processor.Settings, cfg *Config, next consumer.Traces) *tracesHandle {
	return &tracesHandle{
		cfg: cfg,
		Pipeline: spanhold.NewPipeline(spanhold.New(&cfg.SpanWait, next, set.Logger),
			func() (*engine, error) { return s.acquire(cfg, set) }, func() { s.engines.Release(cfg) }),
	}
}

// ConsumeTraces passes spans on, annotated when their service's judgement is
// there, and holds those whose judgement is due.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	e, running := h.Engine()
	if !running {
		return h.Holder.Next.ConsumeTraces(ctx, td)
	}
	if !h.cfg.Output.ToSpans() {
		now := e.clock()
		for _, rs := range td.ResourceSpans().All() {
			e.slow.add(e.spans.Survey(rs, now))
		}
		return h.Holder.Next.ConsumeTraces(ctx, td)
	}
	return h.Holder.Pass(ctx, e, td, h.sort(ctx, e, td))
}

// sort annotates what can be judged, and takes out of td what has to wait.
func (h *tracesHandle) sort(ctx context.Context, e *engine, td ptrace.Traces) (waiting []spanhold.Group) {
	now := e.clock()
	deadline := now.Add(h.cfg.SpanWait.Timeout)
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		g := e.spans.Survey(rs, now)
		e.latencies.add(g)
		e.slow.add(g)
		if len(g.Services) == 0 {
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(spanmatch.Count(rs)), withReason("untraced"))
			return false
		}
		if h.cfg.SpanWait.Timeout == 0 || len(g.Spans) == 0 || e.judged(g) {
			e.countAnnotated(ctx, e.spans.Annotate(now, g))
			e.countSlow(ctx, e.slow.annotate(g))
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(len(g.Spans)), withReason("already_judged"))
			return false
		}
		waiting = append(waiting, spanhold.Take(rs, g.Held(deadline)))
		return true
	})
	return waiting
}
