package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestIntervalHoldsTheMedian draws from a skewed distribution whose median is
// known: the interval must hold it in about nineteen of twenty draws.
func TestIntervalHoldsTheMedian(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const draws = 4000
	for _, n := range []int{8, 18, 60} {
		held := 0
		for range draws {
			values := make([]float64, n)
			for i := range values {
				values[i] = r.ExpFloat64()
			}
			l := newLoss(values)
			if l.Low > l.Mid || l.Mid > l.High {
				t.Fatalf("out of order: %+v", l)
			}
			if l.Low <= math.Ln2 && math.Ln2 <= l.High {
				held++
			}
		}
		if share := float64(held) / draws; share < 0.93 || share > 0.995 {
			t.Errorf("of %d values: holds the median in %.3f of all draws", n, share)
		}
	}
	if l := newLoss(nil); l != (Loss{}) {
		t.Errorf("of nothing: %+v", l)
	}
	if l := newLoss([]float64{3}); l != (Loss{3, 3, 3}) {
		t.Errorf("of one: %+v", l)
	}
}

func TestLostFollowsTheDrift(t *testing.T) {
	// The machine became faster by a tenth meanwhile; the mode cost two percent.
	got := lost(phase{windows: []float64{100, 100}}, phase{windows: []float64{102.9, 102.9}}, phase{windows: []float64{110, 110}})
	for _, l := range got {
		if math.Abs(l-2) > 1e-9 {
			t.Errorf("lost %.3f %%", l)
		}
	}
	mean, pm := meanLoss([]Loss{{1, 0, 2}, {3, 2, 4}})
	if mean != 2 || math.Abs(pm-math.Sqrt(0.5)) > 1e-9 {
		t.Errorf("mean %v ± %v", mean, pm)
	}
}
