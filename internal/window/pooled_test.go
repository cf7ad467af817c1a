package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// quiet is a service that uses little of a CPU, in functions of different
// sizes, and never twice the same.
func quiet(rng *rand.Rand, share float64) load {
	const n = 12
	l := normal(1)
	l.waits = l.waits[:1]
	l.busy = map[string]float64{}
	for i := range n {
		usual := share / n * 2 * float64(i+1) / (n + 1)
		l.busy[fmt.Sprintf("step%d handle loop main", i)] = usual * math.Exp(0.4*rng.NormFloat64()-0.08)
	}
	l.waits[0].share = 1 - sum(l.busy)
	return l
}

// A third more CPU is seven samples in a hop, which chance may bring, too.
func TestFewSamplesAddUp(t *testing.T) {
	const runs = 10
	found := 0
	for seed := range uint64(runs) {
		s := newServer(t)
		s.rng = rand.New(rand.NewPCG(seed, 5))
		for range 45 {
			s.run(1, quiet(s.rng, 0.08))
		}
		onset := s.now
		for range 30 {
			l := quiet(s.rng, 0.08)
			l.busy["step5 handle loop main"] += 0.03
			s.run(1, l)
		}
		if len(s.found) > 0 && s.found[0].End-onset <= 25*second && s.found[0].Suspects[0].Function == "step5" {
			found++
		}
	}
	if found < 8*runs/10 {
		t.Errorf("step5 was found in %d of %d runs", found, runs)
	}
}

// TestLittleIsNotWorthTelling: what costs less than a fiftieth of a CPU is not
// told, however long it lasts.
func TestLittleIsNotWorthTelling(t *testing.T) {
	for seed := range uint64(8) {
		s := newServer(t)
		s.rng = rand.New(rand.NewPCG(seed, 5))
		for i := range 120 {
			l := quiet(s.rng, 0.05)
			if i >= 60 {
				l.busy["step5 handle loop main"] += 0.016
			}
			s.run(1, l)
		}
		for _, a := range s.found {
			t.Errorf("seed %d, after %d s: score %.2f, %s", seed, (a.End-epoch)/second, a.Score, a.Summary)
		}
	}
}

func TestChanceIsNotTold(t *testing.T) {
	for _, share := range []float64{0.03, 0.08, 0.3} {
		for seed := range uint64(8) {
			s := newServer(t)
			s.rng = rand.New(rand.NewPCG(seed, 3))
			for range 200 {
				s.run(1, quiet(s.rng, share))
			}
			for _, a := range s.found {
				t.Errorf("share %v, seed %d, after %d s: score %.2f, %s", share, seed, (a.End-epoch)/second, a.Score, a.Summary)
			}
		}
	}
}

// Once the departure is over, so is its episode.
func TestPooledEpisodeEnds(t *testing.T) {
	s := newServer(t)
	s.rng = rand.New(rand.NewPCG(2, 5))
	live := func(seconds int, more float64) {
		for range seconds {
			l := quiet(s.rng, 0.08)
			l.busy["step5 handle loop main"] += more
			s.run(1, l)
		}
	}
	live(60, 0)
	live(40, 0.03)
	over := s.now
	live(60, 0)
	if len(s.found) == 0 {
		t.Fatal("nothing is told")
	}
	for _, a := range s.found {
		if a.ID != s.found[0].ID || a.End > over+3*5*second {
			t.Errorf("episode %s is told %d s after the end", a.ID, (a.End-over)/second)
		}
	}
	if s.service.episode != nil {
		t.Error("the episode never ends")
	}
}
