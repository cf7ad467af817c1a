// Package spanhold holds the spans of a traces pipeline until what is to be
// written to them is known, in bounds of time, number and size.
package spanhold

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
)

// lookEvery is how often spans are let go whose time is up.
const lookEvery = 500 * time.Millisecond

// maxPayload bounds in bytes, but for groups that came as large, what is passed
// on at once: a judgement lets all spans of a hop go, and a gRPC server takes
// 4 MiB by default, which events must not exceed.
const maxPayload = 1 << 20

// Group is the spans of one resource that wait.
type Group = correlate.Held[ptrace.ResourceSpans]

// Take moves spans out of their payload into the group that waits for them.
func Take(rs ptrace.ResourceSpans, g Group) Group {
	g.Item = ptrace.NewResourceSpans()
	rs.MoveTo(g.Item)
	return g
}

// Finisher is what an engine does with spans that are let go.
type Finisher interface {
	// Now is the time that deadlines are compared with.
	Now() time.Time
	// Judged is the instant up to which a service is judged; false when it is
	// not known.
	Judged(service string) (int64, bool)
	// Finish writes to spans what is known.
	Finish(ctx context.Context, td ptrace.Traces)
	// CountReleased and CountRefused count the spans let go, and those of them
	// that the next component refused.
	CountReleased(ctx context.Context, spans int, why correlate.Reason)
	CountRefused(ctx context.Context, spans int)
}

// Holder is what one traces pipeline holds.
type Holder struct {
	// Next is the next component.
	Next consumer.Traces

	log    *zap.Logger
	woken  chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	open  bool
	store *correlate.Store[ptrace.ResourceSpans]
}

// New makes the holder of a pipeline that is not started yet.
func New(cfg *Config, next consumer.Traces, log *zap.Logger) *Holder {
	return &Holder{
		Next: next, log: log, woken: make(chan struct{}, 1),
		store: correlate.NewStore[ptrace.ResourceSpans](cfg.limits()),
	}
}

// Start lets spans go from now on as they are judged or their time is up.
func (h *Holder) Start(f Finisher) {
	h.mu.Lock()
	h.open = true
	h.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.done = cancel, make(chan struct{})
	go h.run(ctx, f)
}

// Stop lets all spans go with what is known by now.
func (h *Holder) Stop(ctx context.Context, f Finisher) error {
	h.cancel()
	<-h.done
	h.mu.Lock()
	h.open = false
	held := h.store.Drain(correlate.ReasonShutdown)
	h.mu.Unlock()
	return h.letGo(ctx, f, held)
}

// Pass passes on what of a payload need not wait, and holds the rest, which was
// taken out of it. When the next component refuses what is passed on nothing is
// held: the sender delivers all of it again.
func (h *Holder) Pass(ctx context.Context, f Finisher, td ptrace.Traces, waiting []Group) error {
	var err error
	if td.ResourceSpans().Len() > 0 || len(waiting) == 0 {
		if err = h.Next.ConsumeTraces(ctx, td); err != nil && !consumererror.IsPermanent(err) {
			return err
		}
	}
	var early []correlate.Released[ptrace.ResourceSpans]
	h.mu.Lock()
	for _, w := range waiting {
		if !h.open {
			early = append(early, correlate.Released[ptrace.ResourceSpans]{Held: w, Why: correlate.ReasonShutdown})
			continue
		}
		early = append(early, h.store.Put(w)...)
	}
	h.mu.Unlock()
	// On the sender's time: that is the back-pressure.
	_ = h.letGo(ctx, f, early)
	if len(waiting) > 0 {
		h.Wake() // the judgement may have come in between
	}
	return err
}

func (h *Holder) run(ctx context.Context, f Finisher) {
	defer close(h.done)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.woken:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		ready := h.store.Take(f.Now(), f.Judged)
		h.mu.Unlock()
		// Not this goroutine's context: what was taken out is let go in any case.
		_ = h.letGo(context.WithoutCancel(ctx), f, ready)
	}
}

// Wake has the holder look whether spans can go.
func (h *Holder) Wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// Each calls fn with every group held, oldest first, until it returns false.
func (h *Holder) Each(fn func(*Group) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.store.Each(fn)
}

// Held is how many spans are held, and about the memory they take (bytes).
func (h *Holder) Held() (spans, bytes int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.store.Spans(), h.store.Bytes()
}

// letGo writes to spans what is known and passes them on.
func (h *Holder) letGo(ctx context.Context, f Finisher, held []correlate.Released[ptrace.ResourceSpans]) error {
	if len(held) == 0 {
		return nil
	}
	td := ptrace.NewTraces()
	for i := range held {
		held[i].Item.MoveTo(td.ResourceSpans().AppendEmpty())
		f.CountReleased(ctx, held[i].Spans, held[i].Why)
	}
	f.Finish(ctx, td)
	var errs []error
	for n := 0; n < len(held); {
		out, spans, bytes := ptrace.NewTraces(), 0, 0
		for ; n < len(held) && (bytes == 0 || bytes+held[n].Bytes <= maxPayload); n++ {
			td.ResourceSpans().At(n).MoveTo(out.ResourceSpans().AppendEmpty())
			spans += held[n].Spans
			bytes += held[n].Bytes
		}
		if err := h.Next.ConsumeTraces(ctx, out); err != nil {
			f.CountRefused(ctx, spans)
			h.log.Error("The next component refused spans that were held; they are lost.", zap.Int("spans", spans), zap.Error(err))
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(append([]error{errors.New("held spans were refused by the next component")}, errs...)...)
	}
	return nil
}
