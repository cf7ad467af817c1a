package incidentprocessor

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// tracesHandle is the processor in one traces pipeline. It holds spans until the
// others of their trace had time to come.
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

// ConsumeTraces holds spans until their trace had time to come.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	e, running := h.Engine()
	if !running {
		return h.Holder.Next.ConsumeTraces(ctx, td)
	}
	now := e.clock()
	deadline := now.Add(h.cfg.SpanWait.Timeout)
	var waiting []spanhold.Group
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		e.causes.gather(rs, now)
		waiting = append(waiting, spanhold.Take(rs, spanhold.Group{
			Deadline: deadline, Spans: spanmatch.Count(rs), Bytes: spanmatch.Size(rs),
		}))
		return true
	})
	return h.Holder.Pass(ctx, e, td, waiting)
}
