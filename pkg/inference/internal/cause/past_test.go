package cause

import (
	"slices"
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
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

// The kernel sums up how long threads were in line for a CPU: what is found of it does not
// depend on how often they are looked at.
func TestDelaysAreNotLookedAt(t *testing.T) {
	busy := hop.Resource{Measure: threadtrace.MeasureHostBusy}
	at := func(delay, others, period float64) *hop.Closed {
		return &hop.Closed{RunDelay: delay, SnapshotPeriod: period, Machine: hop.Machine{Seconds: 5, Figures: map[hop.Resource]float64{busy: others}}}
	}
	found := func(period float64) Cause {
		f := finder{Case: &Case{Hop: at(300e6, 2e9, period), Past: NewPast(slices.Repeat([]*hop.Closed{at(10e6, 1e8, period)}, 12)), Work: 1}}
		f.past = f.Past.hops
		if f.delayed(); len(f.found) != 1 || f.found[0].Kind != CPUContention {
			t.Fatalf("found %+v", f.found)
		}
		return f.found[0]
	}
	if seldom, often := found(200e6), found(4e6); seldom.Evidence != often.Evidence || often.Evidence < 10 {
		t.Errorf("evidence of %g looked at seldom, %g looked at often", seldom.Evidence, often.Evidence)
	}
}
