package incidentprocessor

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/processor/incidentprocessor/internal/metadata"
	"github.com/perfscope/perfscope/processor/internal/annotate"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
	"github.com/perfscope/perfscope/processor/internal/spanhold"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// tick is how often it is looked at whether a hop is over.
const tick = time.Second

// engine learns the anomalies that the logs pipelines deliver, and ranks the
// traces of the traces pipelines by them.
type engine struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	scope     anomalylog.Scope
	// spans ties spans to anomalies, sinks are where incidents are sent.
	spans  *annotate.Annotator
	sinks  logsink.Sinks
	causes *causes

	// Replaced by tests before Start.
	clock func() time.Time
	ticks <-chan time.Time

	ticker *time.Ticker
	quit   chan struct{}
	done   chan struct{}
	// reported is when incidents were reported last; the goroutine's own.
	reported time.Time
}

func newEngine(cfg *Config, set component.TelemetrySettings, version string) (*engine, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	e := &engine{
		cfg: cfg, log: set.Logger, telemetry: telemetry,
		scope: anomalylog.Scope{Name: metadata.ScopeName, Version: version},
		spans: annotate.New(spanmatch.All),
		clock: time.Now, quit: make(chan struct{}), done: make(chan struct{}),
	}
	e.causes = newCauses(cfg, &e.spans.Ledger)
	gauge := func(value func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(value())
			return nil
		}
	}
	err = errors.Join(
		telemetry.RegisterProcessorIncidentAnomaliesOpenCallback(gauge(func() int64 { return int64(e.causes.openAnomalies()) })),
		telemetry.RegisterProcessorIncidentOpenCallback(gauge(func() int64 { return int64(e.causes.openIncidents()) })),
		telemetry.RegisterProcessorIncidentSpansHeldCallback(gauge(func() int64 { n, _ := e.spans.Holders.Held(); return n })),
		telemetry.RegisterProcessorIncidentSpansHeldBytesCallback(gauge(func() int64 { _, n := e.spans.Holders.Held(); return n })),
	)
	if err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	return e, nil
}

// Start runs the clock by which incidents are reported.
func (e *engine) Start() {
	if e.ticks == nil {
		e.ticker = time.NewTicker(tick)
		e.ticks = e.ticker.C
	}
	go e.run()
}

// Stop ends it. No pipeline uses the engine any more.
func (e *engine) Stop() {
	close(e.quit)
	<-e.done
	if e.ticker != nil {
		e.ticker.Stop()
	}
	e.telemetry.Shutdown()
}

func (e *engine) run() {
	defer close(e.done)
	for {
		select {
		case now := <-e.ticks:
			e.causes.expire(now)
			e.countLeft()
			if now.Sub(e.reported) >= e.cfg.Hop {
				e.reported = now
				e.reportIncidents(now)
			}
		case <-e.quit:
			return
		}
	}
}

// countLeft counts what was left out since it was last called.
func (e *engine) countLeft() {
	left := e.causes.takeLeft()
	for reason, n := range left.byReason() {
		if n > 0 {
			e.telemetry.ProcessorIncidentLeftOut.Add(context.Background(), int64(n), with("reason", reason))
		}
	}
}

// reportIncidents sends what there is to say of incidents.
func (e *engine) reportIncidents(now time.Time) {
	ctx := context.Background()
	for _, in := range e.causes.incidentsAt(now) {
		e.telemetry.ProcessorIncidentIncidents.Add(ctx, 1, withState(in.State))
		if !e.cfg.Output.ToLogs() {
			continue
		}
		service := correlate.ServiceName(in.Ranking[0].Service)
		result, err := e.sinks.Send(nil, incidentRecord(e.scope, &in, e.causes.resourceOf(in.Ranking[0].Service)))
		if err != nil {
			e.log.Error("The next component refused an incident; it is lost.", zap.String("service.name", service), zap.Error(err))
		}
		e.telemetry.ProcessorIncidentRecords.Add(ctx, 1, withResult(result))
	}
}

// The engine is the spanhold.Engine of the traces pipelines.

// Holding are the holders of the traces pipelines.
func (e *engine) Holding() *spanhold.Holders { return &e.spans.Holders }

// Now is the time that deadlines of spans are compared with.
func (e *engine) Now() time.Time { return e.clock() }

// Judged is the instant up to which a service is judged.
func (e *engine) Judged(service string) (int64, bool) { return e.spans.Ledger.Judged(service) }

// Finish ranks the traces that are let go and writes to their spans what is
// known.
func (e *engine) Finish(ctx context.Context, td ptrace.Traces) {
	now := e.clock()
	e.spans.Own(td, now)
	e.eachRanked(td, now, func(ptrace.Span, blame.Ranking) {})
	if !e.cfg.Output.ToSpans() {
		return
	}
	if n := e.spans.Finish(td, now); n > 0 {
		e.telemetry.ProcessorIncidentSpansAnnotated.Add(ctx, int64(n))
	}
	e.eachRanked(td, now, decorate)
}

// eachRanked calls fn with every span of a trace in which something is
// abnormal. Traces are ranked on the way, each once.
func (e *engine) eachRanked(td ptrace.Traces, now time.Time, fn func(ptrace.Span, blame.Ranking)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				if r := e.causes.rank(span.TraceID(), now); len(r) > 0 {
					fn(span, r)
				}
			}
		}
	}
}

// CountReleased counts spans that are let go.
func (e *engine) CountReleased(ctx context.Context, spans int, why correlate.Reason) {
	e.telemetry.ProcessorIncidentSpansReleased.Add(ctx, int64(spans), with("reason", string(why)))
}

// CountRefused counts spans that the next component refused.
func (e *engine) CountRefused(ctx context.Context, spans int) {
	e.telemetry.ProcessorIncidentSpansRefused.Add(ctx, int64(spans))
}

func with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))
}

func withState(state blame.State) metric.MeasurementOption { return with("state", string(state)) }

func withResult(result logsink.Result) metric.MeasurementOption {
	return with("result", string(result))
}
