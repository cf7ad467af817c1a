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

// exemplarLots bounds the groups of spans looked through for an anomaly's
// example: enough for some of most services, and milliseconds.
const exemplarLots = 256

// payloadBytes bounds, but for groups that came as large, what is passed on at
// once: a judgement lets all spans of a hop go, and a gRPC server takes 4 MiB by
// default, which annotations must not exceed.
const payloadBytes = 1 << 20

type released = correlate.Released[ptrace.ResourceSpans]

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
		store: correlate.NewStore[ptrace.ResourceSpans](correlate.Limits{Spans: cfg.SpanWait.MaxSpans, Bytes: cfg.SpanWait.MaxBytes}),
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
	held := h.store.Drain(correlate.ReasonShutdown)
	h.mu.Unlock()
	err := h.letGo(ctx, e, held)
	h.sharing.release(h.cfg)
	return err
}

// ConsumeTraces passes spans on, annotated when their service's judgement is
// there, and holds those whose judgement is due.
func (h *tracesHandle) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	h.mu.Lock()
	e := h.engine
	h.mu.Unlock()
	if e == nil || h.cfg.Output == OutputLogs && e.across == nil {
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
	var early []released
	for _, w := range waiting {
		if stopped {
			early = append(early, released{Held: w, Why: correlate.ReasonShutdown})
			continue
		}
		early = append(early, h.store.Put(w)...)
	}
	h.mu.Unlock()
	if len(early) > 0 {
		// On the sender's time: that is the back-pressure.
		_ = h.letGo(ctx, e, early)
	}
	if len(waiting) > 0 {
		h.wake() // the judgement may have come in between
	}
	return err
}

// sort annotates what can be judged, and takes out of td what has to wait.
func (h *tracesHandle) sort(ctx context.Context, e *engine, td ptrace.Traces) (waiting []correlate.Held[ptrace.ResourceSpans]) {
	now := e.clock()
	deadline := now.Add(h.cfg.SpanWait.Timeout)
	hold := func(held correlate.Held[ptrace.ResourceSpans], rs ptrace.ResourceSpans) bool {
		held.Item = ptrace.NewResourceSpans()
		rs.MoveTo(held.Item)
		waiting = append(waiting, held)
		return true
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool {
		if e.across != nil {
			e.across.gather(rs, now)
			return hold(correlate.Held[ptrace.ResourceSpans]{Deadline: deadline, Spans: countSpans(rs), Bytes: sizer.ResourceSpansSize(rs)}, rs)
		}
		l := e.survey(rs, now)
		if len(l.services) == 0 {
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(countSpans(rs)), withReason("untraced"))
			return false
		}
		if h.cfg.SpanWait.Timeout == 0 || len(l.spans) == 0 || e.judged(l) {
			e.annotate(ctx, l)
			e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(len(l.spans)), withReason("already_judged"))
			return false
		}
		return hold(l.held(deadline), rs)
	})
	return waiting
}

// judged reports whether all that is known of a lot's services is judged up to
// its end.
func (e *engine) judged(l *lot) bool {
	for _, service := range l.services {
		if at, known := e.ledger.Judged(service); known && at < l.until {
			return false
		}
	}
	return true
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
		ready := h.store.Take(e.clock(), e.ledger.Judged)
		h.mu.Unlock()
		// Not this goroutine's context: what was taken out is let go in any case.
		_ = h.letGo(context.WithoutCancel(ctx), e, ready)
	}
}

func (h *tracesHandle) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// letGo annotates spans with what is known and passes them on.
func (h *tracesHandle) letGo(ctx context.Context, e *engine, held []released) error {
	if len(held) == 0 {
		return nil
	}
	td := ptrace.NewTraces()
	for i := range held {
		held[i].Item.MoveTo(td.ResourceSpans().AppendEmpty())
		e.telemetry.ProcessorPerfscopeSpansReleased.Add(ctx, int64(held[i].Spans), withReason(string(held[i].Why)))
	}
	e.finish(ctx, td)
	var errs []error
	for n := 0; n < len(held); {
		out, spans, bytes := ptrace.NewTraces(), 0, 0
		for ; n < len(held) && (bytes == 0 || bytes+held[n].Bytes <= payloadBytes); n++ {
			td.ResourceSpans().At(n).MoveTo(out.ResourceSpans().AppendEmpty())
			spans += held[n].Spans
			bytes += held[n].Bytes
		}
		if err := h.next.ConsumeTraces(ctx, out); err != nil {
			e.telemetry.ProcessorPerfscopeSpansRefused.Add(ctx, int64(spans))
			h.set.Logger.Error("The next component refused spans that were held; they are lost.", zap.Int("spans", spans), zap.Error(err))
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(append([]error{errors.New("held spans were refused by the next component")}, errs...)...)
	}
	return nil
}

// exemplar finds the held span that an anomaly covers most of, so that its
// log record can name it.
func (e *engine) exemplar(key string, v correlate.Verdict[pcommon.Map]) *spanRef {
	e.mu.Lock()
	handles := slices.Clone(e.traces)
	e.mu.Unlock()
	var ref *spanRef
	most, now := int64(-1), e.clock()
	for _, h := range handles {
		h.mu.Lock()
		var lots []*lot
		h.store.Each(func(held *correlate.Held[ptrace.ResourceSpans]) bool {
			if slices.Contains(held.Services, key) {
				lots = append(lots, e.survey(held.Item, now))
			}
			return len(lots) < exemplarLots
		})
		for _, l := range lots {
			for _, m := range e.ledger.MatchVerdict(key, v, l.match) {
				span, weight := l.spans[m.Span], m.Overlap
				if e.slower.isSlow(l.kind(span), &l.match[m.Span]) {
					weight += m.Verdict.End - m.Verdict.Start // before all others
				}
				if weight > most {
					most, ref = weight, &spanRef{trace: span.TraceID(), span: span.SpanID()}
				}
			}
		}
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

// spansHeld is how many spans are held, and their size on the wire.
func (e *engine) spansHeld() (n, bytes int64) {
	e.mu.Lock()
	handles := slices.Clone(e.traces)
	e.mu.Unlock()
	for _, h := range handles {
		h.mu.Lock()
		n += int64(h.store.Spans())
		bytes += int64(h.store.Bytes())
		h.mu.Unlock()
	}
	return n, bytes
}

func countSpans(rs ptrace.ResourceSpans) (n int) {
	for _, ss := range rs.ScopeSpans().All() {
		n += ss.Spans().Len()
	}
	return n
}
