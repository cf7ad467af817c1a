package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

// ended is a group of spans of one service, each of the given length, that end at an
// instant.
func ended(service string, waits bool, end int64, lengths ...time.Duration) *spanmatch.Group {
	g := &spanmatch.Group{}
	for _, d := range lengths {
		span := ptrace.NewSpan()
		span.SetName("GET /")
		m := correlate.Span{Start: end - int64(d), End: end, Waits: waits}
		candidates := []correlate.Candidate{{Service: service, Certainty: 1}, {Service: "unsure", Certainty: 0.2}}
		if waits {
			m.Peers = candidates
		} else {
			m.Services = candidates
		}
		g.Spans, g.Match = append(g.Spans, span), append(g.Match, m)
	}
	return g
}

func TestTheLatencyOfSpansByHop(t *testing.T) {
	l := &latencies{hop: 5 * time.Second}
	l.open("a")
	l.open("unsure")
	for i := range 100 {
		l.add(ended("a", i%2 == 0, epoch+1, time.Millisecond))
	}
	l.add(ended("a", false, epoch+1, 80*time.Millisecond, 90*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond))
	l.add(ended("a", false, epoch+6*sec, time.Second))
	l.add(ended("other", false, epoch+6*sec, time.Second))
	hops := []evidence.Hop{{Start: epoch / 1e6, Seconds: 5, Abnormal: true}, {Start: (epoch + 5*sec) / 1e6, Seconds: 5}, {Start: (epoch + 10*sec) / 1e6}}
	l.fill("a", hops)
	assert.Equal(t, 106, hops[0].Spans)
	assert.InEpsilon(t, 0.001, hops[0].Median, 0.2)
	assert.InEpsilon(t, 0.1, hops[0].P95, 0.25)
	assert.Equal(t, 1, hops[1].Spans)
	assert.InEpsilon(t, 1, hops[1].Median, 0.2)
	assert.Zero(t, hops[2].Spans)
	unsure := []evidence.Hop{{Start: epoch / 1e6}}
	l.fill("unsure", unsure)
	assert.Zero(t, unsure[0].Spans, "a span that is hardly its own")

	spans := l.examples("a", func(at int64) bool { return at == epoch/1e6 })
	require.Len(t, spans, 2)
	assert.Equal(t, evidence.Span{Trace: spans[1].Trace, ID: spans[1].ID, Name: "GET /", At: spans[1].At, Seconds: 0.1, Abnormal: true}, spans[1], "the slowest")
	assert.False(t, spans[0].Abnormal)
	l.close("a")
	assert.Empty(t, l.examples("a", func(int64) bool { return true }))
}

func TestTheLatencyOfSpansIsBounded(t *testing.T) {
	l := &latencies{hop: 5 * time.Second}
	l.open("a")
	for i := range int64(3 * maxLatencies) {
		l.add(ended("a", false, epoch+5*i*sec, time.Millisecond))
		l.add(ended("a", false, epoch+5*(i-2)*sec, time.Millisecond)) // late
		l.add(ended("a", false, epoch-1000*sec, time.Millisecond))    // far too late
	}
	hops := l.services["a"].hops
	assert.Len(t, hops, maxLatencies)
	for i := 1; i < len(hops); i++ {
		assert.Equal(t, 5*sec, hops[i].start-hops[i-1].start)
	}
}
