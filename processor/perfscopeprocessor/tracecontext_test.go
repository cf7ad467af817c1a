package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

var (
	traceOfTest = [16]byte{1, 2, 3}
	callerSpan  = [8]byte{9}
)

// receivingSecond is a second in which the service's thread receives a request.
func receivingSecond(service string, pid, start int64) plog.Logs {
	ld := secondOf(service, pid, start)
	recs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	recs.RemoveIf(func(r plog.LogRecord) bool { return r.EventName() == tracelog.EventBatch })
	tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", &threadtrace.Batch{
		ThreadID: int32(pid), Events: []threadtrace.Event{{Time: start, Duration: sec / 2, Number: 232}},
		Contexts: []threadtrace.Context{{Time: start + sec/2, TraceID: traceOfTest, ParentID: callerSpan}},
	})
	return ld
}

// deliverRequest has a service be judged abnormal from second 5 to 10, and
// receive a request in second 6.
func deliverRequest(t *testing.T, p *pipelines) {
	t.Helper()
	for s := range int64(13) {
		p.setClock(epoch + (s+1)*sec)
		ld := secondOf("redis", 100, epoch+s*sec)
		if s == 6 {
			ld = receivingSecond("redis", 100, epoch+s*sec)
		}
		require.NoError(t, p.logs.ConsumeLogs(ctx, ld))
	}
	p.sync(t)
}

func anomalyEvent(t *testing.T, span ptrace.Span) map[string]any {
	t.Helper()
	for _, ev := range span.Events().All() {
		if ev.Name() == anomalylog.Event {
			return ev.Attributes().AsRaw()
		}
	}
	return nil
}

func TestSpanIsMatchedByItsTraceContext(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	deliverRequest(t, p)
	at := [2]int64{epoch + 6*sec + sec/2 - 1000, epoch + 7*sec}
	send := func(change func(ptrace.ResourceSpans, ptrace.Span)) map[string]any {
		td := spansOf("redis", at)
		rs := td.ResourceSpans().At(0)
		span := rs.ScopeSpans().At(0).Spans().At(0)
		span.SetParentSpanID(callerSpan)
		change(rs, span)
		p.outSpan.Reset()
		require.NoError(t, p.traces.ConsumeTraces(ctx, td))
		require.Equal(t, 1, p.outSpan.SpanCount())
		return anomalyEvent(t, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0))
	}
	for name, c := range map[string]struct {
		change       func(ptrace.ResourceSpans, ptrace.Span)
		resource, by any
	}{
		"its request":   {func(ptrace.ResourceSpans, ptrace.Span) {}, "trace_context", "trace_context"},
		"another trace": {func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetTraceID(pcommon.TraceID{4}) }, "service.name", "time"},
		"a name that is set in its code": {func(rs ptrace.ResourceSpans, _ ptrace.Span) {
			rs.Resource().Attributes().PutStr("service.name", "unheard of")
		}, "trace_context", "trace_context"},
		"a stranger": {func(rs ptrace.ResourceSpans, s ptrace.Span) {
			rs.Resource().Attributes().PutStr("service.name", "unheard of")
			s.SetTraceID(pcommon.TraceID{4})
		}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			said := send(c.change)
			assert.Equal(t, c.resource, said[anomalylog.AttrMatchResource])
			assert.Equal(t, c.by, said[anomalylog.AttrMatchBy])
		})
	}
	p.stop(t)
}

// TestCallerIsMatchedByItsTraceContext: the server has no spans, and the span
// that called it does not say where it is.
func TestCallerIsMatchedByItsTraceContext(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	deliverRequest(t, p)
	td := spansOf("shop", [2]int64{epoch + 6*sec, epoch + 7*sec}, [2]int64{epoch + 6*sec, epoch + 7*sec})
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for _, s := range spans.All() {
		s.SetKind(ptrace.SpanKindClient)
	}
	spans.At(0).SetSpanID(callerSpan)
	require.NoError(t, p.traces.ConsumeTraces(ctx, td))
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 2 }, time.Minute, time.Millisecond)
	out := p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	said := anomalyEvent(t, out.At(0))
	assert.Equal(t, "redis", said[anomalylog.AttrPeerService])
	assert.Equal(t, "trace_context", said[anomalylog.AttrMatchResource])
	assert.Nil(t, anomalyEvent(t, out.At(1)), "it called somebody else")
	// Nobody's span was held when the anomaly was told: its request is named.
	rec := p.outLogs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, pcommon.TraceID(traceOfTest), rec.TraceID())
	assert.Equal(t, pcommon.SpanID(callerSpan), rec.SpanID())
	p.stop(t)
}
