package perfscopeprocessor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/doctest"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/conventiontest"
	"github.com/perfscope/perfscope/processor/internal/taillog"
)

// knowing is an analysis that knows why requests are slow.
type knowing struct {
	scripted
	requests []inference.Request
	tails    []inference.Tail
	saw      [8]byte
}

func (k *knowing) AddRequests(list []inference.Request) { k.requests = append(k.requests, list...) }
func (k *knowing) Tails() []inference.Tail {
	now := append([]inference.Tail(nil), k.tails...)
	for i := range k.tails {
		k.tails[i].News = false
	}
	return now
}
func (k *knowing) SawWithin(_ *inference.Tail, r inference.Request) bool { return r.ID == k.saw }

func (*knowing) SeenWithin(r inference.Request, _ int) []inference.Seen {
	return []inference.Seen{{Time: r.Start, Duration: time.Millisecond, Stack: []inference.Function{{Name: "match_rule", Module: "teller"}}}}
}

func tailOf(kind string) inference.Tail {
	return inference.Tail{
		Kind: kind, Spans: true, News: true, Start: epoch, End: epoch + 5*sec, Requests: 812, Share: 0.031,
		Threshold: 18 * time.Millisecond, Fast: 4 * time.Millisecond, Slow: 52 * time.Millisecond,
		Explained: 0.92, Difference: inference.DifferencePath, Pattern: "long_computation",
		Suspects: []inference.Suspect{{Function: "match_rule", Module: "teller", File: "ways.c", Line: 71, Score: 0.9, Evidence: []string{"on_cpu"}}},
		Within:   []inference.Within{{Slow: 48 * time.Millisecond}},
		Path:     []string{"connection", "answer", "match_rule"}, Scope: 0.001,
		Summary: "3.1 % of GET take 52 ms instead of 4 ms: match_rule (teller) computes for long; 92 % of the extra time is explained.",
	}
}

func TestSlowSpansAreTold(t *testing.T) {
	k := &knowing{tails: []inference.Tail{tailOf("GET")}, saw: [8]byte{2}}
	p := newPipelines(t, func() analyzer { return k }, nil).start(t)
	for s := range int64(4) {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	ms := sec / 1000
	td := spansOf("redis", [2]int64{epoch + 3*sec, epoch + 3*sec + 4*ms}, [2]int64{epoch + 3*sec, epoch + 3*sec + 60*ms}, [2]int64{epoch + 3*sec, epoch + 3*sec + 70*ms})
	require.NoError(t, p.traces.ConsumeTraces(ctx, td))
	for s := int64(4); s < 12; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 3 }, time.Minute, time.Millisecond)
	assert.Len(t, k.requests, 3)
	said := map[pcommon.SpanID]string{}
	for _, out := range p.outSpan.AllTraces() {
		for _, span := range out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			for _, ev := range span.Events().All() {
				if ev.Name() == taillog.EventSlowRequest {
					said[span.SpanID()] += anomalylog.Text(ev.Attributes(), taillog.AttrEvidence)
				}
			}
		}
	}
	assert.Equal(t, map[pcommon.SpanID]string{{2}: "own", {3}: "kind"}, said)
	assert.Equal(t, int64(2), counter(t, p, "otelcol_processor_perfscope_slow_spans", "", ""))
	require.Len(t, p.outLogs.AllLogs(), 1, "it is told once")
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(p.outLogs.AllLogs()[0])
	require.NoError(t, err)
	golden(t, "tail.json", text)
	shown, err := p.engine.Services(ctx)
	require.NoError(t, err)
	require.Len(t, shown, 1)
	require.Len(t, shown[0].SlowRequests, 1)
	kind := shown[0].SlowRequests[0]
	assert.Equal(t, "match_rule", kind.Functions[0].Function)
	assert.InDelta(t, 0.048, kind.Functions[0].InSlow, 1e-9)
	require.Len(t, kind.Examples, 2, "the slow spans")
	assert.InDelta(t, 0.07, kind.Examples[0].Seconds, 1e-9, "the newest first")
	d, err := p.engine.Detail(ctx, shown[0].ID)
	require.NoError(t, err)
	require.Len(t, d.SlowSpans, 1, "of the one that was seen itself")
	assert.Equal(t, pcommon.TraceID{1, 2, 3}, pcommon.TraceID(d.SlowSpans[0].Trace))
	assert.Equal(t, pcommon.SpanID{2}, pcommon.SpanID(d.SlowSpans[0].ID))
	p.stop(t)
}

// What waits for the next hop of a service is bounded, and the rest is counted.
func TestSpansOnTheirWayAreBounded(t *testing.T) {
	k := &knowing{}
	p := newPipelines(t, func() analyzer { return k }, nil).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	bounds := make([][2]int64, 1000)
	for i := range bounds {
		bounds[i] = [2]int64{epoch + sec, epoch + sec + 1000}
	}
	for range 2 * maxInbox / len(bounds) {
		require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", bounds...)))
	}
	for s := int64(1); s < 12; s++ {
		p.second(t, "redis", epoch+s*sec)
	}
	p.sync(t)
	assert.Len(t, k.requests, maxInbox)
	assert.Equal(t, int64(2*maxInbox/len(bounds)*len(bounds)-maxInbox), counter(t, p, "otelcol_processor_perfscope_requests", "result", "left_out"))
	p.stop(t)
}

// TestTailConventions holds docs/semantic-conventions.md against what is said of slow
// requests.
func TestTailConventions(t *testing.T) {
	doctest.HasAll(t, doctest.Conventions, "../internal/taillog/names.go")
	tail := tailOf("GET")
	attrs := pcommon.NewMap()
	taillog.Describe(&tail, attrs)
	for _, change := range []inference.TailChange{inference.TailChangeShare, inference.TailChangeLength} {
		changed := tailOf("GET")
		changed.Change, changed.UsualShare, changed.Usual = change, 0.01, time.Millisecond
		ld, _ := taillog.Record(anomalylog.Scope{}, &changed)
		rec := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		assert.Equal(t, plog.SeverityNumberWarn, rec.SeverityNumber())
		taillog.Describe(&changed, attrs)
	}
	for _, key := range []string{anomalylog.AttrSuspects, anomalylog.AttrNames, anomalylog.AttrPath, anomalylog.AttrScope, anomalylog.AttrSuspect, anomalylog.AttrFunction, anomalylog.AttrModule, anomalylog.AttrFile, anomalylog.AttrLine} {
		assert.True(t, attrs.Remove(key), key) // as in an anomaly
	}
	conventiontest.Documented(t, taillog.EventTail, attrs)
	ld, _ := taillog.Record(anomalylog.Scope{}, &tail)
	assert.Equal(t, plog.SeverityNumberInfo, ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SeverityNumber())
	span := ptrace.NewSpan()
	slow := taillog.SlowOf(&tail)
	require.True(t, taillog.AppendEvent(span, &slow, taillog.EvidenceKind))
	require.False(t, taillog.AppendEvent(span, &slow, taillog.EvidenceKind), "it is told already")
	conventiontest.Documented(t, taillog.EventSlowRequest, span.Events().At(0).Attributes())
}

// Spans pass at the cost of a look at each.
func BenchmarkSlowSpans(b *testing.B) {
	k := &knowing{tails: []inference.Tail{tailOf("GET")}}
	p := newPipelines(b, func() analyzer { return k }, nil).start(b)
	for s := range int64(12) {
		p.second(b, "redis", epoch+s*sec)
	}
	p.sync(b)
	bounds := make([][2]int64, 1000)
	for i := range bounds {
		bounds[i] = [2]int64{epoch, epoch + int64(i%50)*sec/1000}
	}
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("annotated=%v", on), func(b *testing.B) {
			td := spansOf("redis", bounds...)
			g := p.engine.spans.Survey(td.ResourceSpans().At(0), time.Now())
			for b.Loop() {
				p.engine.slow.add(g)
				p.engine.slow.take(g.Services[0])
				if on {
					p.engine.slow.annotate(g)
				}
			}
		})
	}
	p.stop(b)
}
