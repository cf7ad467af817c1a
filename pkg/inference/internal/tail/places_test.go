package tail

import (
	"math/rand/v2"
	"testing"
)

// What is found by its stack is what a map would have, also after places were dropped.
func TestPlacesAreFoundAsByAMap(t *testing.T) {
	var p places
	rng := rand.New(rand.NewPCG(1, 0))
	want := map[place]float64{}
	for round := range 50 {
		for range 200 {
			at := place{uint32(rng.IntN(40)), int32(rng.IntN(4)) - 1, rng.IntN(2) == 0}
			time := float64(rng.IntN(4)) * faded
			i := p.find(at)
			p.of[i].add(rng.IntN(3), 1, 0) // some have more classes than others
			p.of[i].add(0, 1, time)
			want[at] += time
		}
		if round%5 == 4 {
			p.fade(0.25)
			for at, time := range want {
				if want[at] = time * 0.25; want[at] < faded {
					delete(want, at)
				}
			}
		}
		if len(p.list) != len(want) {
			t.Fatalf("round %d: %d places, not %d", round, len(p.list), len(want))
		}
		for at, time := range want {
			i := p.find(at)
			if got, _ := p.of[i].at(0); got != time {
				t.Fatalf("round %d: %v has %v, not %v", round, at, got, time)
			}
		}
	}
	for i := range uint32(2 * maxPlaces) {
		p.find(place{stack: 100 + i})
	}
	if len(p.list) != maxPlaces || p.find(place{stack: 1 << 20}) >= 0 {
		t.Errorf("%d places", len(p.list))
	}
}
