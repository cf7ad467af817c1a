package perfscopeprocessor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// listeningSecond is secondOf a service that listens.
func listeningSecond(service string, pid, start int64, sockets ...string) plog.Logs {
	ld := secondOf(service, pid, start)
	list := ld.ResourceLogs().At(0).Resource().Attributes().PutEmptySlice(spanmatch.AttrListening)
	for _, s := range sockets {
		list.AppendEmpty().SetStr(s)
	}
	return ld
}

// callsOf are client spans of a service that call an address.
func callsOf(service, address string, port int64, bounds ...[2]int64) ptrace.Traces {
	td := spansOf(service, bounds...)
	for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		span.SetKind(ptrace.SpanKindClient)
		span.Attributes().PutStr("server.address", address)
		span.Attributes().PutInt("server.port", port)
	}
	return td
}

// TestCallersOfAnUninstrumentedServer: the client spans of a service that is
// not watched wait for the judgement of the database that they call.
func TestCallersOfAnUninstrumentedServer(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	deliver := func(from, to int64) {
		for s := from; s < to; s++ {
			p.setClock(epoch + (s+1)*sec)
			require.NoError(t, p.logs.ConsumeLogs(ctx, listeningSecond("redis", 100, epoch+s*sec, "[::]:6379")))
		}
		p.sync(t)
	}
	deliver(0, 7) // one hop is judged, and with it is known where redis listens
	during := [2]int64{epoch + 6*sec, epoch + 6*sec + 1000}
	calls := func() ptrace.Traces {
		td := callsOf("shop", "localhost", 6379, during, [2]int64{epoch, epoch + 1000})
		callsOf("shop", "localhost", 5432, during).ResourceSpans().At(0).ScopeSpans().MoveAndAppendTo(td.ResourceSpans().At(0).ScopeSpans())
		return td
	}
	require.NoError(t, p.traces.ConsumeTraces(ctx, calls()))
	require.Zero(t, p.outSpan.SpanCount(), "they wait")
	require.NoError(t, p.traces.ConsumeTraces(ctx, callsOf("shop", "localhost", 5432, during)))
	require.Equal(t, 1, p.outSpan.SpanCount(), "it calls another")
	p.outSpan.Reset()
	deliver(7, 13)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 3 }, time.Minute, time.Millisecond)
	spans := p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans()
	require.Equal(t, 2, spans.At(0).Spans().At(0).Events().Len())
	assert.Equal(t, 1, spans.At(0).Spans().At(1).Events().Len(), "it ran before")
	assert.Equal(t, 1, spans.At(1).Spans().At(0).Events().Len(), "it calls another")
	said := map[string]any{}
	for key, v := range spans.At(0).Spans().At(0).Events().At(1).Attributes().All() {
		said[key] = v.AsRaw()
	}
	assert.Equal(t, "redis", said[anomalylog.AttrPeerService])
	assert.Equal(t, "server.address", said[anomalylog.AttrMatchResource])
	assert.Equal(t, "time", said[anomalylog.AttrMatchBy])
	assert.InDelta(t, 1, said[anomalylog.AttrMatchConfidence], 0)
	// The log record names a caller's span, and says where redis listens.
	require.Equal(t, 1, p.outLogs.LogRecordCount())
	rl := p.outLogs.AllLogs()[0].ResourceLogs().At(0)
	assert.Equal(t, pcommon.SpanID{1}, rl.ScopeLogs().At(0).LogRecords().At(0).SpanID())
	where, ok := rl.Resource().Attributes().Get(spanmatch.AttrListening)
	require.True(t, ok)
	assert.Equal(t, []any{"[::]:6379"}, where.AsRaw())

	// Redis gets an SDK: its callers are no longer told for it.
	p.outSpan.Reset()
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", during)))
	require.NoError(t, p.traces.ConsumeTraces(ctx, calls()))
	require.Equal(t, 4, p.outSpan.SpanCount())
	assert.Equal(t, 2, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	assert.Equal(t, 1, p.outSpan.AllTraces()[1].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	p.stop(t)
}

// TestOnlyOneProcessListens: what a service instance listens on is known from
// any of its processes.
func TestOnlyOneProcessListens(t *testing.T) {
	var p processes
	for pid, ld := range map[int64]plog.Logs{
		1: listeningSecond("postgres", 1, epoch, "127.0.0.1:5432", "[::1]:5432"),
		2: secondOf("postgres", 2, epoch),
		3: listeningSecond("postgres", 3, epoch, "127.0.0.1:5432"),
	} {
		p.note(pid, ld.ResourceLogs().At(0).Resource().Attributes(), epoch)
	}
	attrs := pcommon.NewMap()
	p.common(attrs)
	where, ok := attrs.Get(spanmatch.AttrListening)
	require.True(t, ok)
	assert.Equal(t, []any{"127.0.0.1:5432", "[::1]:5432"}, where.AsRaw())
	sockets, _ := spanmatch.Reach(attrs)
	assert.Equal(t, "[127.0.0.1:5432 [::1]:5432]", fmt.Sprint(sockets))
}

// TestARequestInTwoBatchesIsOne: a request whose spans were exported apart has
// the anomaly once, if they are let go together.
func TestARequestInTwoBatchesIsOne(t *testing.T) {
	p := newPipelines(t, oneAnomaly, func(c *Config) { c.SpanWait.Timeout = time.Minute }).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	inner := spansOf("redis", [2]int64{epoch + 6*sec + 100, epoch + 6*sec + 900})
	inner.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(pcommon.SpanID{9})
	outer := spansOf("redis", [2]int64{epoch + 6*sec, epoch + 6*sec + 1000})
	outer.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetSpanID(pcommon.SpanID{9})
	require.NoError(t, p.traces.ConsumeTraces(ctx, inner))
	require.NoError(t, p.traces.ConsumeTraces(ctx, outer))
	for s := int64(1); s < 13; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	p.stop(t)
	events := map[pcommon.SpanID]int{}
	for _, td := range p.outSpan.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			span := rs.ScopeSpans().At(0).Spans().At(0)
			events[span.SpanID()] = span.Events().Len()
		}
	}
	assert.Equal(t, map[pcommon.SpanID]int{{1}: 2, {9}: 1}, events)
}

func TestHeldSpansAreBoundedInBytes(t *testing.T) {
	at := [2]int64{epoch + 60*sec, epoch + 61*sec}
	size := spanmatch.Size(spansOf("redis", at).ResourceSpans().At(0))
	p := newPipelines(t, func() analyzer { return &scripted{} }, func(c *Config) { c.SpanWait.MaxBytes = 2 * size }).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	for range 3 {
		require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", at)))
	}
	assert.Equal(t, 1, p.outSpan.SpanCount(), "the oldest made room")
	assert.Equal(t, int64(2*size), counter(t, p, "otelcol_processor_perfscope_spans_held_bytes", "", ""))
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_spans_released", "reason", "max_bytes"))
	p.stop(t)
	assert.Equal(t, 3, p.outSpan.SpanCount())
}

// maxPayload is what spanhold passes on at once.
const maxPayload = 1 << 20

func tracesSize(td ptrace.Traces) int { return (&ptrace.ProtoMarshaler{}).TracesSize(td) }

// TestManySpansLeaveInParts: what a judgement lets go at once is more than a
// backend takes at once.
func TestManySpansLeaveInParts(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	size := 0
	for range 40 {
		td := manySpans("redis", 100, 512)
		size += tracesSize(td)
		require.NoError(t, p.traces.ConsumeTraces(ctx, td))
	}
	require.Greater(t, size, 4*maxPayload)
	p.stop(t)
	assert.Equal(t, 40*512, p.outSpan.SpanCount())
	for _, td := range p.outSpan.AllTraces() {
		assert.LessOrEqual(t, tracesSize(td), maxPayload+maxPayload/8)
	}
}

// TestSpansMinutesLate: the last anomalies are known for spans that come when
// an SDK could reach its collector again.
func TestSpansMinutesLate(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil).start(t)
	for s := range int64(240) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})))
	require.Equal(t, 1, p.outSpan.SpanCount())
	assert.Equal(t, 2, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	p.stop(t)
}

// BenchmarkTraces is the least a pipeline does, reading OTLP and writing it,
// without the processor, with it for a service that is not watched, for one whose
// spans all wait until more come, and for one of whose requests it is known why the slow ones are,
// which all these are. Batches are as SDKs send them by default.
func BenchmarkTraces(b *testing.B) {
	const batch = 512
	for _, way := range []struct {
		name, service string
		pid           int64
		analyzer      func() analyzer
	}{
		{"without", "", 0, nil},
		{"not watched", "shop", 7, func() analyzer { return &scripted{} }},
		{"held", "redis", 100, func() analyzer { return &scripted{} }},
		{"slow", "redis", 100, func() analyzer { return &knowing{tails: []inference.Tail{tailOf("GET /cart/{id}")}} }},
	} {
		b.Run(way.name, func(b *testing.B) {
			spans, events := 0, 0
			next, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error {
				spans += td.SpanCount()
				for _, rs := range td.ResourceSpans().All() {
					for _, span := range rs.ScopeSpans().At(0).Spans().All() {
						events += span.Events().Len()
					}
				}
				_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
				return err
			})
			require.NoError(b, err)
			if way.service != "" {
				p := newPipelines(b, way.analyzer, func(c *Config) { c.SpanWait.MaxBytes = 4 << 20 })
				p.traces.Holder.Next = next
				p.start(b)
				defer p.stop(b)
				for i := range int64(12) {
					p.second(b, "redis", epoch+i*sec)
				}
				p.sync(b)
				next = p.traces
			}
			doc, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(manySpans(way.service, way.pid, batch))
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(doc)
				if err != nil {
					b.Fatal(err)
				}
				if err := next.ConsumeTraces(ctx, td); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(spans)/b.Elapsed().Seconds(), "spans/s")
			b.ReportMetric(float64(events)/float64(max(spans, 1)), "events/span")
		})
	}
}

// manySpans are spans of requests of three each, with the attributes that HTTP
// servers' have.
func manySpans(service string, pid int64, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	resource(rs.Resource().Attributes(), service, pid)
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range n {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{byte(i / 3), byte(i / 3 >> 8), 1})
		span.SetSpanID(pcommon.SpanID{byte(i), byte(i >> 8), 1})
		if span.SetKind(ptrace.SpanKindServer); i%3 > 0 {
			span.SetParentSpanID(pcommon.SpanID{byte(i - 1), byte((i - 1) >> 8), 1})
			span.SetKind(ptrace.SpanKindClient)
		}
		span.SetName("GET /cart/{id}")
		span.SetStartTimestamp(pcommon.Timestamp(epoch + 60*sec + int64(i)))
		span.SetEndTimestamp(pcommon.Timestamp(epoch + 61*sec))
		for key, v := range map[string]string{
			"http.request.method": "GET", "url.path": "/cart/1234", "http.route": "/cart/{id}", "network.protocol.version": "1.1",
			"server.address": "cart.example", "user_agent.original": "Go-http-client/1.1", "client.address": "10.1.2.3",
		} {
			span.Attributes().PutStr(key, v)
		}
		span.Attributes().PutInt("server.port", 8080)
		span.Attributes().PutInt("http.response.status_code", 200)
	}
	return td
}

// TestSpansOfAHopInDoubtWait: what is said of a hop may come with a later one.
func TestSpansOfAHopInDoubtWait(t *testing.T) {
	p := newPipelines(t, func() analyzer {
		a := oneAnomaly().(*scripted)
		a.doubt = epoch + 5*sec
		found := a.at[epoch+10*sec]
		require.NotEmpty(t, found.ID)
		delete(a.at, epoch+10*sec)
		a.at[epoch+15*sec] = found
		return a
	}, nil).start(t)
	deliver := func(from, to int64) {
		for s := from; s < to; s++ {
			p.second(t, "redis", epoch+s*sec)
		}
		p.sync(t)
	}
	deliver(0, 4)
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})))
	deliver(4, 13)
	require.Never(t, func() bool { return p.outSpan.SpanCount() > 0 }, 700*time.Millisecond, 50*time.Millisecond, "its hop is in doubt")
	deliver(13, 18)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 1 }, time.Minute, time.Millisecond)
	assert.NotZero(t, p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
	p.stop(t)
}
