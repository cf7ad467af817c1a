package perfscopeprocessor

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// TestOnlySlowerSpansGetIt lets redis become abnormal while its requests of
// one kind take as long as ever: those are not what it slowed down.
func TestOnlySlowerSpansGetIt(t *testing.T) {
	for name, c := range map[string]struct {
		lasts int64 // of the GETs within the anomaly
		want  map[string]int
	}{
		"some are slower": {sec / 10, map[string]int{"GET": 20}},
		"none is":         {sec / 100, map[string]int{"GET": 20, "PING": 20}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipelines(t, func() analyzer {
				a := anomalyAt(epoch + 100*sec)
				return &scripted{at: map[int64]inference.Anomaly{a.End: a}}
			}, nil).start(t)
			spans := func(start, get int64) ptrace.Traces {
				td := spansOf("redis", [2]int64{start, start + get})
				ping := spansOf("redis", [2]int64{start, start + sec/100})
				span := ping.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
				span.SetName("PING")
				span.SetSpanID([8]byte{9})
				span.MoveTo(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
				return td
			}
			for s := range int64(110) {
				p.second(t, "redis", epoch+s*sec)
				p.sync(t)
				if s > 12 && s < 100 { // judged: they pass at once
					require.NoError(t, p.traces.ConsumeTraces(ctx, spans(epoch+(s-12)*sec, sec/100+s*1000)))
				}
			}
			p.sync(t)
			p.outSpan.Reset()
			for n := range int64(20) {
				require.NoError(t, p.traces.ConsumeTraces(ctx, spans(epoch+101*sec+n*sec/100, c.lasts)))
			}
			require.Equal(t, 40, p.outSpan.SpanCount())
			got := map[string]int{}
			for i, td := range p.outSpan.AllTraces() {
				for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
					for _, ev := range span.Events().All() {
						if ev.Name() == anomalylog.Event && i >= 12 { // some are needed to tell
							got[span.Name()]++
						}
					}
				}
			}
			for kind := range c.want {
				c.want[kind] -= 12
			}
			assert.Equal(t, c.want, got)
			p.stop(t)
		})
	}
}

// TestSpansFromBeforeItBegan: an anomaly is reported for a whole hop, and begins
// somewhere in it. One of four requests was slowed down.
func TestSpansFromBeforeItBegan(t *testing.T) {
	p := newPipelines(t, func() analyzer {
		a := anomalyAt(epoch + 100*sec)
		return &scripted{at: map[int64]inference.Anomaly{a.End: a}}
	}, nil).start(t)
	r := rand.New(rand.NewPCG(1, 2))
	healthy := func() int64 { return sec/1000 + r.Int64N(3*sec/1000) }
	for s := range int64(110) {
		p.second(t, "redis", epoch+s*sec)
		p.sync(t)
		if s > 12 && s < 100 {
			start := epoch + (s-12)*sec
			require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{start, start + healthy()})))
		}
	}
	p.sync(t)
	p.outSpan.Reset()
	var bounds [][2]int64
	for i := range int64(160) {
		start, lasts := epoch+100*sec+i*sec/100, healthy()
		if i%4 == 0 {
			lasts += 20 * sec / 1000
		}
		bounds = append(bounds, [2]int64{start, start + lasts})
	}
	require.NoError(t, p.traces.ConsumeTraces(ctx, spansOf("redis", bounds...)))
	missed, wrong := 0, 0
	for i, span := range p.outSpan.AllTraces()[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		switch told := span.Events().Len() == 2; {
		case i%4 == 0 && !told:
			missed++
		case i%4 != 0 && told:
			wrong++ // the longest healthy ones: they are longer than 64 others
		}
	}
	assert.Zero(t, missed)
	assert.LessOrEqual(t, wrong, len(bounds)*3/4/20)
	p.stop(t)
}
