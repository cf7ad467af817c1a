package incidentprocessor

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

// tracesHandle is the processor in one traces pipeline. It holds spans until the
// others of their trace had time to come.
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

// ConsumeTraces holds spans until their trace had time to come.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	h.mu.Lock()
	e := h.engine
	h.mu.Unlock()
	if e == nil {
		return h.holder.Next.ConsumeTraces(ctx, td)
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
	return h.holder.Pass(ctx, e, td, waiting)
}
