package perfscopeprocessor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
)

// tracesHandle is the processor in one traces pipeline. It owns the spans it
// holds and lets them go in its own Shutdown.
type tracesHandle struct {
	sharing *sharing
	set     processor.Settings
	cfg     *Config
	next    consumer.Traces

	woken  chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	engine *engine // nil before Start and after Shutdown
	store  *correlate.Store[ptrace.ResourceSpans]
}

func newTracesHandle(s *sharing, set processor.Settings, cfg *Config, next consumer.Traces) *tracesHandle {
	return &tracesHandle{
		sharing: s, set: set, cfg: cfg, next: next,
		woken: make(chan struct{}, 1),
		store: correlate.NewStore[ptrace.ResourceSpans](cfg.SpanWait.MaxSpans),
	}
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
	e.mu.Lock()
	e.traces = append(e.traces, h)
	e.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.done = cancel, make(chan struct{})
	go h.run(ctx, e)
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
	e.mu.Lock()
	e.traces = slices.DeleteFunc(e.traces, func(o *tracesHandle) bool { return o == h })
	e.mu.Unlock()
	h.cancel()
	<-h.done
	h.mu.Lock()
	held := h.store.Drain()
	h.mu.Unlock()
	err := h.letGo(ctx, e, held, repeated(correlate.ReasonShutdown, len(held)))
	h.sharing.release(h.cfg)
	return err
}

// ConsumeTraces passes spans on, annotated when their service's judgement is
// there, and holds those whose judgement is due.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	h.mu.Lock()
	e := h.engine
	h.mu.Unlock()
	if e == nil || h.cfg.Output == OutputLogs {
		return h.next.ConsumeTraces(ctx, td)
	}
	waiting := h.sort(ctx, e, td)
	var err error
	if td.ResourceSpans().Len() > 0 || len(waiting) == 0 {
		if err = h.next.ConsumeTraces(ctx, td); err != nil && !consumererror.IsPermanent(err) {
			// The sender delivers all of it again, what would be held too.
			return err
		}
	}
	h.mu.Lock()
	stopped := h.engine == nil
	var early []correlate.Held[ptrace.ResourceSpans]
	if stopped {
		early = waiting
	} else {
		for _, w := range waiting {
			early = append(early, h.store.Put(w)...)
		}
	}
	h.mu.Unlock()
	reason := correlate.ReasonFull
	if stopped {
		reason = correlate.ReasonShutdown
	}
	if len(early) > 0 {
		// On the sender's time: that is the back-pressure.
		_ = h.letGo(ctx, e, early, repeated(reason, len(early)))
	}
	if len(waiting) > 0 {
		h.wake() // the judgement may have come in between
	}
	return err
}

// sort annotates what can be judged, and takes out of td what has to wait.
func (h *tracesHandle) sort(ctx context.Context, e *engine, td ptrace.Traces) (waiting []correlate.Held[ptrace.ResourceSpans]) {
	deadline := e.clock().Add(h.cfg.SpanWait.Timeout)
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		spans, until := extent(rs)
		services := e.ledger.Find(identityOf(rs.Resource().Attributes()))
		if len(services) == 0 {
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(spans), withReason("untraced"))
			return false
		}
		judged := true
		for _, service := range services {
			at, known := e.ledger.Judged(service)
			judged = judged && (!known || at >= until)
		}
		if judged || h.cfg.SpanWait.Timeout == 0 || spans == 0 {
			e.annotate(ctx, rs, services)
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(spans), withReason("already_judged"))
			return false
		}
		own := ptrace.NewResourceSpans()
		rs.MoveTo(own)
		waiting = append(waiting, correlate.Held[ptrace.ResourceSpans]{
			Item: own, Services: services, Until: until, Deadline: deadline, Spans: spans,
		})
		return true
	})
	return waiting
}

// run lets spans go as their services are judged or their time is up.
func (h *tracesHandle) run(ctx context.Context, e *engine) {
	defer close(h.done)
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-h.woken:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		ready, why := h.store.Take(e.clock(), e.ledger.Judged)
		h.mu.Unlock()
		// Not this goroutine's context: what was taken out is let go in any case.
		_ = h.letGo(context.WithoutCancel(ctx), e, ready, why)
	}
}

func (h *tracesHandle) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// letGo annotates spans with what is known and passes them on.
func (h *tracesHandle) letGo(ctx context.Context, e *engine, held []correlate.Held[ptrace.ResourceSpans], why []correlate.Reason) error {
	if len(held) == 0 {
		return nil
	}
	td := ptrace.NewTraces()
	spans := 0
	for i := range held {
		e.annotate(ctx, held[i].Item, held[i].Services)
		held[i].Item.MoveTo(td.ResourceSpans().AppendEmpty())
		spans += held[i].Spans
		e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(held[i].Spans), withReason(string(why[i])))
	}
	err := h.next.ConsumeTraces(ctx, td)
	if err != nil {
		e.telemetry.ProcessorPerfscopeSpansRefused.Add(ctx, int64(spans))
		h.set.Logger.Error("The next component refused spans that were held; they are lost.", zap.Int("spans", spans), zap.Error(err))
		return errors.Join(errors.New("held spans were refused by the next component"), err)
	}
	return nil
}

// annotate appends the anomalies that lie within spans to them.
func (e *engine) annotate(ctx context.Context, rs ptrace.ResourceSpans, services []string) {
	annotated := 0
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			changed := false
			for _, m := range e.ledger.Match(services, spanBounds(span)) {
				changed = annotate(span, m.Verdict.Value, m.At) || changed
			}
			if changed {
				annotated++
			}
		}
	}
	if annotated > 0 {
		e.telemetry.ProcessorPerfscopeSpansAnnotated.Add(ctx, int64(annotated))
	}
}

// exemplar finds the held span that an anomaly covers most of, so that its
// log record can name it.
func (e *engine) exemplar(key string, v *correlate.Verdict[pcommon.Map]) *spanRef {
	e.mu.Lock()
	handles := slices.Clone(e.traces)
	e.mu.Unlock()
	var ref *spanRef
	most := int64(-1)
	for _, h := range handles {
		h.mu.Lock()
		h.store.Each(func(held *correlate.Held[ptrace.ResourceSpans]) bool {
			if !slices.Contains(held.Services, key) {
				return true
			}
			for _, ss := range held.Item.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if m, ok := e.ledger.MatchOne(key, v, spanBounds(span)); ok && m.Overlap > most {
						most, ref = m.Overlap, &spanRef{trace: span.TraceID(), span: span.SpanID()}
					}
				}
			}
			return true
		})
		h.mu.Unlock()
	}
	return ref
}

func (e *engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.traces {
		h.wake()
	}
}

func (e *engine) spansHeld() (n int64) {
	e.mu.Lock()
	handles := slices.Clone(e.traces)
	e.mu.Unlock()
	for _, h := range handles {
		h.mu.Lock()
		n += int64(h.store.Spans())
		h.mu.Unlock()
	}
	return n
}

// extent counts the spans of a resource and finds the end of the last.
func extent(rs ptrace.ResourceSpans) (spans int, until int64) {
	for _, ss := range rs.ScopeSpans().All() {
		spans += ss.Spans().Len()
		for _, span := range ss.Spans().All() {
			until = max(until, int64(span.EndTimestamp()))
		}
	}
	return spans, until
}

func spanBounds(span ptrace.Span) correlate.Span {
	s := correlate.Span{Start: int64(span.StartTimestamp()), End: int64(span.EndTimestamp())}
	if v, ok := span.Attributes().Get("thread.id"); ok && v.Type() == pcommon.ValueTypeInt {
		s.ThreadID = v.Int()
	}
	return s
}

func repeated(reason correlate.Reason, n int) []correlate.Reason {
	return slices.Repeat([]correlate.Reason{reason}, n)
}
