package slowdown

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/correlate"
)

func TestLeastLost(t *testing.T) {
	for name, c := range map[string]struct {
		times []int64
		want  int64
	}{
		"all lost as much":     {[]int64{15, 15, 15, 15}, 15},
		"a few lost it all":    {[]int64{1, 4, 5, 6, 6, 7, 900}, 900},
		"none lost any":        {[]int64{1, 2, 3}, 0},
		"a little and a lot":   {[]int64{5, 6, 100, 100}, 100},
		"half of it each":      {[]int64{55, 55}, 55},
		"nothing was measured": {nil, 0},
	} {
		if got := leastLost(c.times, 5); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// TestOfTwoWays is a kind of span with a short and a long way, some of which an anomaly
// makes wait: the long ones that did not wait are no slow ones.
func TestOfTwoWays(t *testing.T) {
	const ms, times = int64(time.Millisecond), 20
	for name, c := range map[string]struct{ part, precision float64 }{
		"one in eight waits": {0.125, 0.8}, "one in four": {0.25, 0.95}, "half of them": {0.5, 0.95}, "nearly all": {0.95, 0.95},
	} {
		t.Run(name, func(t *testing.T) {
			right, told, waited := 0, 0, 0
			for seed := range uint64(times) {
				r := rand.New(rand.NewPCG(seed, 1))
				healthy := func() int64 {
					if r.Float64() < 0.2 {
						return 4*ms + r.Int64N(5*ms)
					}
					return 2*ms + r.Int64N(2*ms)
				}
				d, now := New[int](), int64(0)
				for range 300 {
					now += int64(time.Second)
					d.Sift(&Spans[int]{Kinds: []string{"GET"}, Spans: []correlate.Span{{Start: now - healthy(), End: now}}})
				}
				waits := map[int]bool{}
				spans := &Spans[int]{}
				for i := range 600 {
					took := healthy()
					if waits[i] = r.Float64() < c.part; waits[i] {
						took += 20*ms + r.Int64N(130*ms)
						waited++
					}
					spans.Kinds, spans.Spans = append(spans.Kinds, "GET"), append(spans.Spans, correlate.Span{Start: now - took, End: now})
					spans.Matches = append(spans.Matches, correlate.Match[int]{Span: i})
				}
				d.Count(spans)
				for _, m := range d.Sift(spans) {
					if told++; waits[m.Span] {
						right++
					}
				}
			}
			if precision, recall := float64(right)/float64(told), float64(right)/float64(waited); precision < c.precision || recall < 0.95 {
				t.Errorf("precision %.3f, recall %.3f of %d that waited", precision, recall, waited)
			}
		})
	}
}
