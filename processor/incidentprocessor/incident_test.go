package incidentprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

func eachSpan(traces []ptrace.Traces, fn func(ptrace.Span)) {
	for _, td := range traces {
		for _, rs := range td.ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				fn(span)
			}
		}
	}
}

// TestTheCalleeIsToBlame lets all three services become abnormal as redis
// becomes slow: the gateway puts redis first, though the front takes longest.
func TestTheCalleeIsToBlame(t *testing.T) {
	g := newGateway(t, nil)
	for n := range byte(20) {
		g.setClock(epoch + int64(n)*13*sec) // the one before is let go
		front, middle := request(n+1, epoch+int64(n)*10*ms, ms)
		require.NoError(t, g.traces.ConsumeTraces(ctx, middle))
		require.NoError(t, g.traces.ConsumeTraces(ctx, front))
	}
	g.setClock(epoch + 280*sec)
	require.Eventually(t, func() bool { return g.outSpan.SpanCount() == 80 }, time.Minute, time.Millisecond)
	eachSpan(g.outSpan.AllTraces(), func(span ptrace.Span) { require.Zero(t, span.Events().Len(), "a healthy trace") })
	g.hopAt(epoch + 285*sec)
	assert.Zero(t, g.outLogs.LogRecordCount())
	g.outSpan.Reset()

	// All of it comes, in no good order.
	front, middle := request(99, epoch+16*sec, 50*ms)
	require.NoError(t, g.traces.ConsumeTraces(ctx, front))
	require.NoError(t, g.logs.ConsumeLogs(ctx, found("middle", "onReadable", epoch+15*sec)))
	require.NoError(t, g.logs.ConsumeLogs(ctx, found("redis", "flushAppendOnlyFile", epoch+15*sec)))
	require.NoError(t, g.traces.ConsumeTraces(ctx, middle))
	require.NoError(t, g.logs.ConsumeLogs(ctx, found("front", "waitForMiddle", epoch+15*sec)))
	require.NoError(t, g.logs.ConsumeLogs(ctx, found("cron", "cleanUp", epoch+15*sec)))
	assert.Zero(t, g.outSpan.SpanCount(), "the others of their trace may come")
	assert.Equal(t, 4, g.outLogs.LogRecordCount(), "anomalies pass")
	g.hopAt(epoch + 290*sec)
	assert.Empty(t, g.reported(), "a trace that links them may be under way")
	g.setClock(epoch + 300*sec)
	require.Eventually(t, func() bool { return g.outSpan.SpanCount() == 4 }, time.Minute, time.Millisecond)
	g.hopAt(epoch + 310*sec)
	records := g.reported()
	require.Len(t, records, 2, "what no trace leads to is by itself")
	assert.Equal(t, pcommon.TraceID{99, 1}, records[1].TraceID())
	assert.Equal(t, "flushAppendOnlyFile in redis is the first cause (sync_per_operation); slow by waiting for it: front, middle.", records[1].Body().Str())
	assert.Equal(t, []string{"redis cause", "front victim", "middle victim"}, pairs(t, records[1].Attributes()))
	assert.Equal(t, []string{"cron unlinked"}, pairs(t, records[0].Attributes()))

	said := map[byte][]string{}
	eachSpan(g.outSpan.AllTraces(), func(span ptrace.Span) {
		for _, ev := range span.Events().All() {
			text := ev.Name() + " " + anomalylog.Text(ev.Attributes(), anomalylog.AttrFunction) + " " + anomalylog.Text(ev.Attributes(), attrCauseRole)
			id := span.SpanID()
			said[id[0]] = append(said[id[0]], text)
			if ev.Name() == eventIncident {
				assert.Equal(t, []string{"redis cause", "front victim", "middle victim"}, pairs(t, ev.Attributes()))
			}
		}
	})
	assert.Equal(t, map[byte][]string{
		1: {"perfscope.anomaly waitForMiddle victim", "perfscope.incident flushAppendOnlyFile "},
		3: {"perfscope.anomaly onReadable victim"},
		4: {"perfscope.anomaly flushAppendOnlyFile cause"},
	}, said)
	assert.Equal(t, int64(3), g.sum("otelcol_processor_incident_spans_annotated", "", ""))
	assert.Equal(t, int64(84), g.sum("otelcol_processor_incident_spans_released", "reason", "gathered"))
	g.stop(t)
}

func pairs(t *testing.T, attrs pcommon.Map) (out []string) {
	t.Helper()
	list, ok := attrs.Get(attrCauses)
	require.True(t, ok)
	for _, v := range list.Slice().All() {
		out = append(out, anomalylog.Text(v.Map(), attrCauseService)+" "+anomalylog.Text(v.Map(), attrCauseRole))
	}
	return out
}

// TestAnIncidentIsReportedOnceAMinute, after the wait for traces.
func TestAnIncidentIsReportedOnceAMinute(t *testing.T) {
	g := newGateway(t, nil)
	var states []string
	for s := int64(0); s <= 140; s += 5 {
		g.setClock(epoch + s*sec)
		g.learn(t, found("redis", "f", epoch+s*sec))
		g.hopAt(epoch + s*sec)
		for _, rec := range g.reported() {
			states = append(states, time.Duration(s*sec).String()+" "+anomalylog.Text(rec.Attributes(), attrIncidentState))
		}
	}
	assert.Equal(t, []string{"20s raised", "1m20s updated", "2m20s updated"}, states)
	assert.Equal(t, int64(1), g.sum("otelcol_processor_incident_open", "", ""))
	g.stop(t)
}

// TestAnIncidentIsClearedWithItsAnomalies, or when their agent falls silent.
func TestAnIncidentIsClearedWithItsAnomalies(t *testing.T) {
	for name, c := range map[string]struct {
		clear bool
		over  int64
	}{"cleared": {true, 35}, "silent": {false, 180}} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil)
			var states []string
			for s := int64(0); s <= 200; s += 5 {
				g.setClock(epoch + s*sec)
				a := anomaly("redis", "f", epoch+s*sec)
				switch {
				case s < 35:
					g.learn(t, record(a, "redis", nil))
				case s == 35 && c.clear:
					a.Onset = epoch
					ld := record(a.Clear(epoch+25*sec, epoch+35*sec, inference.EndRecovered), "redis", nil)
					require.NoError(t, g.logs.ConsumeLogs(ctx, ld))
					require.Equal(t, 1, g.outLogs.LogRecordCount(), "it passes")
					g.outLogs.Reset()
				}
				g.hopAt(epoch + s*sec)
				for _, rec := range g.reported() {
					states = append(states, time.Duration(s*sec).String()+" "+rec.SeverityText()+" "+anomalylog.Text(rec.Attributes(), attrIncidentState))
				}
			}
			want := []string{"20s WARN raised"}
			for s := int64(80); s < c.over; s += 60 {
				want = append(want, time.Duration(s*sec).String()+" WARN updated")
			}
			assert.Equal(t, append(want, time.Duration(c.over*sec).String()+" INFO cleared"), states)
			assert.Zero(t, g.sum("otelcol_processor_incident_open", "", ""))
			assert.Zero(t, g.sum("otelcol_processor_incident_anomalies_open", "", ""))
			g.stop(t)
		})
	}
}

// TestReplicasAreOneIncident: instances of one service with the same first
// suspect are one, those of a service of the same name in another namespace are
// not.
func TestReplicasAreOneIncident(t *testing.T) {
	g := newGateway(t, nil)
	for s := int64(0); s <= 20; s += 5 {
		g.setClock(epoch + s*sec)
		for _, replica := range []string{"1", "2", "3", "other"} {
			a := anomaly("shop", "f", epoch+s*sec)
			a.ID += replica
			g.learn(t, record(a, "shop", func(resource pcommon.Map) {
				resource.PutStr("service.instance.id", replica)
				if replica == "other" {
					resource.PutStr("service.namespace", "elsewhere")
				}
			}))
		}
		g.hopAt(epoch + s*sec)
	}
	records := g.reported()
	require.Len(t, records, 2)
	instances := func(i int) any {
		v, _ := records[i].Attributes().Get(attrCauses)
		return v.Slice().At(0).Map().AsRaw()[attrCauseInstances]
	}
	assert.Equal(t, []any{int64(1), int64(3)}, []any{instances(0), instances(1)})
	assert.Contains(t, records[1].Body().Str(), "in 3 of its instances")
	g.stop(t)
}

func TestAGatewayIsBounded(t *testing.T) {
	g := newGateway(t, func(c *Config) { c.MaxServices, c.SpanWait.MaxSpans = 2, 6 })
	for _, service := range []string{"a", "b", "a", "c"} {
		require.NoError(t, g.logs.ConsumeLogs(ctx, found(service, "f", epoch)))
	}
	c := g.engine.causes
	assert.Len(t, c.instances, 2)
	assert.Equal(t, 2, c.openAnomalies())
	_, known := g.engine.Judged(spanmatch.Identity(found("b", "f", epoch).ResourceLogs().At(0).Resource().Attributes()).Key())
	assert.False(t, known, "b was heard of least recently")
	for n := range byte(9) {
		front, middle := request(n, epoch, sec/1000)
		require.NoError(t, g.traces.ConsumeTraces(ctx, front))
		require.NoError(t, g.traces.ConsumeTraces(ctx, middle))
	}
	assert.LessOrEqual(t, c.table.Spans(), 6)
	n, _ := g.engine.spans.Holders.Held()
	assert.LessOrEqual(t, n, int64(6))
	g.stop(t)
	assert.Equal(t, 36, g.outSpan.SpanCount(), "nothing is lost")
}

// TestRepeatsEndHere: the gateway learns from them for how long a service is
// abnormal, and does not pass them on.
func TestRepeatsEndHere(t *testing.T) {
	a := anomaly("redis", "f", epoch+10*sec)
	a.Repeat = true
	repeat := record(a, "redis", nil)
	other := repeat.ResourceLogs().AppendEmpty()
	other.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("something else")
	g := newGateway(t, nil)
	require.NoError(t, g.logs.ConsumeLogs(ctx, repeat))
	require.Equal(t, 1, g.outLogs.LogRecordCount())
	assert.Equal(t, "something else", g.outLogs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str())
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "redis")
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(pcommon.Timestamp(epoch + 11*sec))
	span.SetEndTimestamp(pcommon.Timestamp(epoch + 12*sec))
	require.NoError(t, g.traces.ConsumeTraces(ctx, td))
	g.stop(t)
	require.Equal(t, 1, g.outSpan.SpanCount())
	eachSpan(g.outSpan.AllTraces(), func(span ptrace.Span) { assert.Equal(t, anomalylog.Event, span.Events().At(0).Name()) })
}

func TestAGatewayCountsWhatItCannotRead(t *testing.T) {
	g := newGateway(t, nil)
	ld := found("redis", "f", epoch)
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Remove(anomalylog.AttrID)
	require.NoError(t, g.logs.ConsumeLogs(ctx, ld))
	assert.Equal(t, 1, g.outLogs.LogRecordCount(), "it passes all the same")
	assert.Equal(t, int64(1), g.sum("otelcol_processor_incident_decode_errors", "", ""))
	g.stop(t)
}

func TestCleanTracesLeaveAGatewayAsTheyCame(t *testing.T) {
	g := newGateway(t, nil)
	front, middle := request(1, epoch, sec)
	middle.ResourceSpans().MoveAndAppendTo(front.ResourceSpans())
	before, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(front)
	require.NoError(t, err)
	require.NoError(t, g.traces.ConsumeTraces(ctx, front))
	g.stop(t)
	after, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(g.outSpan.AllTraces()[0])
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestAnyOrderOfShutdown(t *testing.T) {
	for _, first := range []string{"logs", "traces"} {
		t.Run(first, func(t *testing.T) {
			g := newGateway(t, nil)
			front, _ := request(1, epoch, sec)
			require.NoError(t, g.traces.ConsumeTraces(ctx, front))
			if first == "logs" {
				require.NoError(t, g.logs.Shutdown(ctx))
			} else {
				require.NoError(t, g.traces.Shutdown(ctx))
			}
			assert.Equal(t, 1, g.sharing.engines.Len())
			require.NoError(t, g.logs.ConsumeLogs(ctx, found("redis", "f", epoch)))
			_, middle := request(2, epoch, sec)
			require.NoError(t, g.traces.ConsumeTraces(ctx, middle))
			g.stop(t)
			assert.Zero(t, g.sharing.engines.Len())
			assert.Equal(t, 4, g.outSpan.SpanCount())
			assert.Equal(t, 1, g.outLogs.LogRecordCount())
		})
	}
}

// FuzzLearn gives a gateway any log records.
func FuzzLearn(f *testing.F) {
	for _, ld := range []plog.Logs{found("redis", "f", epoch), plog.NewLogs()} {
		doc, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
		require.NoError(f, err)
		f.Add(doc)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.MaxServices = 2
	var ledger correlate.Ledger[anomalylog.Short]
	c := newCauses(cfg, &ledger)
	f.Fuzz(func(t *testing.T, doc []byte) {
		ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(doc)
		if err != nil {
			return
		}
		now := time.Unix(0, epoch)
		c.learn(ld, now)
		if len(c.instances) > cfg.MaxServices || len(c.known) > anomaliesPerService*cfg.MaxServices || c.openAnomalies() > cfg.MaxServices {
			t.Errorf("%d services, %d anomalies", len(c.instances), len(c.known))
		}
		logsink.Without(ld, anomalylog.IsRepeat)
		for _, in := range c.incidentsAt(now.Add(time.Hour)) {
			incidentRecord(anomalylog.Scope{}, &in, c.resourceOf(in.Ranking[0].Service))
		}
	})
}
