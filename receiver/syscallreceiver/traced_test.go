package syscallreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestCoverageIsCutAtTheEdges(t *testing.T) {
	const s = int64(time.Second)
	type piece struct {
		from, to int64
		on       bool
	}
	for name, tt := range map[string]struct {
		was   bool
		edges []int64
		want  []piece
	}{
		"never":                     {false, nil, []piece{{10, 20, false}}},
		"always":                    {true, nil, []piece{{10, 20, true}}},
		"a burst":                   {false, []int64{12, 15}, []piece{{10, 12, false}, {12, 15, true}, {15, 20, false}}},
		"the end of one":            {true, []int64{13}, []piece{{10, 13, true}, {13, 20, false}}},
		"two":                       {false, []int64{11, 12, 18, 19}, []piece{{10, 11, false}, {11, 12, true}, {12, 18, false}, {18, 19, true}, {19, 20, false}}},
		"before the process was":    {false, []int64{5, 8, 12}, []piece{{10, 12, false}, {12, 20, true}}},
		"an edge at the start":      {false, []int64{10}, []piece{{10, 20, true}}},
		"an edge beyond the flush":  {false, []int64{12, 20}, []piece{{10, 12, false}, {12, 20, true}}},
		"one beyond, still tracing": {true, []int64{21}, []piece{{10, 20, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			tr := traced{was: tt.was, is: tt.was}
			on := tt.was
			for _, at := range tt.edges {
				on = !on
				tr.edge(on, at*s)
				tr.edge(on, at*s+1) // said twice
			}
			var got []piece
			var used usage
			for _, c := range tr.cover(10*s, 20*s, usage{time.Second, time.Minute}) {
				got = append(got, piece{c.Start / s, c.End / s, c.Traced > 0})
				if c.Traced > 0 {
					assert.Equal(t, c.End-c.Start, int64(c.Traced))
				}
				used.cpu += c.CPUTime
				used.delay += c.RunDelay
			}
			assert.Equal(t, tt.want, got)
			assert.InDelta(t, time.Second, used.cpu, 10)
			assert.InDelta(t, time.Minute, used.delay, 10)
			tr.forget()
			next := tr.cover(20*s, 21*s, usage{})
			require.Len(t, next, 1)
			assert.Equal(t, on, next[0].Traced > 0)
		})
	}
	var tr traced
	assert.Len(t, tr.cover(5, 5, usage{}), 1, "a flush of no length has a record, too")
}

// TestCutCalls: what was entered before the tracing, or before the process was
// followed, is known from then on.
func TestCutCalls(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.targets[100].since = epoch + 100
	for _, tt := range []struct{ at, took, wantAt, wantTook int64 }{
		{50, 100, 100, 50}, // attached before it was followed
		{120, 30, 120, 30}, // after
		{20, 30, 50, 0},    // returned before it was followed
	} {
		e := threadtrace.Event{Time: epoch + tt.at, Duration: tt.took}
		b.targets[100].cut(&e)
		assert.True(t, e.Cut)
		assert.Equal(t, tt.wantAt, e.Time-epoch)
		assert.Equal(t, tt.wantTook, e.Duration)
	}
}
