package tail

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What slow requests are may change from one to another spell, as of any service; only
// what leaves that is told.
func TestWhatLeavesThePastOfSlowRequests(t *testing.T) {
	const seeds, before, after = 40, 12, 3
	for _, tc := range []struct {
		name        string
		rate        float64 // requests a second
		share, long float64 // of slow ones, and by how much those take longer, afterwards
		often       float64 // by how much the load changes, afterwards
		wobble      float64 // by how much the share is another one in each spell
		want        Change
		least, most int // seeds that tell it
	}{
		{name: "as ever", rate: 20, share: 0.03, long: 1, often: 1, most: 0},
		{name: "as ever, of few", rate: 4, share: 0.03, long: 1, often: 1, most: 0},
		{name: "as ever, now more and now less", rate: 60, share: 0.03, long: 1, often: 1, wobble: 1, most: 1},
		{name: "five times the load", rate: 20, share: 0.03, long: 1, often: 5, most: 0},
		{name: "more of them", rate: 20, share: 0.15, long: 1, often: 1, want: ChangeShare, least: 34, most: seeds},
		{name: "longer ones", rate: 60, share: 0.03, long: 4, often: 1, want: ChangeLength, least: 38, most: seeds},
		{name: "fewer of them", rate: 60, share: 0.005, long: 1, often: 1, most: 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			told := 0
			for seed := range uint64(seeds) {
				rng := rand.New(rand.NewPCG(seed, 11))
				var p past
				for s := range before + after {
					share, long, rate := 0.03, 1.0, tc.rate
					if s >= before {
						share, long, rate = tc.share, tc.long, tc.rate*tc.often
					}
					share *= 1 + tc.wobble*rng.Float64()
					n := int(rate * 30)
					for i := range n {
						took := (2 + rng.ExpFloat64()) * 1e6
						if rng.Float64() < share {
							took = long * (40 + 20*rng.NormFloat64()) * 1e6
						}
						p.add(took, 1000*second+int64(s)*spell+int64(i)*spell/int64(n))
					}
				}
				if what, _ := p.leaves(15e6); what != "" && (tc.want == "" || what == tc.want) {
					told++
				}
			}
			if told < tc.least || told > tc.most {
				t.Errorf("told under %d of %d seeds, want %d to %d", told, seeds, tc.least, tc.most)
			}
		})
	}
}

// A class is a quarter of a doubling.
func TestLengthOf(t *testing.T) {
	for duration := 0.5 * shortest; duration < 1e13; duration *= 1.0007 {
		want := min(lengths-1, max(0, int(lengthsPer*math.Log2(duration/shortest))))
		if got := lengthOf(duration); got != want {
			t.Fatalf("%.3f us are of class %d, want %d", duration/1e3, got, want)
		}
	}
}
