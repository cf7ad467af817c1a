package baseline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

const grain = 1e9 / 49 / 5

// vector is a hop of one cell.
func vector(time, load float64) *Vector {
	return vectorOf(&hop.Closed{}, load, map[int32]float64{0: time})
}

// vectorOf is a hop of some cells.
func vectorOf(c *hop.Closed, load float64, times map[int32]float64) *Vector {
	var s sums
	for id, time := range times {
		s.begin(int(id) + 1)
		s.add(id, time)
	}
	v := s.vector()
	v.Hop, v.Load = c, load
	return v
}

// draw is a count of grains with a mean and a dispersion.
func draw(rng *rand.Rand, mean, dispersion float64) float64 {
	if n := int(math.Round(1 / max(dispersion, 1e-9))); dispersion > 0 {
		// Gamma of a whole shape is a sum of exponentials.
		g := 0.0
		for range n {
			g += rng.ExpFloat64()
		}
		mean *= g / float64(n)
	}
	k := 0.0
	for at := rng.ExpFloat64(); at < mean; at += rng.ExpFloat64() {
		k++
	}
	return k * grain
}

func figures(p *Past, ids int32) (all []float64) {
	for id := range ids {
		all = append(all, p.Mean(id), p.PerLoad(id), p.Reached(id), p.Dispersion(id, grain))
		for _, load := range []float64{0.3, 1, 3} {
			all = append(all, p.Expected(id, load), p.AtMost(id, load))
		}
	}
	return all
}

func TestWhatIsForgottenWasNeverLearned(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var hops []*Vector
		for range 30 {
			times := map[int32]float64{}
			for id := range int32(40) {
				if rng.IntN(3) > 0 {
					times[id] = float64(rng.IntN(1e6))
				}
			}
			c := &hop.Closed{CallSeconds: 5, Measures: []float64{1, 2, 3, 4, 5}, Calls: map[unit.Key]hop.Totals{{}: {N: 3, Time: 7}}}
			hops = append(hops, vectorOf(c, 0.25*float64(1+rng.IntN(8)), times))
		}
		p := NewPast(hops)
		for range 12 {
			p.Forget()
		}
		want := NewPast(hops[12:])
		if got := figures(p, 50); !reflect.DeepEqual(got, figures(want, 50)) {
			t.Fatalf("seed %d: %v, want %v", seed, got, figures(want, 50))
		}
		if !reflect.DeepEqual(p.CallMean(), want.CallMean()) || p.UsualLength(0) != want.UsualLength(0) || p.Len() != want.Len() {
			t.Errorf("seed %d: the calls differ", seed)
		}
	}
}

// A past that is made of another one is as if it was made of its hops alone, also when
// some of them are seen in another way now.
func TestAPastOfAnotherIsAsOne(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 2))
		p, hops := NewPast(nil), []*Vector{}
		for step := range 200 {
			times := map[int32]float64{}
			for id := range int32(40) {
				if rng.IntN(8) == 0 {
					times[id] = float64(rng.IntN(1e6))
				}
			}
			c := &hop.Closed{CallSeconds: float64(rng.IntN(2) * 5), Measures: []float64{1, 2, 3, 4, 5}}
			hops = append(hops, vectorOf(c, 0.25*float64(1+rng.IntN(8)), times))
			hops = hops[max(0, len(hops)-30):]
			window := make([]*Vector, len(hops))
			for i, h := range hops {
				if step%7 == 0 && i == len(hops)/2 {
					times := map[int32]float64{}
					for e := range h.Entries() {
						if e.ID >= 20 {
							times[e.ID] = e.Time
						}
					}
					hops[i] = vectorOf(h.Hop, h.Load, times)
				}
				window[i] = hops[i].Learned()
			}
			p = p.With(window)
			if got, want := figures(p, 50), figures(NewPast(window), 50); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %v, want %v", seed, step, got, want)
			}
		}
	}
}

func TestNoPastExpectsNothing(t *testing.T) {
	p := NewPast(nil)
	for _, x := range figures(p, 2) {
		if x != 0 {
			t.Fatalf("%v", figures(p, 2))
		}
	}
}

func TestTheDispersionIsThatOfTheCounts(t *testing.T) {
	for _, dispersion := range []float64{0, 0.05, 0.25, 1} {
		for _, mean := range []float64{4, 30} {
			t.Run(fmt.Sprint(dispersion, mean), func(t *testing.T) {
				const runs = 40
				sum := 0.0
				for seed := range uint64(runs) {
					rng := rand.New(rand.NewPCG(seed, 2))
					p := &Past{}
					for range 60 {
						load := 0.5 + rng.Float64()
						p.Add(vector(draw(rng, mean*load, dispersion), load))
					}
					sum += p.Dispersion(0, grain)
				}
				// Without the oddest hop it is up to a third less.
				if got := sum / runs; got < dispersion/1.5-0.03 || got > 1.1*dispersion+0.03 {
					t.Errorf("dispersion %.3f, want %v", got, dispersion)
				}
			})
		}
	}
}

func TestOneHopInTenIsBeyondWhatIsExpected(t *testing.T) {
	for _, load := range []float64{1, 3} {
		beyond, above, n := 0, 0, 0
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 3))
			p := &Past{}
			for range 60 {
				p.Add(vector(draw(rng, 20, 0.05), 1))
			}
			for range 50 {
				now := draw(rng, 20*load, 0.05)
				n++
				if now > p.Expected(0, load) {
					beyond++
				}
				if now > p.AtMost(0, load) {
					above++
				}
			}
		}
		// With more load than ever the mean is all that is expected of a cell.
		limit := map[float64]float64{1: 0.15, 3: 0.6}[load]
		if got := float64(beyond) / float64(n); got > limit {
			t.Errorf("at load %v %.0f %% are beyond what is expected", load, 100*got)
		}
		if got := float64(above) / float64(n); got > 0.15 {
			t.Errorf("at load %v %.0f %% are above what the whole reaches at most", load, 100*got)
		}
	}
}

func TestTheWholeOfAServiceFallsWithTheLoadAndACellDoesNot(t *testing.T) {
	p := &Past{}
	for i, time := range []float64{1, 1.1, 0.9, 2, 1, 1.05} {
		p.Add(vector(time*1e9, []float64{1, 1, 1, 2, 1, 1}[i]))
	}
	if e := p.Expected(0, 3) / 1e9; e < 2.9 || e > 4 {
		t.Errorf("three times the load lets expect %v", e)
	}
	if e := p.Expected(0, 0.1) / 1e9; e < 1 || e > 2 {
		t.Errorf("less load lets expect %v of a cell", e)
	}
	if p.AtMost(0, 0.25) >= p.Expected(0, 0.25) {
		t.Error("the whole of a service does not fall with the load")
	}
}

func TestOneHiccupDoesNotHideWhatComes(t *testing.T) {
	p := &Past{}
	for i := range 30 {
		time := 0.1e9
		if i == 7 {
			time = 4e9
		}
		p.Add(vector(time, 1))
	}
	if got := p.AtMost(0, 1); got > 0.5e9 {
		t.Errorf("after one hop of 4 s a second, %v is usual", got/1e9)
	}
	if got := p.Reached(0); got != 0.1e9 {
		t.Errorf("after one hop of 4 s a second, %v is reached", got/1e9)
	}
}

// What a cell reached is the one of its times that has the rank.
func TestReachedIsThatOfSortedTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		p, times := NewPast(nil), map[int32][]float64{}
		for range rng.IntN(90) {
			now := map[int32]float64{}
			for id := range int32(20) {
				if rng.IntN(20) < int(id) {
					at := float64(rng.IntN(1 + rng.IntN(50))) // many are equal
					now[id] = at
					times[id] = append(times[id], at)
				}
			}
			p.Add(vectorOf(&hop.Closed{}, 1, now))
		}
		rank := max(criteria.Repeated, (p.Len()+9)/10)
		for id := range int32(25) {
			want, list := 0.0, slices.Sorted(slices.Values(times[id]))
			if len(list) >= rank {
				want = list[len(list)-rank]
			}
			if got := p.Reached(id); got != want {
				t.Fatalf("cell %d of %d hops reached %v, not %v: %v", id, p.Len(), got, want, list)
			}
		}
	}
}
