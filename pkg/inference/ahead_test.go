package inference

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// endlessLoop is a server that is busy with one request.
func endlessLoop() load {
	return with(steady(0), func(l *load) {
		l.busy = map[string]float64{"scan find handle loop main": 0.95, "find handle loop main": 0.05}
		l.waits[0].share = 0
	})
}

// bothWays tries a situation under several seeds, of a server that is judged ahead and of
// one that does and sees the same and is not.
func bothWays(t *testing.T, try func(ahead, whole *server) error) {
	t.Helper()
	for seed := range uint64(seeds) {
		ahead, whole := newServer(t, seed), newServer(t, seed)
		ahead.looksAhead = true
		if err := try(ahead, whole); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// What is certain in a part of a hop is told before that is over; in the end all is as if
// only the whole had been judged.
func TestAFaultIsToldBeforeItsHopIsOver(t *testing.T) {
	slower := with(steady(1), func(l *load) { l.busy["scan handle loop main"] = 0.4 })
	for late, fault := range map[int]load{0: endlessLoop(), 4: slower} { // in its first hop
		bothWays(t, func(s, whole *server) error {
			var told [2]int64
			for i, x := range []*server{s, whole} {
				x.run(60+late, steady(1)) // the hops begin at multiples of five seconds
				onset := x.now
				for range 17 - late {
					x.run(1, fault)
					if len(x.found) > 0 && told[i] == 0 {
						told[i] = x.now - onset
					}
				}
				if err := x.told(onset, 10*time.Second, "scan"); err != nil {
					return err
				}
				// What is on spans is of the whole hop: a record has to say the same.
				if x.looksAhead && (len(x.found) < 2 || x.found[1].Repeat) {
					return fmt.Errorf("the whole hop is not told: %+v", x.found)
				}
			}
			if told[0] > told[1]-2*second {
				return fmt.Errorf("told after %v, by whole hops after %v", time.Duration(told[0]), time.Duration(told[1]))
			}
			if a, b := s.analyzer.episode.merged, whole.analyzer.episode.merged; a.Start != b.Start || math.Abs(a.Seconds-b.Seconds) > 1e-6 || math.Abs(a.CPUTotal-b.CPUTotal) > 1 {
				return fmt.Errorf("made of %v s with %v, by whole hops of %v s with %v", a.Seconds, a.CPUTotal, b.Seconds, b.CPUTotal)
			}
			s.run(20, steady(1))
			whole.run(20, steady(1))
			return sameEnd(s.found, whole.found)
		})
	}
}

// sameEnd is an error when anomalies are not raised once, or end otherwise than others.
func sameEnd(found, others []Anomaly) error {
	raised := func(a Anomaly) bool { return a.State == StateRaised }
	if slices.IndexFunc(found, raised) != 0 || slices.ContainsFunc(found[1:], raised) {
		return fmt.Errorf("it is not raised once: %+v", found)
	}
	a, b := found[len(found)-1], others[len(others)-1]
	if a.State != StateCleared || a.ID != b.ID || a.Onset != b.Onset || a.Cleared != b.Cleared || math.Abs(a.Lost-b.Lost) > 1e-6*b.Lost {
		return fmt.Errorf("over is %+v, by whole hops %+v", a, b)
	}
	if !slices.Equal(functionsOf(a.Suspects), functionsOf(b.Suspects)) {
		return fmt.Errorf("suspects %v, by whole hops %v", functionsOf(a.Suspects), functionsOf(b.Suspects))
	}
	return nil
}

// A stall that is over when half of a hop is leaves no trace, and a healthy service is
// learned as without.
func TestToLookAheadChangesNothingElse(t *testing.T) {
	bothWays(t, func(s, whole *server) error {
		for _, x := range []*server{s, whole} {
			x.run(60, steady(1))
			x.run(1, endlessLoop())
			x.run(59, steady(1))
		}
		if err := s.silent(); err != nil {
			return err
		}
		if a, b := s.analyzer.Stats(), whole.analyzer.Stats(); a.HopsJudged != b.HopsJudged || a.Hops != b.Hops || s.analyzer.excursions != whole.analyzer.excursions {
			return fmt.Errorf("%+v, without %+v", a, b)
		}
		return nil
	})
}

// Who says at once that what is told ahead was expected does not hear of it again.
func TestWhatIsToldAheadMayBeExpected(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.looksAhead = true
		s.run(60, steady(1))
		for n := 0; len(s.found) == 0 && n < 10; n++ {
			s.run(1, spinning())
		}
		if len(s.found) != 1 || s.found[0].End%int64(DefaultConfig().Hop) == 0 && s.analyzer.episode.partial == nil {
			return fmt.Errorf("not told ahead: %+v", s.found)
		}
		if over, known := s.analyzer.Expect(func(_, id string) bool { return id == s.found[0].ID }); !known || over == nil {
			return fmt.Errorf("known %v, over %+v", known, over)
		}
		s.run(30, spinning())
		s.run(60, steady(1))
		s.run(30, spinning())
		if len(s.found) > 1 {
			return fmt.Errorf("told again: %+v", s.found[1:])
		}
		return nil
	})
}
