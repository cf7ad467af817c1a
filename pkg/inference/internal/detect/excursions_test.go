package detect

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestACostIsAsRareAsIsAskedFor(t *testing.T) {
	const days = 20000
	for _, perDay := range []float64{1.0 / 30, 0.1, 1, 3} {
		rng := rand.New(rand.NewPCG(1, 2))
		var x Excursions
		reached := 0.0
		for range int(days * peaksPerDay) {
			scale := meanExcess * (1 - shape)
			if peak+scale/shape*(math.Pow(1-rng.Float64(), -shape)-1) > x.Rare(perDay) {
				reached++
			}
		}
		if got := reached / days; got < perDay/1.3 || got > 1.3*perDay {
			t.Errorf("asked for %.3f a day, got %.3f", perDay, got)
		}
	}
}

func TestAServiceThatOftenLeavesItsPastMustShowMore(t *testing.T) {
	var calm, restless, faulty Excursions
	before := calm.Rare(0.1)
	for range 10 {
		calm.Watch(86400)
		restless.Watch(8640)
		restless.Add(0.4, restless.Rare(0.1))
	}
	if calm.Rare(0.1) >= before || restless.Rare(0.1) <= before {
		t.Errorf("%.3f s at first, calm %.3f, restless %.3f", before, calm.Rare(0.1), restless.Rare(0.1))
	}
	faulty.Add(1e4, faulty.Rare(0.1))
	if after := faulty.Rare(0.1); after > 2*before {
		t.Errorf("after one fault of hours the next must cost %.1f s, %.3f s before", after, before)
	}
}
