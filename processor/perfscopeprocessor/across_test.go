package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/suspect"
)

func gateway(t *testing.T, adjust func(*Config)) *pipelines {
	t.Helper()
	return newPipelines(t, nil, func(c *Config) {
		c.Mode = ModeCorrelate
		if adjust != nil {
			adjust(c)
		}
	}).start(t)
}

// told is an anomaly as an agent tells it, of a service on a host of its own.
func told(service, function string, start int64) plog.Logs {
	a := anomalyAt(start)
	a.ID = "of " + service
	a.Suspects = []suspect.Suspect{{Function: function, Module: service, Score: 0.9}}
	attrs := pcommon.NewMap()
	describe(&a, attrs)
	var p processes
	resource := pcommon.NewMap()
	resource.PutStr("service.name", service)
	resource.PutStr("host.name", "host of "+service)
	if service == "redis" {
		resource.PutEmptySlice(attrListening).AppendEmpty().SetStr("[::]:6379")
		resource.PutEmptySlice(attrHostIP).AppendEmpty().SetStr("10.0.0.3")
	}
	p.note(1, resource, start)
	return anomalyLogs(&a, attrs, &p, nil, "1")
}

// request are the spans of one request front → middle → redis, per service,
// as their agents send them. Redis, which has no spans, takes the rest.
func request(n byte, start, redis int64) (front, middle ptrace.Traces) {
	const ms = int64(time.Millisecond)
	trace := pcommon.TraceID{n, 1}
	make := func(service string) (ptrace.Traces, func(id, parent byte, kind ptrace.SpanKind, from, to int64) ptrace.Span) {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", service)
		rs.Resource().Attributes().PutStr("host.name", "host of "+service)
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		return td, func(id, parent byte, kind ptrace.SpanKind, from, to int64) ptrace.Span {
			span := spans.AppendEmpty()
			span.SetTraceID(trace)
			span.SetSpanID(pcommon.SpanID{id})
			if parent != 0 {
				span.SetParentSpanID(pcommon.SpanID{parent})
			}
			span.SetKind(kind)
			span.SetName(service)
			span.SetStartTimestamp(pcommon.Timestamp(start + from))
			span.SetEndTimestamp(pcommon.Timestamp(start + to))
			return span
		}
	}
	front, span := make("front")
	span(1, 0, ptrace.SpanKindServer, 0, 30*ms+redis)
	span(2, 1, ptrace.SpanKindClient, 20*ms, 28*ms+redis)
	middle, span = make("middle")
	span(3, 2, ptrace.SpanKindServer, 21*ms, 27*ms+redis)
	call := span(4, 3, ptrace.SpanKindClient, 22*ms, 22*ms+redis)
	call.Attributes().PutStr("network.peer.address", "10.0.0.3")
	call.Attributes().PutInt("network.peer.port", 6379)
	return front, middle
}

// TestTheCalleeIsToBlame lets all three services become abnormal as redis
// becomes slow: the gateway puts redis first, though the front takes longest.
func TestTheCalleeIsToBlame(t *testing.T) {
	const ms = int64(time.Millisecond)
	p := gateway(t, nil)
	for n := range byte(20) {
		p.setClock(epoch + int64(n)*11*sec) // the one before is let go
		front, middle := request(n+1, epoch+int64(n)*10*ms, ms)
		require.NoError(t, p.traces.ConsumeTraces(ctx, middle))
		require.NoError(t, p.traces.ConsumeTraces(ctx, front))
	}
	p.setClock(epoch + 240*sec)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 80 }, 5*time.Second, time.Millisecond)
	for _, td := range p.outSpan.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				require.Zero(t, span.Events().Len(), "a healthy trace")
			}
		}
	}
	p.tick <- p.clock()
	p.tick <- p.clock()
	assert.Zero(t, p.outLogs.LogRecordCount())
	p.outSpan.Reset()

	// All of it comes, in no good order.
	front, middle := request(99, epoch+16*sec, 50*ms)
	require.NoError(t, p.traces.ConsumeTraces(ctx, front))
	require.NoError(t, p.logs.ConsumeLogs(ctx, told("middle", "onReadable", epoch+15*sec)))
	require.NoError(t, p.logs.ConsumeLogs(ctx, told("redis", "flushAppendOnlyFile", epoch+15*sec)))
	require.NoError(t, p.traces.ConsumeTraces(ctx, middle))
	require.NoError(t, p.logs.ConsumeLogs(ctx, told("front", "waitForMiddle", epoch+15*sec)))
	require.NoError(t, p.logs.ConsumeLogs(ctx, told("cron", "cleanUp", epoch+15*sec)))
	assert.Zero(t, p.outSpan.SpanCount(), "the others of their trace may come")
	assert.Equal(t, 4, p.outLogs.LogRecordCount(), "anomalies pass")
	p.outLogs.Reset()
	p.setClock(epoch + 300*sec)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 4 }, 5*time.Second, time.Millisecond)
	p.tick <- p.clock()
	p.tick <- p.clock()
	require.Equal(t, 1, p.outLogs.LogRecordCount())
	rec := p.outLogs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, eventIncident, rec.EventName())
	assert.Equal(t, pcommon.TraceID{99, 1}, rec.TraceID())
	assert.Equal(t, "flushAppendOnlyFile in redis is the first cause (sync_per_operation); slow by waiting for it: front, middle.", rec.Body().Str())
	assert.Equal(t, []string{"redis cause", "front victim", "middle victim", "cron unlinked"}, pairs(t, rec.Attributes()))

	said := map[byte][]string{}
	for _, td := range p.outSpan.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				for _, ev := range span.Events().All() {
					text := ev.Name() + " " + textOf(ev.Attributes(), attrFunction) + " " + textOf(ev.Attributes(), attrCauseRole)
					id := span.SpanID()
					said[id[0]] = append(said[id[0]], text)
					if ev.Name() == eventIncident {
						assert.Equal(t, []string{"redis cause", "front victim", "middle victim"}, pairs(t, ev.Attributes()))
					}
				}
			}
		}
	}
	assert.Equal(t, map[byte][]string{
		1: {"perfscope.anomaly waitForMiddle victim", "perfscope.incident flushAppendOnlyFile "},
		3: {"perfscope.anomaly onReadable victim"},
		4: {"perfscope.anomaly flushAppendOnlyFile cause"},
	}, said)
	p.stop(t)
}

func pairs(t *testing.T, attrs pcommon.Map) (out []string) {
	t.Helper()
	list, ok := attrs.Get(attrCauses)
	require.True(t, ok)
	for _, v := range list.Slice().All() {
		out = append(out, textOf(v.Map(), attrCauseService)+" "+textOf(v.Map(), attrCauseRole))
	}
	return out
}

// TestAnIncidentIsToldOnceAMinute, and at once when the cause is another.
func TestAnIncidentIsToldOnceAMinute(t *testing.T) {
	p := gateway(t, nil)
	tell := func(service string, at int64) {
		require.NoError(t, p.logs.ConsumeLogs(ctx, told(service, "f", epoch)))
		p.outLogs.Reset()
		p.tick <- time.Unix(0, epoch+at*sec)
		p.tick <- time.Unix(0, epoch+at*sec)
	}
	tell("redis", 0)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	tell("redis", 10)
	assert.Equal(t, 0, p.outLogs.LogRecordCount())
	tell("shop", 20)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	tell("shop", 90)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	p.stop(t)
}

func TestAGatewayIsBounded(t *testing.T) {
	p := gateway(t, func(c *Config) { c.MaxServices, c.SpanWait.MaxSpans = 2, 6 })
	for _, service := range []string{"a", "b", "a", "c"} {
		require.NoError(t, p.logs.ConsumeLogs(ctx, told(service, "f", epoch)))
	}
	x := p.engine.across
	assert.Len(t, x.known, 2)
	_, known := p.engine.ledger.Judged(identityOf(told("b", "f", epoch).ResourceLogs().At(0).Resource().Attributes()).Key())
	assert.False(t, known, "b was told of least recently")
	for n := range byte(9) {
		front, middle := request(n, epoch, sec/1000)
		require.NoError(t, p.traces.ConsumeTraces(ctx, front))
		require.NoError(t, p.traces.ConsumeTraces(ctx, middle))
	}
	assert.LessOrEqual(t, x.table.Spans(), 6)
	n, _ := p.engine.spansHeld()
	assert.LessOrEqual(t, n, int64(6))
	p.stop(t)
	assert.Equal(t, 36, p.outSpan.SpanCount(), "nothing is lost")
}

// TestRepeatsAreForTheGateway: it learns from them for how long a service is
// abnormal, and does not pass them on.
func TestRepeatsAreForTheGateway(t *testing.T) {
	first, second := anomalyAt(epoch+5*sec), anomalyAt(epoch+10*sec)
	second.Repeat = true
	agent := newPipelines(t, func() analyzer {
		return &scripted{at: map[int64]suspect.Anomaly{first.End: first, second.End: second}}
	}, func(c *Config) { c.EveryHop = true }).start(t)
	for s := range int64(18) {
		agent.second(t, "redis", epoch+s*sec)
	}
	agent.stop(t)
	require.Equal(t, 2, agent.outLogs.LogRecordCount())
	repeat := agent.outLogs.AllLogs()[1]
	assert.Equal(t, plog.SeverityNumberDebug, repeat.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SeverityNumber())

	p := gateway(t, nil)
	other := repeat.ResourceLogs().AppendEmpty()
	other.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("something else")
	require.NoError(t, p.logs.ConsumeLogs(ctx, repeat))
	require.Equal(t, 1, p.outLogs.LogRecordCount())
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 11*sec, epoch + 12*sec})))
	p.stop(t)
	require.Equal(t, 1, p.outSpan.SpanCount())
	events := p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events()
	assert.Equal(t, eventAnomaly, events.At(1).Name())
}

func TestAGatewayCountsWhatItCannotRead(t *testing.T) {
	p := gateway(t, nil)
	ld := told("redis", "f", epoch)
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Remove(attrID)
	require.NoError(t, p.logs.ConsumeLogs(ctx, ld))
	assert.Equal(t, 1, p.outLogs.LogRecordCount(), "it passes all the same")
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_decode_errors", "", ""))
	p.stop(t)
}

func TestCleanTracesLeaveAGatewayAsTheyCame(t *testing.T) {
	p := gateway(t, nil)
	front, middle := request(1, epoch, sec)
	middle.ResourceSpans().MoveAndAppendTo(front.ResourceSpans())
	before, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(front)
	require.NoError(t, err)
	require.NoError(t, p.traces.ConsumeTraces(ctx, front))
	p.stop(t)
	after, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(p.outSpan.AllTraces()[0])
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

// FuzzTold gives a gateway any log records.
func FuzzTold(f *testing.F) {
	for _, ld := range []plog.Logs{told("redis", "f", epoch), secondOf("redis", 100, epoch)} {
		doc, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(doc)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxServices = 2
	var ledger correlate.Ledger[pcommon.Map]
	x := newAcross(cfg, &ledger)
	f.Fuzz(func(t *testing.T, doc []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(doc)
		if err != nil {
			return
		}
		x.learn(ld)
		if len(x.known) > cfg.MaxServices {
			t.Errorf("%d services", len(x.known))
		}
		if repeats(ld) {
			without(ld, isRepeat)
		}
		x.conclude(time.Unix(0, epoch))
	})
}
