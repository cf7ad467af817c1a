package inference

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// alsoBusy is steady with other functions beside it, by their shares of a CPU.
func alsoBusy(rate float64, shares map[string]float64) load {
	return with(steady(rate), func(l *load) {
		all := 0.1 * rate
		for function, share := range shares {
			l.busy[function+" handle loop main"] = share
			all += share
		}
		l.waits[0].share = max(0, 1-all)
	})
}

// expecting lives a past and then something that is told, and says that it was expected.
func (s *server) expecting(l load) error {
	s.run(60, steady(1))
	s.run(60, l)
	return s.expectTold()
}

// expectTold says of what was told first that it was expected.
func (s *server) expectTold() error {
	told := raised(s.found)
	if len(told) == 0 {
		return errors.New("not told")
	}
	if _, known := s.analyzer.Expect(func(_, id string) bool { return id == told[0].ID }); !known {
		return errors.New("not known")
	}
	s.found = nil
	return nil
}

// A state that is expected excuses what it had: the same function, no more of it.
func TestAKnownStateExcusesWhatItHad(t *testing.T) {
	spin := map[string]float64{"spin": 0.2}
	for _, tc := range []struct {
		name   string
		then   load
		within time.Duration // zero is never
		first  string
	}{
		{name: "the same", then: alsoBusy(1, spin)},
		{name: "a sixth more", then: alsoBusy(1, map[string]float64{"spin": 0.2 * 7 / 6})},
		{name: "with twice the load", then: alsoBusy(2, spin)},
		{name: "with next to no load", then: alsoBusy(0.01, spin)},
		{name: "three times as much", then: alsoBusy(1, map[string]float64{"spin": 0.6}), within: 30 * time.Second, first: "spin"},
		{name: "four times as much", then: alsoBusy(1, map[string]float64{"spin": 0.8}), within: 20 * time.Second, first: "spin"},
		{name: "another function beside it", then: alsoBusy(1, map[string]float64{"spin": 0.2, "grind": 0.15}), within: 20 * time.Second, first: "grind"},
		{name: "a usual function beside it", then: alsoBusy(1, map[string]float64{"spin": 0.2, "reply": 0.25}), within: 20 * time.Second, first: "reply"},
		{name: "another function in its place", then: alsoBusy(1, map[string]float64{"grind": 0.15}), within: 15 * time.Second, first: "grind"},
	} {
		for _, before := range []struct {
			name string
			load load
		}{{"from the state", alsoBusy(1, spin)}, {"from the past", steady(1)}} {
			t.Run(tc.name+" "+before.name, func(t *testing.T) {
				overSeeds(t, seeds, func(s *server) error {
					if err := s.expecting(alsoBusy(1, spin)); err != nil {
						return err
					}
					s.run(30, before.load)
					if err := s.silent(); err != nil {
						return err
					}
					onset := s.now
					s.run(60, tc.then)
					if tc.within == 0 {
						return s.silent()
					}
					return s.told(onset, tc.within, tc.first)
				})
			})
		}
	}
}

// TestWhatComesBesideAKnownStateHasALifeOfItsOwn: it is over when the state is left alone,
// and the state does not become what was told beside it.
func TestWhatComesBesideAKnownStateHasALifeOfItsOwn(t *testing.T) {
	state, both := alsoBusy(1, map[string]float64{"spin": 0.3}), alsoBusy(1, map[string]float64{"spin": 0.3, "grind": 0.3})
	overSeeds(t, seeds, func(s *server) error {
		if err := s.expecting(state); err != nil {
			return err
		}
		s.run(20, state)
		for range 2 {
			onset := s.now
			s.found = nil
			s.run(30, both)
			if err := s.told(onset, 20*time.Second, "grind"); err != nil {
				return err
			}
			if a := s.found[0]; a.Onset < onset-5*second {
				return fmt.Errorf("it began %d s before", (onset-a.Onset)/second)
			}
			s.run(30, state)
			if a := s.found[len(s.found)-1]; a.State != StateCleared || a.Ending != EndRecovered {
				return fmt.Errorf("it ends with %s %s", a.State, a.Ending)
			}
			s.found = nil
			s.run(30, state)
			if err := s.silent(); err != nil {
				return fmt.Errorf("in the state alone: %w", err)
			}
		}
		// Nothing of the state was learned.
		s.run(60, steady(1))
		if err := s.silent(); err != nil {
			return err
		}
		for _, st := range s.analyzer.states.list {
			st.expected = false
		}
		onset := s.now
		s.run(30, state)
		return s.told(onset, 15*time.Second, "spin")
	})
}

// What a state explains in part is no reason to take the service to be in it.
func TestAServiceIsInAStateIfMostOfThatIsThere(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		if err := s.expecting(alsoBusy(1, map[string]float64{"spin": 0.4, "grind": 0.1})); err != nil {
			return err
		}
		s.run(30, steady(1))
		onset := s.now
		s.run(30, alsoBusy(1, map[string]float64{"grind": 0.5}))
		if err := s.told(onset, 15*time.Second, "grind"); err != nil {
			return err
		}
		if s.analyzer.episode.normal.beside != nil {
			return errors.New("it is told as one beside the state")
		}
		return nil
	})
}

// Only what an expected state was like is expected of a part of a hop, too.
func TestWhatComesBesideAKnownStateIsToldAhead(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		if err := s.expecting(alsoBusy(1, map[string]float64{"spin": 0.3})); err != nil {
			return err
		}
		s.looksAhead = true
		s.run(30, alsoBusy(1, map[string]float64{"spin": 0.3}))
		s.run(30, steady(1))
		s.run(30, alsoBusy(1, map[string]float64{"spin": 0.3}))
		if err := s.silent(); err != nil {
			return err
		}
		onset := s.now
		s.run(30, alsoBusy(1, map[string]float64{"spin": 0.3, "grind": 0.4}))
		return s.told(onset, 15*time.Second, "grind")
	})
}

// What is in doubt beside a state is no part of the past.
func TestNothingIsLearnedBesideAKnownState(t *testing.T) {
	state := map[string]float64{"spin": 0.3}
	overSeeds(t, seeds, func(s *server) error {
		if err := s.expecting(alsoBusy(1, state)); err != nil {
			return err
		}
		beside := 0
		for _, more := range []float64{0.04, 0.06, 0.08} {
			s.run(20, alsoBusy(1, state))
			for range 15 {
				s.run(1, alsoBusy(1, map[string]float64{"spin": 0.3, "grind": more}))
				if e := s.analyzer.episode; e != nil && e.normal.beside != nil && e.reported == 0 {
					beside++
				}
			}
		}
		// Nor is what was in doubt before something else began.
		for range 3 {
			s.run(15, alsoBusy(1, map[string]float64{"spin": 0.3, "reply": 0.13}))
			s.run(15, alsoBusy(1, map[string]float64{"spin": 0.3, "grind": 0.5}))
			s.run(20, alsoBusy(1, state))
		}
		if beside == 0 {
			return errors.New("none was in doubt beside it")
		}
		for _, c := range s.analyzer.habit.hops {
			if c.CPUTotal > 0.25e9 {
				return fmt.Errorf("a hop with %.2f CPUs was learned", c.CPUTotal/1e9)
			}
		}
		return nil
	})
}

// adoptStates has another analyzer go on, which knows the states and has no past.
func (s *server) adoptStates() {
	m := s.analyzer.Memory()
	s.analyzer = NewAnalyzer(DefaultConfig(), "amd64")
	s.analyzer.Adopt(m)
}

// What a service has done for long meanwhile is neither of the state nor told in it.
func TestAKnownStateIsKnownBesideANewHabit(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		if err := s.expecting(alsoBusy(1, map[string]float64{"spin": 0.3})); err != nil {
			return err
		}
		s.adoptStates()
		s.run(60, alsoBusy(1, map[string]float64{"digest": 0.3}))
		s.run(90, alsoBusy(1, map[string]float64{"digest": 0.3, "spin": 0.3}))
		if err := s.silent(); err != nil {
			return err
		}
		onset := s.now
		s.run(30, alsoBusy(1, map[string]float64{"digest": 0.3, "spin": 0.3, "grind": 0.3}))
		return s.told(onset, 20*time.Second, "grind")
	})
}

// Of a state of one hop nothing is known but what it cost at its load.
func TestAStateOfOneHopCostsAsMuchWithoutLoad(t *testing.T) {
	spin := map[string]float64{"spin": 0.3}
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		for n := 0; len(s.found) == 0 && n < 4; n++ {
			s.run(5, alsoBusy(1, spin))
		}
		if _, known := s.analyzer.Expect(func(string, string) bool { return true }); !known {
			return errors.New("not known")
		}
		s.found = nil
		s.run(30, steady(1))
		s.run(40, alsoBusy(0.01, spin))
		return s.silent()
	})
}

// TestWhatTheMachineLacksIsHeldAgainstBoth: what it lacks in an expected state, or has lacked
// for long when that comes, is not told.
func TestWhatTheMachineLacksIsHeldAgainstBoth(t *testing.T) {
	spin := alsoBusy(1, map[string]float64{"spin": 0.3})
	quiet := surroundings{}
	crowded := surroundings{
		delay: 600 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
		users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
	}
	for _, tc := range []struct {
		name          string
		state, before surroundings
	}{
		{"in the state", crowded, quiet},
		{"in the past", quiet, crowded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				in := func(m surroundings, l load) phase { return phase{load: l, extra: m.add} }
				s.live(60, in(quiet, steady(1)))
				s.live(60, in(tc.state, spin))
				if err := s.expectTold(); err != nil {
					return err
				}
				s.adoptStates()
				s.live(60, in(tc.before, steady(1)))
				s.live(40, in(crowded, spin))
				return s.silent()
			})
		})
	}
}
