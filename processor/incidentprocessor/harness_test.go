package incidentprocessor

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

const (
	sec = int64(time.Second)
	ms  = int64(time.Millisecond)
	// epoch is a multiple of all hops used.
	epoch = int64(1_700_000_000) * sec
)

var ctx = context.Background()

// gateway is a logs and a traces pipeline with one configuration.
type gateway struct {
	cfg     *Config
	sharing *sharedEngines
	set     processor.Settings
	logs    *logsHandle
	traces  *tracesHandle
	outLogs *consumertest.LogsSink
	outSpan *consumertest.TracesSink
	tel     *componenttest.Telemetry

	mu  sync.Mutex
	now time.Time
	// tick is the engine's clock.
	tick   chan time.Time
	engine *engine
}

func newGateway(t testing.TB, adjust func(*Config)) *gateway {
	t.Helper()
	g := &gateway{
		cfg: createDefaultConfig().(*Config), outLogs: &consumertest.LogsSink{}, outSpan: &consumertest.TracesSink{},
		tel: componenttest.NewTelemetry(), now: time.Unix(0, epoch), tick: make(chan time.Time),
	}
	t.Cleanup(func() { _ = g.tel.Shutdown(context.Background()) })
	if adjust != nil {
		adjust(g.cfg)
	}
	g.sharing = &sharedEngines{prepare: func(e *engine) { e.clock, e.ticks, g.engine = g.clock, g.tick, e }}
	g.set = processortest.NewNopSettings(component.MustNewType("incident"))
	g.set.TelemetrySettings = g.tel.NewTelemetrySettings()
	g.logs = newLogsHandle(g.sharing, g.set, g.cfg, g.outLogs)
	g.traces = newTracesHandle(g.sharing, g.set, g.cfg, g.outSpan)
	require.NoError(t, g.logs.Start(ctx, componenttest.NewNopHost()))
	require.NoError(t, g.traces.Start(ctx, componenttest.NewNopHost()))
	return g
}

func (g *gateway) stop(t testing.TB) {
	t.Helper()
	require.NoError(t, g.logs.Shutdown(ctx))
	require.NoError(t, g.traces.Shutdown(ctx))
}

func (g *gateway) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gateway) setClock(ns int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = time.Unix(0, ns)
}

// hopAt has the engine report what it knows at an instant.
func (g *gateway) hopAt(ns int64) {
	g.setClock(ns)
	g.tick <- g.clock()
	g.tick <- g.clock() // the first one is dealt with
}

// learn delivers log records and drops what comes out.
func (g *gateway) learn(t testing.TB, records ...plog.Logs) {
	t.Helper()
	for _, ld := range records {
		require.NoError(t, g.logs.ConsumeLogs(ctx, ld))
	}
	g.outLogs.Reset()
}

// reported are the incidents that came out since it was last called.
func (g *gateway) reported() (out []plog.LogRecord) {
	for _, ld := range g.outLogs.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			for _, rec := range rl.ScopeLogs().At(0).LogRecords().All() {
				if rec.EventName() == eventIncident {
					out = append(out, rec)
				}
			}
		}
	}
	g.outLogs.Reset()
	return out
}

func anomaly(service, function string, start int64) inference.Anomaly {
	return inference.Anomaly{
		ID: "of " + service, Onset: start, Start: start, End: start + 5*sec, Kind: inference.KindPopulationShift,
		Score: 3.5, Impact: 0.62, Pattern: "sync_per_operation", Summary: "It is slow.",
		Suspects: []inference.Suspect{{Function: function, Module: service, Score: 0.9}},
	}
}

// record is an anomaly as an agent reports it, of a service on a host of its own.
func record(a inference.Anomaly, service string, change func(resource pcommon.Map)) plog.Logs {
	attrs := pcommon.NewMap()
	anomalylog.Describe(&a, attrs)
	ld, resource := anomalylog.Record(anomalylog.Scope{Name: "test"}, &a, attrs, nil)
	resource.PutStr("service.name", service)
	resource.PutStr("host.name", "host of "+service)
	if service == "redis" {
		resource.PutEmptySlice(spanmatch.AttrListening).AppendEmpty().SetStr("[::]:6379")
		resource.PutEmptySlice(spanmatch.AttrHostIP).AppendEmpty().SetStr("10.0.0.3")
	}
	if change != nil {
		change(resource)
	}
	return ld
}

func found(service, function string, start int64) plog.Logs {
	return record(anomaly(service, function, start), service, nil)
}

// request are the spans of one request front → middle → redis, per service,
// as their agents send them. Redis, which has no spans, takes the rest.
func request(n byte, start, redis int64) (front, middle ptrace.Traces) {
	trace := pcommon.TraceID{n, 1}
	service := func(name string) (ptrace.Traces, func(id, parent byte, kind ptrace.SpanKind, from, to int64) ptrace.Span) {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", name)
		rs.Resource().Attributes().PutStr("host.name", "host of "+name)
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		return td, func(id, parent byte, kind ptrace.SpanKind, from, to int64) ptrace.Span {
			span := spans.AppendEmpty()
			span.SetTraceID(trace)
			span.SetSpanID(pcommon.SpanID{id})
			if parent != 0 {
				span.SetParentSpanID(pcommon.SpanID{parent})
			}
			span.SetKind(kind)
			span.SetName(name)
			span.SetStartTimestamp(pcommon.Timestamp(start + from))
			span.SetEndTimestamp(pcommon.Timestamp(start + to))
			return span
		}
	}
	front, span := service("front")
	span(1, 0, ptrace.SpanKindServer, 0, 30*ms+redis)
	span(2, 1, ptrace.SpanKindClient, 20*ms, 28*ms+redis)
	middle, span = service("middle")
	span(3, 2, ptrace.SpanKindServer, 21*ms, 27*ms+redis)
	call := span(4, 3, ptrace.SpanKindClient, 22*ms, 22*ms+redis)
	call.Attributes().PutStr("network.peer.address", "10.0.0.3")
	call.Attributes().PutInt("network.peer.port", 6379)
	return front, middle
}

// sum adds up a metric's points, those with an attribute's value only.
func (g *gateway) sum(name, key, value string) (sum int64) {
	m, err := g.tel.GetMetric(name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, point := range points {
		if v, ok := point.Attributes.Value(attribute.Key(key)); key == "" || ok && v.AsString() == value {
			sum += point.Value
		}
	}
	return sum
}
