package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// tracesHandle is the processor in one traces pipeline. It owns the spans it
// holds and lets them go in its own Shutdown.
type tracesHandle struct {
	sharing *sharedEngines
	set     processor.Settings
	cfg     *Config
	holder  *spanhold.Holder

	mu     sync.Mutex
	engine *engine // nil before Start and after Shutdown
}

func newTracesHandle(s *sharedEngines, set processor.Settings, cfg *Config, next consumer.Traces) *tracesHandle {
	return &tracesHandle{sharing: s, set: set, cfg: cfg, holder: spanhold.New(&cfg.SpanWait, next, set.Logger)}
}

// Capabilities says that events are appended to spans.
func (h *tracesHandle) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start joins the shared engine.
func (h *tracesHandle) Start(context.Context, component.Host) error {
	e, err := h.sharing.acquire(h.cfg, h.set)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.engine = e
	h.mu.Unlock()
	e.spans.Holders.Add(h.holder)
	h.holder.Start(e)
	return nil
}

// Shutdown lets all spans go, with what is known by now, and leaves the engine.
func (h *tracesHandle) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	e := h.engine
	h.engine = nil
	h.mu.Unlock()
	if e == nil {
		return nil
	}
	e.spans.Holders.Remove(h.holder)
	err := h.holder.Stop(ctx, e)
	h.sharing.engines.Release(h.cfg)
	return err
}

// ConsumeTraces passes spans on, annotated when their service's judgement is
// there, and holds those whose judgement is due.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	h.mu.Lock()
	e := h.engine
	h.mu.Unlock()
	if e != nil && !h.cfg.Output.ToSpans() {
		now := e.clock()
		for _, rs := range td.ResourceSpans().All() {
			e.slow.add(e.spans.Survey(rs, now))
		}
	}
	if e == nil || !h.cfg.Output.ToSpans() {
		return h.holder.Next.ConsumeTraces(ctx, td)
	}
	return h.holder.Pass(ctx, e, td, h.sort(ctx, e, td))
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
