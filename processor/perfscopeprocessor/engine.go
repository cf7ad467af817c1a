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
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/memories"
	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/annotate"
	"github.com/perfscope/perfscope/processor/internal/logsink"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

const (
	// queueLength bounds the flushes that wait for the analysis; a pipeline
	// that delivers beyond it waits.
	queueLength = 32
	// maxQueued bounds the memory of those (bytes), maxDecoding the payloads that
	// are decoded at a time.
	maxQueued   = 64 << 20
	maxDecoding = 2
	// accountEvery is after how many bytes of a service's records it is looked at
	// how much it holds, beside after each hop.
	accountEvery = 1 << 20
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
	// spans ties spans to the anomalies, sinks are where anomalies are sent.
	spans *annotate.Annotator
	sinks logsink.Sinks
	open  openAnomalies
	// victims are the services that lack the same, owned by the goroutine.
	victims victims
	// latencies are those of the services' spans, figures what their last hops said.
	latencies latencies
	figures   figures
	// memories are what outlives the services and the collector; expected are anomalies
	// that somebody said are, owned by the goroutine.
	memories       *memories.Store
	expected       map[string]struct{}
	lookedExpected time.Time
	expectedError  string
	// releases has the builds whose release was told.
	releases map[memories.Of]bool
	// slow are the spans on their way to the analysis, tails what is known of them.
	slow  slowRequests
	tails tails
	// flight is the recording of the last minutes, nil when there is none.
	flight *flight

	// board is the page that shows this, if there is one; hide ends that.
	shown sync.Once
	board atomic.Pointer[evidence.Board]
	hide  func()

	// Replaced by tests before start.
	newAnalyzer func(inference.Config, string) analyzer
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
	// decoding has a place for each payload that is decoded, queued are the bytes
	// of the flushes in the queue, taken is told when they are fewer.
	decoding chan struct{}
	queued   atomic.Int64
	taken    chan struct{}

	// Owned by the goroutine; signatures is nil when there are none.
	services   map[string]*service
	signatures *signatures
	turn       uint64

	// What the goroutine says of itself.
	held struct{ services, units, bytes atomic.Int64 }
	// watched is what the profiles pipelines know of the services; news is set when
	// they are others than it says.
	watched atomic.Pointer[profile.Watched]
	news    bool
}

// task is a flush or samples of profiles to analyse, or a request to conclude.
type task struct {
	flush   *flush
	sampled *sampled
	// conclude is closed when all that was delivered before is judged, and the
	// anomalies of the services that came by a sink are cleared.
	conclude chan struct{}
	of       *logsink.Sink
	// ask looks at the services between two flushes.
	ask func()
}

func newEngine(cfg *Config, set component.TelemetrySettings, version string) (*engine, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	recording, err := newFlight(cfg.FlightRecorder, set.Logger)
	if err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	e := &engine{
		flight: recording,
		cfg:    cfg, log: set.Logger, telemetry: telemetry, version: version,
		newAnalyzer: func(cfg inference.Config, arch string) analyzer { return inference.NewAnalyzer(cfg, arch) },
		clock:       time.Now,
		queue:       make(chan task, queueLength),
		decoding:    make(chan struct{}, maxDecoding),
		taken:       make(chan struct{}, 1),
		quit:        make(chan struct{}),
		done:        make(chan struct{}),
		services:    map[string]*service{},
		victims:     victims{},
		spans:       annotate.New(spanmatch.Relevant),
		latencies:   latencies{hop: cfg.Hop},
		expected:    map[string]struct{}{},
		releases:    map[memories.Of]bool{},
	}
	gauge := func(value func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		}
	}
	err = errors.Join(
		telemetry.RegisterProcessorPerfscopeServicesCallback(gauge(e.held.services.Load)),
		telemetry.RegisterProcessorPerfscopeAnomaliesOpenCallback(e.open.observe),
		telemetry.RegisterProcessorPerfscopeServiceScoreCallback(e.figures.gauge(func(f *inference.HopFigures) (float64, bool) { return f.Score, f.Judged })),
		telemetry.RegisterProcessorPerfscopeServiceConfidenceCallback(e.figures.gauge(func(f *inference.HopFigures) (float64, bool) { return f.Confidence, f.Judged })),
		telemetry.RegisterProcessorPerfscopeServiceLoadCallback(e.figures.gauge(func(f *inference.HopFigures) (float64, bool) { return f.Load, f.Judged })),
		telemetry.RegisterProcessorPerfscopeServiceWaitingCallback(e.figures.gauge(func(f *inference.HopFigures) (float64, bool) { return f.Waiting, f.Judged })),
		telemetry.RegisterProcessorPerfscopeServiceCPUCallback(e.figures.gauge(func(f *inference.HopFigures) (float64, bool) { return f.CPU, true })),
		telemetry.RegisterProcessorPerfscopeTailExplainedTimeCallback(e.tails.observe),
		telemetry.RegisterProcessorPerfscopeUnitsCallback(gauge(e.held.units.Load)),
		telemetry.RegisterProcessorPerfscopeMemoryCallback(gauge(e.held.bytes.Load)),
		telemetry.RegisterProcessorPerfscopeFlightRecorderBytesCallback(gauge(e.flight.bytes)),
		telemetry.RegisterProcessorPerfscopeQueueLengthCallback(gauge(func() int64 { return int64(len(e.queue)) })),
		telemetry.RegisterProcessorPerfscopeSpansHeldCallback(gauge(func() int64 { n, _ := e.spans.Holders.Held(); return n })),
		telemetry.RegisterProcessorPerfscopeSpansHeldBytesCallback(gauge(func() int64 { _, n := e.spans.Holders.Held(); return n })),
	)
	if err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	return e, nil
}

// Start runs the analysis.
func (e *engine) Start() {
	e.signatures = readSignatures(e.cfg.Signatures, e.log, e.telemetry)
	if e.ticks == nil && e.records == nil {
		e.ticker = time.NewTicker(tick)
		e.ticks = e.ticker.C
	}
	e.memories = memories.New(e.log, e.cfg.Memory.MaxBytes, func(r memories.Result) {
		e.telemetry.ProcessorPerfscopeMemories.Add(context.Background(), 1, withResult(string(r)))
	})
	go e.run()
}

// Stop ends the goroutine. No handle is attached any more.
func (e *engine) Stop() {
	if e.hide != nil {
		e.hide()
	}
	close(e.quit)
	<-e.done
	if e.ticker != nil {
		e.ticker.Stop()
	}
	e.signatures.stop()
	if err := e.memories.Close(context.Background()); err != nil {
		e.log.Error("The storage of what is known of services could not be closed.", zap.Error(err))
	}
	e.telemetry.Shutdown()
}

// enter waits for a place among the payloads that are decoded; leave gives it back.
// What is decoded takes many times the memory of what was sent.
func (e *engine) enter(ctx context.Context) (leave func(), err error) {
	select {
	case e.decoding <- struct{}{}:
		return func() { <-e.decoding }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-e.quit:
		return nil, errStopped
	}
}

// deliver hands a flush to the analysis and waits while its queue is full.
func (e *engine) deliver(ctx context.Context, t task) error {
	bytes := int64(0)
	if t.flush != nil {
		bytes = t.flush.bytes
		for e.queued.Load() >= maxQueued {
			select {
			case <-e.taken:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-e.quit:
				return errStopped
			}
		}
	}
	e.queued.Add(bytes)
	select {
	case e.queue <- t:
		return nil
	case <-ctx.Done():
		e.queued.Add(-bytes)
		return context.Cause(ctx)
	case <-e.quit:
		e.queued.Add(-bytes)
		return errStopped
	}
}

// conclude judges all that was delivered, up to the newest event, for a pipeline
// that ends, and returns when that is sent. Nothing more is heard of its services.
func (e *engine) conclude(ctx context.Context, of *logsink.Sink) error {
	done := make(chan struct{})
	if err := e.deliver(ctx, task{conclude: done, of: of}); err != nil {
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
				e.queued.Add(-t.flush.bytes)
				select {
				case e.taken <- struct{}{}:
				default:
				}
				e.makeRoom()
			}
			if t.sampled != nil {
				e.takeSampled(t.sampled)
			}
			if e.news {
				e.news = false
				e.publish()
			}
			if t.ask != nil {
				t.ask()
			}
			if t.conclude != nil {
				for _, s := range e.inOrder() {
					e.advance(s, s.latest)
					e.guard(s, func() { e.keep(s) }) // with the anomaly that is open
					if s.sink == t.of {
						e.clear(s, inference.EndUnwatched)
					}
				}
				close(t.conclude)
			}
		case now := <-e.ticks:
			// While flushes wait nobody is idle, we are late.
			if len(e.queue) == 0 {
				e.closeIdle(now)
			}
			e.lookForExpected(now)
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
	e.telemetry.ProcessorPerfscopeAttributesLeftOut.Add(ctx, int64(f.left))
	s := e.serviceOf(f)
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
		s.follow(f)
		e.news = s.fold(f) || e.news
		e.choose(s)
	})
	e.enterRequests(s)
	e.advance(s, s.latest-s.grace())
	if s.fresh += f.bytes; s.fresh >= accountEvery {
		s.fresh = 0
		e.account(s, s.analyzer.Stats())
	}
}

// serviceOf is the service of a flush, a new one if it is not known, or if its clock
// was set back: nothing would be judged until it is as late as it was.
func (e *engine) serviceOf(f *flush) *service {
	key := f.identity.Key()
	s := e.services[key]
	if s != nil && s.setBack(f.latest) {
		e.evict(s, "clock_set_back")
		s = nil
	}
	if s != nil {
		return s
	}
	for len(e.services) >= e.cfg.MaxServices {
		e.evict(e.stalest(), "max_services")
	}
	s = newService(key, f)
	s.prospects.signatures = e.cfg.Signatures.Learn || len(e.cfg.Signatures.Files) > 0
	s.analyzer = e.newAnalyzer(e.cfg.windowConfig(), s.arch)
	e.guard(s, func() { e.recall(s, f) })
	e.services[key] = s
	e.held.services.Add(1)
	e.open.add(s.name, 1, 0)
	e.latencies.open(key)
	e.slow.open(key)
	e.spans.Ledger.Open(key, f.identity)
	return s
}

// makeRoom drops services, the largest first, while all together take more than
// there is for them: one that somebody bloats costs itself its past.
func (e *engine) makeRoom() {
	for e.held.bytes.Load() > e.cfg.MaxBytes && len(e.services) > 1 {
		e.evict(slices.MaxFunc(e.inOrder(), func(a, b *service) int { return cmp.Compare(a.stats.Bytes, b.stats.Bytes) }), "max_bytes")
	}
}

// closeIdle lets the clock close the hops of services that say nothing,
// and forgets those that said nothing for a whole inference.
func (e *engine) closeIdle(now time.Time) {
	for _, s := range e.inOrder() {
		idle := now.Sub(s.heard)
		switch {
		case idle > e.cfg.Window:
			e.evict(s, "idle")
		case idle > e.cfg.Hop:
			e.advance(s, s.latest+int64(idle)-s.grace())
			if int64(idle) > 2*int64(e.cfg.Hop)+s.grace() {
				e.clear(s, inference.EndUnwatched) // a process that runs is heard of
			}
		}
	}
}

// advance judges the hops of a service that ended by an instant and tells what
// is abnormal in them, or what is certain already in the one that goes on.
func (e *engine) advance(s *service, until int64) {
	at := until
	until -= until % int64(e.cfg.Hop)
	if until <= s.judged {
		e.lookAhead(s, at)
		return
	}
	s.judged = until
	begun := time.Now()
	ctx := context.Background()
	e.guard(s, func() {
		e.addRequests(s)
		found := s.analyzer.Advance(until)
		e.telemetry.ProcessorPerfscopeAnalysisDuration.Record(ctx, time.Since(begun).Seconds())
		for i := range found {
			e.report(s, &found[i])
		}
		e.tellTails(s, until)
		e.account(s, s.analyzer.Stats())
		e.compareRelease(s, until)
		e.keepDue(s, until)
	})
	s.prospects.look(e.log, s, until)
	e.figures.set(s)
	s.decided = s.analyzer.Decided(until)
	s.forgetBefore(until - int64(e.cfg.Window))
	e.spans.Ledger.Judge(s.key, s.facts())
	e.spans.Holders.Wake()
}

// lookAhead tells what is certain of a service before its hop is over.
func (e *engine) lookAhead(s *service, at int64) {
	e.guard(s, func() {
		if found, ok := s.analyzer.Ahead(at); ok {
			e.report(s, &found)
		}
	})
}

// account turns a window's figures into the engine's.
func (e *engine) account(s *service, now inference.Stats) {
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
	now.Bytes += s.processes.bytes
	e.held.units.Add(int64(now.Units - was.Units))
	e.held.bytes.Add(now.Bytes - was.Bytes)
	s.stats = now
}

func (e *engine) evict(s *service, reason string) {
	if reason != "clock_set_back" {
		e.guard(s, func() { e.keep(s) })
	}
	e.clear(s, inference.EndUnwatched)
	e.open.add(s.name, -1, 0)
	s.processes = processes{}
	e.account(s, inference.Stats{})
	delete(e.services, s.key)
	e.latencies.close(s.key)
	e.slow.close(s.key)
	e.tails.forget(s.key)
	e.flight.forget(s.key)
	e.figures.forget(s.key)
	e.news = true
	e.held.services.Add(-1)
	e.spans.Ledger.Forget(s.key)
	e.telemetry.ProcessorPerfscopeServicesEvicted.Add(context.Background(), 1, withReason(reason))
	e.log.Info("A service's past was dropped.", zap.String("service.name", s.name), zap.String("reason", reason))
	e.spans.Holders.Wake()
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
