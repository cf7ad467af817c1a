package perfscopeprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

var ctx = context.Background()

// oneAnomaly finds one in the hop from epoch+5s to epoch+10s.
func oneAnomaly() analyzer {
	return &scripted{at: map[int64]inference.Anomaly{epoch + 10*sec: anomalyAt(epoch + 5*sec)}}
}

// What is certain in a hop is told before that is over; spans wait for the whole.
func TestAnAnomalyIsToldBeforeItsHopIsOver(t *testing.T) {
	p := newPipelines(t, func() analyzer {
		return &scripted{ahead: map[int64]inference.Anomaly{epoch + 12*sec: anomalyAt(epoch + 10*sec)}}
	}, nil).start(t)
	for s := range int64(12) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	assert.Zero(t, p.outLogs.LogRecordCount())
	for s := int64(12); s < 15; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 11*sec, epoch + 12*sec})))
	p.sync(t)
	assert.Zero(t, p.outSpan.SpanCount())
	for s := int64(15); s < 18; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 1 }, time.Minute, time.Millisecond)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	p.stop(t)
}

func TestAnomalyBecomesALogRecordAndASpanEvent(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	for s := range int64(4) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	// Held: the first overlaps the anomaly, the second is before it.
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec}, [2]int64{epoch, epoch + sec})))
	assert.Empty(t, p.outSpan.AllTraces())
	// A service that is not traced is not held.
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("shop", [2]int64{epoch + 6*sec, epoch + 7*sec})))
	assert.Equal(t, 1, p.outSpan.SpanCount())
	p.outSpan.Reset()
	for s := int64(4); s < 13; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 2 && p.outLogs.LogRecordCount() == 1 }, time.Minute, time.Millisecond)
	logs, err := (&plog.JSONMarshaler{}).MarshalLogs(p.outLogs.AllLogs()[0])
	require.NoError(t, err)
	golden(t, "anomaly_log.json", logs)
	spans, err := (&ptrace.JSONMarshaler{}).MarshalTraces(p.outSpan.AllTraces()[0])
	require.NoError(t, err)
	golden(t, "anomaly_span.json", spans)

	// Spans that come after the judgement are annotated on the way through.
	p.outSpan.Reset()
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})))
	require.Len(t, p.outSpan.AllTraces(), 1)
	assert.Equal(t, 2, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	// And only once, if another instance was there before.
	again := p.outSpan.AllTraces()[0]
	require.NoError(t, p.traces.ConsumeTraces(ctx, again))
	assert.Equal(t, 2, again.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())

	assert.Equal(t, int64(3), counter(t, p, "otelcol_processor_perfscope_spans_released", "reason", "judged")+
		counter(t, p, "otelcol_processor_perfscope_spans_released", "reason", "untraced"))
	assert.Equal(t, int64(2), counter(t, p, "otelcol_processor_perfscope_spans_released", "reason", "already_judged"))
	assert.Equal(t, int64(2), counter(t, p, "otelcol_processor_perfscope_spans_annotated", "", ""))
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_anomalies", "kind", "population_shift"))
	assert.Equal(t, int64(26), counter(t, p, "otelcol_processor_perfscope_events", "", ""))
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_services", "", ""))
	assert.Positive(t, counter(t, p, "otelcol_processor_perfscope_memory", "", ""))
	p.stop(t)
}

// TestEpisodesOfServicesAreToldApart lets two instances of one service become
// abnormal in the same hop: a span that may be of either gets both.
func TestEpisodesOfServicesAreToldApart(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	for s := range int64(13) {
		p.second(t, "redis", epoch+s*sec)
		other := secondOf("redis", 200, epoch+s*sec)
		other.ResourceLogs().At(0).Resource().Attributes().PutStr("service.instance.id", "redis-2")
		require.NoError(t, p.logs.ConsumeLogs(ctx, other))
	}
	p.sync(t)
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})))
	require.Len(t, p.outSpan.AllTraces(), 1)
	events := p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events()
	ids := map[string]bool{}
	for _, ev := range events.All() {
		if id, ok := ev.Attributes().Get(anomalylog.AttrID); ok {
			ids[id.Str()] = true
		}
	}
	assert.Len(t, ids, 2)
	p.stop(t)
}

func TestCleanSpansLeaveAsTheyCame(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	want := spansOf("redis", [2]int64{epoch, epoch + sec}, [2]int64{epoch, epoch + 2*sec})
	before, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(want)
	require.NoError(t, err)
	require.NoError(t, p.traces.ConsumeTraces(ctx, want))
	require.Zero(t, p.outSpan.SpanCount())
	p.stop(t)
	require.Len(t, p.outSpan.AllTraces(), 1)
	after, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(p.outSpan.AllTraces()[0])
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestOutput(t *testing.T) {
	for output, want := range map[anomalylog.Output][2]int{anomalylog.OutputBoth: {1, 1}, anomalylog.OutputLogs: {1, 0}, anomalylog.OutputSpanEvents: {0, 1}} {
		t.Run(string(output), func(t *testing.T) {
			p := newPipelines(t, oneAnomaly, func(c *Config) { c.Output = output }).start(t)
			for s := range int64(13) {
				p.second(t, "redis", epoch+s*sec)
			}
			p.sync(t)
			require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})))
			p.stop(t)
			require.Equal(t, 1, p.outSpan.SpanCount())
			events := p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len() - 1
			assert.Equal(t, want, [2]int{p.outLogs.LogRecordCount(), events})
		})
	}
}

func TestRepeatsAndWarmUp(t *testing.T) {
	first, second := anomalyAt(epoch+5*sec), anomalyAt(epoch+10*sec)
	first.Warmup, second.Repeat = true, true
	p := newPipelines(t, func() analyzer {
		return &scripted{at: map[int64]inference.Anomaly{first.End: first, second.End: second}}
	}, nil).start(t)
	for s := range int64(18) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	// The repeated one is on spans, but no record of its own.
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 10*sec, epoch + 11*sec})))
	assert.Equal(t, 2, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	p.stop(t)
	require.Equal(t, 1, p.outLogs.LogRecordCount())
	assert.Equal(t, plog.SeverityNumberInfo, p.outLogs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SeverityNumber())
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_anomaly_records", "result", "repeat"))
}

func TestOtherRecordsPassThrough(t *testing.T) {
	mixed := func() plog.Logs {
		ld := secondOf("redis", 100, epoch)
		other := ld.ResourceLogs().AppendEmpty()
		resource(other.Resource().Attributes(), "shop", 7)
		other.SetSchemaUrl("https://example.test/schema")
		other.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("hello")
		ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty().Body().SetStr("beside syscalls")
		ld.MarkReadOnly()
		return ld
	}
	for forward, want := range map[bool]int{false: 2, true: 4} {
		t.Run(fmt.Sprint("forward_syscalls ", forward), func(t *testing.T) {
			p := newPipelines(t, func() analyzer { return &scripted{} }, func(c *Config) { c.ForwardSyscalls = forward }).start(t)
			require.NoError(t, p.logs.ConsumeLogs(ctx, mixed()))
			require.NoError(t, p.logs.ConsumeLogs(ctx, plog.NewLogs()))
			p.stop(t)
			require.Equal(t, want, p.outLogs.LogRecordCount())
			out := p.outLogs.AllLogs()[0]
			assert.Equal(t, "https://example.test/schema", out.ResourceLogs().At(1).SchemaUrl())
			assert.Equal(t, int64(2), counter(t, p, "otelcol_processor_perfscope_records", "", ""))
		})
	}
}

func TestNothingIsAnalysedThatWillComeAgain(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, func(c *Config) { c.ForwardSyscalls = true })
	p.logs.sink.Next = consumertest.NewErr(errors.New("busy"))
	p.start(t)
	require.ErrorContains(t, p.logs.ConsumeLogs(ctx, secondOf("redis", 100, epoch)), "busy")
	p.sync(t)
	assert.Zero(t, p.engine.held.services.Load())
	p.stop(t)
}

func TestBadRecordsCostNothingElse(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	ld := secondOf("redis", 100, epoch)
	recs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	recs.AppendEmpty().SetEventName(tracelog.EventBatch)
	secondOf("redis", 100, epoch+3600*sec).ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().MoveAndAppendTo(recs)
	require.NoError(t, p.logs.ConsumeLogs(ctx, ld))
	p.stop(t)
	assert.Equal(t, int64(3), counter(t, p, "otelcol_processor_perfscope_decode_errors", "", ""), "one without a body, two from the future")
	assert.Equal(t, int64(2), counter(t, p, "otelcol_processor_perfscope_events", "", ""))
}

func TestADefectCostsOneServiceItsPast(t *testing.T) {
	made := 0
	p := newPipelines(t, func() analyzer { made++; return &scripted{panics: made == 1} }, nil).start(t)
	p.second(t, "redis", epoch)
	p.second(t, "shop", epoch)
	p.second(t, "redis", epoch+sec)
	p.sync(t)
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_analysis_panics", "", ""))
	assert.Equal(t, int64(2), p.engine.held.services.Load())
	assert.Contains(t, p.host.reported(), componentstatus.StatusRecoverableError)
	p.stop(t)
}

func TestServicesAreBounded(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, func(c *Config) { c.MaxServices = 2 }).start(t)
	for i, service := range []string{"a", "b", "a", "c"} {
		p.second(t, service, epoch+int64(i)*sec)
	}
	p.sync(t)
	assert.Equal(t, int64(2), p.engine.held.services.Load())
	_, known := p.engine.spans.Ledger.Judged((spanmatch.Identity(secondOf("b", 100, epoch).ResourceLogs().At(0).Resource().Attributes())).Key())
	assert.False(t, known, "b was heard of least recently")
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_services_evicted", "reason", "max_services"))
	// A window without a word, and they are gone.
	p.tick <- p.clock().Add(p.cfg.Window + time.Minute)
	p.sync(t)
	assert.Zero(t, p.engine.held.services.Load())
	assert.Zero(t, p.engine.held.units.Load())
	assert.Zero(t, p.engine.held.bytes.Load())
	p.stop(t)
}

func TestTheWallClockClosesIdleHops(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	for s := range int64(8) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	require.Zero(t, p.outLogs.LogRecordCount())
	p.tick <- time.Unix(0, epoch+20*sec)
	p.tick <- time.Unix(0, epoch+20*sec)
	assert.Equal(t, 1, p.outLogs.LogRecordCount())
	p.stop(t)
}

func TestProcessesOfAnInstanceShareAService(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	for s := range int64(13) {
		p.setClock(epoch + (s+1)*sec)
		for _, pid := range []int64{100, 101} {
			require.NoError(t, p.logs.ConsumeLogs(ctx, secondOf("nginx", pid, epoch+s*sec)))
		}
	}
	p.stop(t)
	require.Equal(t, 1, p.outLogs.LogRecordCount())
	attrs := p.outLogs.AllLogs()[0].ResourceLogs().At(0).Resource().Attributes()
	_, hasPID := attrs.Get("process.pid")
	assert.False(t, hasPID, "the processes differ in it")
	name, _ := attrs.Get("service.name")
	assert.Equal(t, "nginx", name.AsString())
}

func TestSpansAreHeldInBounds(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, func(c *Config) { c.SpanWait.MaxSpans = 2 }).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	at := [2]int64{epoch + 60*sec, epoch + 61*sec}
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", at, at)))
	assert.Zero(t, p.outSpan.SpanCount())
	assert.Equal(t, int64(2), spansHeld(p.engine))
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", at)))
	assert.Equal(t, 2, p.outSpan.SpanCount(), "the older two made room")
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", at, at, at)))
	assert.Equal(t, 5, p.outSpan.SpanCount(), "more than is ever held")
	p.setClock(epoch + 12*sec)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 6 }, time.Minute, time.Millisecond)
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_spans_released", "reason", "timeout"))
	p.stop(t)
}

func TestSpansAreNotHeldWhenTheSenderWillRetry(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil)
	refuse := errors.New("busy")
	p.traces.Holder.Next, _ = consumer.NewTraces(func(context.Context, ptrace.Traces) error { return refuse })
	p.start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	both := func() ptrace.Traces {
		td := spansOf("redis", [2]int64{epoch + 60*sec, epoch + 61*sec})
		spansOf("shop", [2]int64{epoch, epoch}).ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
		return td
	}
	require.ErrorIs(t, p.traces.ConsumeTraces(ctx, both()), refuse)
	assert.Zero(t, spansHeld(p.engine))
	refuse = consumererror.NewPermanent(refuse)
	require.Error(t, p.traces.ConsumeTraces(ctx, both()))
	assert.Equal(t, int64(1), spansHeld(p.engine), "nobody sends it again")
	require.NoError(t, p.logs.Shutdown(ctx))
	require.ErrorContains(t, p.traces.Shutdown(ctx), "busy")
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_spans_refused", "", ""))
}

func TestARefusedAnomalyIsReported(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil)
	p.logs.sink.Next = consumertest.NewErr(errors.New("disk full"))
	p.start(t)
	for s := range int64(13) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, p.host.reported())
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_anomaly_records", "result", "failed"))
	p.stop(t)
}

// counter adds up a metric's points, those with an attribute's value only.
func counter(t *testing.T, p *pipelines, name, key, value string) (sum int64) {
	t.Helper()
	return metricSum(t, p.tel, name, key, value)
}

func spansHeld(e *engine) int64 {
	n, _ := e.spans.Holders.Held()
	return n
}
