package perfscopeprocessor

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/window"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

const (
	// queueLength bounds the flushes that wait for the analysis; a pipeline
	// that delivers beyond it waits.
	queueLength = 32
	// tick is how often idle services are looked at.
	tick = time.Second
)

var errStopped = errors.New("the perfscope processor is shut down")

// engine analyses what the logs pipelines deliver and enters its verdicts in
// the ledger that the traces pipelines read. One goroutine owns the services.
type engine struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	version   string
	ledger    correlate.Ledger[pcommon.Map]
	// across is set with mode: correlate.
	across *across
	slower *slower

	// Replaced by tests before start.
	newAnalyzer func(window.Config, string) analyzer
	clock       func() time.Time
	ticks       <-chan time.Time
	// records, in a replay, is the time instead of the clock and its ticks;
	// looked is when it last had idle services looked at.
	records *RecordTime
	looked  int64

	ticker *time.Ticker
	queue  chan task
	quit   chan struct{}
	done   chan struct{}

	// The handles, for spans to be woken and for anomalies to be sent.
	mu     sync.Mutex
	logs   []*logsHandle
	traces []*tracesHandle

	// Owned by the goroutine; signatures is nil when there are none.
	services   map[string]*service
	signatures *signatures
	turn       uint64
	reported   time.Time

	// What the goroutine says of itself.
	held struct{ services, units, bytes atomic.Int64 }
}

// task is a flush to analyse, or a request to conclude.
type task struct {
	flush *flush
	// conclude is closed when all that was delivered before is judged.
	conclude chan struct{}
}

func newEngine(cfg *Config, set component.TelemetrySettings, version string) (*engine, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	e := &engine{
		cfg: cfg, log: set.Logger, telemetry: telemetry, version: version,
		newAnalyzer: func(cfg window.Config, arch string) analyzer { return window.NewService(cfg, arch) },
		clock:       time.Now,
		queue:       make(chan task, queueLength),
		quit:        make(chan struct{}),
		done:        make(chan struct{}),
		services:    map[string]*service{},
		slower:      newSlower(),
	}
	if cfg.Mode == ModeCorrelate {
		e.across = newAcross(cfg, &e.ledger)
	}
	gauge := func(value func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		}
	}
	err = errors.Join(
		telemetry.RegisterProcessorPerfscopeServicesCallback(gauge(e.held.services.Load)),
		telemetry.RegisterProcessorPerfscopeUnitsCallback(gauge(e.held.units.Load)),
		telemetry.RegisterProcessorPerfscopeMemoryCallback(gauge(e.held.bytes.Load)),
		telemetry.RegisterProcessorPerfscopeQueueLengthCallback(gauge(func() int64 { return int64(len(e.queue)) })),
		telemetry.RegisterProcessorPerfscopeSpansHeldCallback(gauge(func() int64 { n, _ := e.spansHeld(); return n })),
		telemetry.RegisterProcessorPerfscopeSpansHeldBytesCallback(gauge(func() int64 { _, n := e.spansHeld(); return n })),
	)
	if err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	return e, nil
}

func (e *engine) start() {
	e.signatures = readSignatures(e.cfg.Signatures, e.log, e.telemetry)
	if e.ticks == nil && e.records == nil {
		e.ticker = time.NewTicker(tick)
		e.ticks = e.ticker.C
	}
	go e.run()
}

// stop ends the goroutine. No handle is attached any more.
func (e *engine) stop() {
	close(e.quit)
	<-e.done
	if e.ticker != nil {
		e.ticker.Stop()
	}
	e.signatures.stop()
	e.telemetry.Shutdown()
}

// deliver hands a flush to the analysis and waits while its queue is full.
func (e *engine) deliver(ctx context.Context, t task) error {
	select {
	case e.queue <- t:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.quit:
		return errStopped
	}
}

// conclude judges all that was delivered, up to the newest event, and returns
// when that is sent.
func (e *engine) conclude(ctx context.Context) error {
	done := make(chan struct{})
	if err := e.deliver(ctx, task{conclude: done}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.done:
		return errStopped
	}
}

func (e *engine) run() {
	defer close(e.done)
	for {
		select {
		case t := <-e.queue:
			if t.flush != nil {
				e.take(t.flush)
			}
			if t.conclude != nil {
				for _, s := range e.inOrder() {
					e.advance(s, s.latest)
				}
				if e.across != nil {
					e.tellIncident(e.clock())
				}
				close(t.conclude)
			}
		case now := <-e.ticks:
			// While flushes wait nobody is idle, we are late.
			if len(e.queue) == 0 {
				e.closeIdle(now)
			}
			if e.across != nil {
				e.report(now)
			}
		case <-e.quit:
			return
		}
	}
}

// take folds a flush into its service and judges the hops it completes.
func (e *engine) take(f *flush) {
	ctx := context.Background()
	if e.records != nil {
		e.takeRecords(f)
	}
	taken, lost := f.events()
	e.telemetry.ProcessorPerfscopeEvents.Add(ctx, int64(taken))
	e.telemetry.ProcessorPerfscopeEventsLost.Add(ctx, int64(lost))
	key := f.identity.Key()
	s := e.services[key]
	if s == nil {
		for len(e.services) >= e.cfg.MaxServices {
			e.evict(e.stalest(), "max_services")
		}
		s = &service{key: key, name: f.identity.Name, arch: f.arch, threads: map[int32]int64{}}
		s.analyzer = e.newAnalyzer(e.cfg.windowConfig(), s.arch)
		e.services[key] = s
		e.held.services.Add(1)
		e.ledger.Open(key, f.identity)
	}
	e.turn++
	s.turn, s.heard = e.turn, e.now()
	if f.from != nil {
		s.sink = f.from
	}
	e.guard(s, func() {
		if e.signatures != nil {
			running := programOf(f.resource)
			e.signatures.learn(running, f)
			s.analyzer.UseSignatures(e.signatures.matcher(running))
		}
		s.fold(f)
	})
	if len(s.requests) > 0 {
		e.ledger.Received(s.key, s.requests...)
		s.requests = s.requests[:0]
	}
	e.advance(s, s.latest-s.grace())
}

// closeIdle lets the clock close the hops of services that say nothing,
// and forgets those that said nothing for a whole window.
func (e *engine) closeIdle(now time.Time) {
	for _, s := range e.inOrder() {
		idle := now.Sub(s.heard)
		switch {
		case idle > e.cfg.Window:
			e.evict(s, "idle")
		case idle > e.cfg.Hop:
			e.advance(s, s.latest+int64(idle)-s.grace())
		}
	}
}

// advance judges the hops of a service that ended by an instant and tells what
// is abnormal in them.
func (e *engine) advance(s *service, until int64) {
	until -= until % int64(e.cfg.Hop)
	if until <= s.judged {
		return
	}
	s.judged = until
	begun := time.Now()
	ctx := context.Background()
	e.guard(s, func() {
		found := s.analyzer.Advance(until)
		e.telemetry.ProcessorPerfscopeAnalysisDuration.Record(ctx, time.Since(begun).Seconds())
		for i := range found {
			e.tell(s, &found[i])
		}
		e.account(s, s.analyzer.Stats())
	})
	s.decided = s.analyzer.Decided(until)
	s.forgetBefore(until - int64(e.cfg.Window))
	e.ledger.Judge(s.key, s.facts())
	e.wake()
}

// account turns a window's figures into the engine's.
func (e *engine) account(s *service, now window.Stats) {
	ctx, was := context.Background(), s.stats
	grown := func(c metric.Int64Counter, was, now uint64) {
		if now > was {
			c.Add(ctx, int64(now-was))
		}
	}
	grown(e.telemetry.ProcessorPerfscopeHops, was.HopsJudged, now.HopsJudged)
	grown(e.telemetry.ProcessorPerfscopeUnitsEvicted, was.UnitsEvicted, now.UnitsEvicted)
	grown(e.telemetry.ProcessorPerfscopeEventsLate, was.LateEvents, now.LateEvents)
	grown(e.telemetry.ProcessorPerfscopeCallsNamed, was.CallsNamed, now.CallsNamed)
	e.held.units.Add(int64(now.Units - was.Units))
	e.held.bytes.Add(now.Bytes - was.Bytes)
	s.stats = now
}

func (e *engine) evict(s *service, reason string) {
	e.account(s, window.Stats{})
	delete(e.services, s.key)
	e.held.services.Add(-1)
	e.ledger.Forget(s.key)
	e.telemetry.ProcessorPerfscopeServicesEvicted.Add(context.Background(), 1, withReason(reason))
	e.log.Info("A service's past was dropped.", zap.String("service.name", s.name), zap.String("reason", reason))
	e.wake()
}

// stalest is the service heard of least recently.
func (e *engine) stalest() *service {
	return slices.MinFunc(slices.Collect(maps.Values(e.services)), func(a, b *service) int { return cmp.Compare(a.turn, b.turn) })
}

// inOrder lists the services in an order that does not change from run to run.
func (e *engine) inOrder() []*service {
	return slices.SortedFunc(maps.Values(e.services), func(a, b *service) int { return cmp.Compare(a.key, b.key) })
}

func withResult(result string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("result", result)))
}

func withReason(reason string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))
}
