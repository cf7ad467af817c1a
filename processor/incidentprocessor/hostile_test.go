package incidentprocessor

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// Whoever can reach a gateway's OTLP port may send it anything. These are the kinds of
// payload that once had a gateway refuse all data until it was restarted.

// heldBytes is the heap that is in use once all garbage is gone.
func heldBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools let go at the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

// fat is a text that no other shares its memory with.
func fat(seed string) string { return seed + strings.Repeat("x", 1<<20) }

// fatAnomaly is one whose every text is a megabyte.
func fatAnomaly(i int) plog.Logs {
	n := strconv.Itoa(i)
	a := anomaly("victim"+n, fat("function"), epoch)
	a.ID, a.Summary, a.Pattern = fat("id"+n), fat("sentence"), fat("pattern")
	return record(a, "fat"+n, func(resource pcommon.Map) {
		resource.PutStr("service.instance.id", fat(n))
		resource.PutStr("pad", fat("pad"))
	})
}

// fatSpans is one span with a name of a megabyte, which comes with many anomalies.
func fatSpans(i, anomalies int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", fat("fat"+strconv.Itoa(i)))
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8), 7})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetName(fat("operation"))
	span.SetKind(ptrace.SpanKindClient)
	span.Attributes().PutStr("server.address", fat("peer"))
	span.Attributes().PutInt("server.port", 1)
	span.SetStartTimestamp(pcommon.Timestamp(epoch))
	span.SetEndTimestamp(pcommon.Timestamp(epoch + sec))
	for j := range anomalies {
		ev := span.Events().AppendEmpty()
		ev.SetName(anomalylog.Event)
		ev.Attributes().PutStr(anomalylog.AttrID, strconv.Itoa(i)+" "+strconv.Itoa(j))
	}
	return td
}

func TestHostilePayloadsLeaveLittleBehind(t *testing.T) {
	const payloads, most = 48, 24 << 20 // one kind alone would hold as many MiB
	g := newGateway(t, func(c *Config) { c.SpanWait.MaxBytes = 8 << 20 })
	before := heldBytes()
	for i := range payloads {
		require.NoError(t, g.logs.ConsumeLogs(ctx, fatAnomaly(i)))
		require.NoError(t, g.traces.ConsumeTraces(ctx, fatSpans(i, 1000)))
		g.outLogs.Reset()
		g.outSpan.Reset()
	}
	held := heldBytes() - before
	assert.Less(t, held, int64(most), "bytes are held")
	g.hopAt(epoch + sec) // what was left out is counted
	assert.Equal(t, int64(payloads), g.sum("otelcol_processor_incident_left_out", "reason", "resource_attributes")/2, "pad and instance")
	assert.Equal(t, int64(payloads*(1000-maxSpanAnomalies)), g.sum("otelcol_processor_incident_left_out", "reason", "span_anomalies"))
	assert.Positive(t, g.sum("otelcol_processor_incident_spans_released", "reason", "max_bytes"))

	// A minute later ordinary data is judged as ever.
	begin := epoch + 60*sec
	g.setClock(begin)
	g.reported()
	require.NoError(t, g.logs.ConsumeLogs(ctx, found("redis", "flushAppendOnlyFile", begin)))
	g.hopAt(begin + 5*sec)
	g.hopAt(begin + 40*sec)
	var causes []string
	for _, rec := range g.reported() {
		causes = append(causes, anomalylog.Text(rec.Attributes(), attrCauseService))
	}
	assert.Contains(t, causes, "redis")

	// And in the end nothing is left.
	g.hopAt(begin + int64(instanceLife) + int64(silentFor) + 120*sec)
	g.hopAt(begin + 2*int64(instanceLife))
	assert.Empty(t, g.engine.causes.instances)
	assert.Empty(t, g.engine.causes.known)
	assert.Zero(t, g.engine.causes.table.Bytes())
	g.stop(t)
}

// TestATraceOfManySpansIsKnownInPart: each span of another service, which calls one
// more, and is abnormal.
func TestATraceOfManySpansIsKnownInPart(t *testing.T) {
	var ledger correlate.Ledger[anomalylog.Short]
	c := newCauses(createDefaultConfig().(*Config), &ledger)
	now := time.Unix(0, epoch)
	const spans = blame.MaxTraceSpans + 100
	for i := range spans {
		td := fatless(i)
		c.gather(td.ResourceSpans().At(0), now)
	}
	assert.LessOrEqual(t, len(c.rank([16]byte{1}, now)), blame.MaxPairs)
	assert.Equal(t, spans-blame.MaxTraceSpans, c.takeLeft().Trace)
	assert.LessOrEqual(t, c.habits.Len(), maxHabits)
}

// fatless is span i of a chain, of a service of its own.
func fatless(i int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "s"+strconv.Itoa(i))
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	id := func(i int) pcommon.SpanID { return pcommon.SpanID{byte(i), byte(i >> 8), byte(i >> 16), 1} }
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(id(i))
	span.SetParentSpanID(id(i - 1))
	span.SetKind(ptrace.SpanKindClient)
	span.SetStartTimestamp(pcommon.Timestamp(epoch))
	span.SetEndTimestamp(pcommon.Timestamp(epoch + sec))
	ev := span.Events().AppendEmpty()
	ev.SetName(anomalylog.Event)
	ev.Attributes().PutStr(anomalylog.AttrID, strconv.Itoa(i))
	return td
}

// FuzzSpans gives a gateway any spans.
func FuzzSpans(f *testing.F) {
	for _, td := range []ptrace.Traces{fatless(1), ptrace.NewTraces()} {
		doc, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(f, err)
		f.Add(doc)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxServices, cfg.SpanWait.MaxSpans, cfg.SpanWait.MaxBytes = 2, 100, 1<<16
	var ledger correlate.Ledger[anomalylog.Short]
	c := newCauses(cfg, &ledger)
	c.learn(found("redis", "f", epoch), time.Unix(0, epoch))
	f.Fuzz(func(t *testing.T, doc []byte) {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(doc)
		if err != nil {
			return
		}
		now := time.Unix(0, epoch)
		ids := map[[16]byte]struct{}{}
		for _, rs := range td.ResourceSpans().All() {
			c.gather(rs, now)
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					ids[span.TraceID()] = struct{}{}
				}
			}
		}
		for id := range ids {
			c.rank(id, now)
		}
		if c.table.Spans() > cfg.SpanWait.MaxSpans || c.table.Bytes() > cfg.SpanWait.MaxBytes {
			t.Errorf("%d spans, %d bytes", c.table.Spans(), c.table.Bytes())
		}
		c.incidentsAt(now)
		c.expire(now.Add(time.Minute))
		if c.table.Spans() != 0 || c.table.Bytes() != 0 {
			t.Errorf("%d spans, %d bytes are left", c.table.Spans(), c.table.Bytes())
		}
	})
}
