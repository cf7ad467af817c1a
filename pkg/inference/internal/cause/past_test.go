package cause

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// A figure of the past is summed up once, and the present one is that of the hop at hand.
func TestThePastOfAnAspectIsSummedUpOnce(t *testing.T) {
	hops := []*hop.Closed{{RunDelay: 1, Machine: hop.Machine{Seconds: 5}}, {RunDelay: 4, Machine: hop.Machine{Seconds: 5}}}
	past, asked := NewPast(hops), 0
	delay := func(h *hop.Closed) float64 {
		if h.Machine.Seconds > 0 {
			asked++
		}
		return h.RunDelay
	}
	for _, now := range []float64{2, 3} {
		f := finder{Case: &Case{Hop: &hop.Closed{RunDelay: now}, Past: past}, past: past.hops}
		if got, want := f.aspect(delays, delay), f.of(func(h *hop.Closed) float64 { return h.RunDelay }); got != want || got.now != now {
			t.Errorf("%+v, not %+v", got, want)
		}
	}
	if asked != len(hops) {
		t.Errorf("asked %d times of %d hops", asked, len(hops))
	}
}
