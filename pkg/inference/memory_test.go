package inference

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// restart has another analyzer go on, as another process that reads what the first
// wrote. The service's own process began at an instant, zero when that is not known.
func (s *server) restart(instance string, began int64) error {
	data, err := s.analyzer.Memory().Encode()
	if err != nil {
		return err
	}
	m, err := DecodeMemory(data)
	if err != nil {
		return err
	}
	s.analyzer = NewAnalyzer(DefaultConfig(), "amd64")
	s.analyzer.Follow(instance, "server", began)
	if !s.analyzer.Recall(m) {
		return errors.New("the memory does not fit")
	}
	return nil
}

// succeed has an analyzer of another process, which starts now in a role, go on from what
// is known.
func (s *server) succeed(role string) error {
	data, err := s.analyzer.Memory().Encode()
	if err != nil {
		return err
	}
	m, err := DecodeMemory(data)
	if err != nil {
		return err
	}
	s.analyzer, s.found = NewAnalyzer(DefaultConfig(), "amd64"), nil
	s.analyzer.Follow("1", "server", s.now)
	s.analyzer.InRole(role)
	s.analyzer.Recall(m)
	return nil
}

// spinning is steady with a function that takes as much again as all others.
func spinning() load {
	return with(steady(1), func(l *load) {
		l.busy["spin handle loop main"] = 0.2
		l.waits[0].share = 0.7
	})
}

func TestAnAnalyzerThatIsStartedInAFaultTellsItWithinTwoHops(t *testing.T) {
	for _, tc := range []struct {
		name string
		told bool // before
	}{{"that was told", true}, {"that was not", false}} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				s.analyzer.Follow("first", "server", epoch-int64(time.Hour))
				s.run(60, steady(1))
				was := s.analyzer.Memory()
				onset := s.now
				s.run(15, spinning())
				if err := s.told(onset, 20*time.Second, "spin"); err != nil {
					return err
				}
				id := s.found[0].ID
				s.found = nil
				if !tc.told {
					s.analyzer = NewAnalyzer(DefaultConfig(), "amd64")
					s.analyzer.Follow("first", "server", epoch-int64(time.Hour))
					s.analyzer.Recall(was)
				} else if err := s.restart("first", epoch-int64(time.Hour)); err != nil {
					return err
				}
				again := s.now
				s.run(12, spinning())
				if err := s.told(again-5*second, 15*time.Second, "spin"); err != nil {
					return err
				}
				if tc.told && s.found[0].ID != id {
					return fmt.Errorf("told under another ID: %s, was %s", s.found[0].ID, id)
				}
				s.run(20, steady(1))
				if end := s.found[len(s.found)-1]; end.State != StateCleared || end.Ending != EndRecovered {
					return fmt.Errorf("it ends with %s %s", end.State, end.Ending)
				}
				return nil
			})
		})
	}
}

// The code that a service runs in its first seconds is another in each of its starts.
func starting() load {
	return with(steady(1), func(l *load) {
		l.busy["load_cache open main"] = 0.3
		l.waits[0].share = 0.6
	})
}

func TestAServiceThatIsRestartedKeepsItsPast(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.analyzer.Follow("0", "server", s.now)
		for i := range 20 {
			s.run(10, starting())
			s.run(30, steady(1))
			if i == 0 {
				s.run(300, steady(1))
			}
			if err := s.restart(fmt.Sprint(i+1), s.now); err != nil {
				return err
			}
		}
		if err := s.silent(); err != nil {
			return err
		}
		// It is judged from its first hop on, against what its starts are like.
		onset := s.now
		s.run(15, with(starting(), func(l *load) { l.busy["spin handle loop main"] = 0.3; l.waits[0].share = 0.3 }))
		return s.told(onset, 15*time.Second, "spin")
	})
}

// TestAnotherRoleHasItsOwnPast: an instance of the same program that does something else
// is no abnormal one of the first.
func TestAnotherRoleHasItsOwnPast(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.analyzer.Follow("0", "server", s.now)
		s.analyzer.InRole("a")
		s.run(300, steady(1))
		data, err := s.analyzer.Memory().Encode()
		if err != nil {
			return err
		}
		for _, role := range []string{"a", "b"} {
			m, err := DecodeMemory(data)
			if err != nil {
				return err
			}
			s.analyzer, s.found = NewAnalyzer(DefaultConfig(), "amd64"), nil
			s.analyzer.Follow("1", "server", s.now)
			s.analyzer.InRole(role)
			s.analyzer.Recall(m)
			onset := s.now
			s.run(60, spinning())
			if role == "a" {
				if err := s.told(onset, 15*time.Second, "spin"); err != nil {
					return err
				}
				continue
			}
			if err := s.silent(); err != nil {
				return fmt.Errorf("in another role: %w", err)
			}
			// What it does itself is its past now.
			onset = s.now
			s.run(30, with(spinning(), func(l *load) { l.busy["grind handle loop main"] = 0.3; l.waits[0].share = 0.3 }))
			if err := s.told(onset, 15*time.Second, "grind"); err != nil {
				return fmt.Errorf("in another role: %w", err)
			}
		}
		return nil
	})
}

// TestAHopThatIsAlikeProvesNothing: an instance in another role begins like the first, as
// when few requests come yet, and is something else.
func TestAHopThatIsAlikeProvesNothing(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.analyzer.Follow("0", "server", s.now)
		s.analyzer.InRole("a")
		s.run(300, steady(1))
		if err := s.succeed("b"); err != nil {
			return err
		}
		s.run(7, steady(1))
		s.run(60, spinning())
		return s.silent()
	})
}

// night is a night with a backup in it, and the next morning's quiet.
func (s *server) night() {
	s.now += int64(24*time.Hour) - 400*second
	s.now -= s.now % second
	s.run(300, steady(1))
	s.run(40, with(steady(1), func(l *load) {
		l.busy["copy backup worker_main main"] = 0.4
		l.waits[0].share = 0.5
	}))
	s.run(60, steady(1))
}

func raised(found []Anomaly) (list []Anomaly) {
	return slices.DeleteFunc(slices.Clone(found), func(a Anomaly) bool { return a.State != StateRaised })
}

func TestABackupIsToldInTheFirstNightOnly(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(300, steady(1))
		for range 3 {
			s.night()
			if err := s.restart("again", 0); err != nil { // what was told outlives the analyzer
				return err
			}
		}
		if n := len(raised(s.found)); n != 1 {
			return fmt.Errorf("told %d times", n)
		}
		if list := s.analyzer.states.list; len(list) != 1 || list[0].seen != 3 {
			return fmt.Errorf("%d states, the first seen %d times", len(list), list[0].seen)
		}
		// What is dearer than the backup at that hour is told.
		s.now += int64(24*time.Hour) - 400*second
		s.run(300, steady(1))
		onset := s.now
		s.found = nil
		s.run(30, with(steady(1), func(l *load) {
			l.busy["copy backup worker_main main"] = 0.4
			l.busy["spin handle loop main"] = 0.4
			l.waits[0].share = 0.1
		}))
		if err := s.told(onset, 20*time.Second); err != nil {
			return err
		}
		if !slices.Contains(functionsOf(s.found[0].Suspects[:2]), "spin") {
			return fmt.Errorf("the suspects are %v", functionsOf(s.found[0].Suspects))
		}
		return nil
	})
}

func TestAFaultThatComesBackIsToldAgain(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		for range 3 {
			s.run(30, spinning())
			s.run(60, steady(1))
		}
		told := raised(s.found)
		if len(told) != 3 {
			return fmt.Errorf("told %d times, want 3", len(told))
		}
		if last := told[2]; last.Seen != 3 || last.FirstSeen != told[0].Onset {
			return fmt.Errorf("seen %d times since %d, want 3 since %d", last.Seen, last.FirstSeen, told[0].Onset)
		}
		return nil
	})
}

func TestWhatIsExpectedIsNotToldAgain(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		s.run(30, spinning())
		id := raised(s.found)[0].ID
		over, known := s.analyzer.Expect(func(_, other string) bool { return other == id })
		if !known || over == nil || over.State != StateCleared || over.Ending != EndExpected {
			return fmt.Errorf("known %v, over %+v", known, over)
		}
		s.found = nil
		s.run(30, spinning())
		s.run(60, steady(1))
		if err := s.restart("again", 0); err != nil {
			return err
		}
		s.run(30, spinning())
		if err := s.silent(); err != nil {
			return err
		}
		if _, known := s.analyzer.Expect(func(string, string) bool { return false }); known {
			return errors.New("one that never was is known")
		}
		return nil
	})
}

// Of one hop of a state little is known of how far it goes.
func TestWhatIsExpectedAtOnceMayGrow(t *testing.T) {
	spins := func(share float64) load {
		return with(spinning(), func(l *load) { l.busy["spin handle loop main"] = share })
	}
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		for n := 0; len(s.found) == 0 && n < 4; n++ {
			s.run(5, spins(0.12))
		}
		if len(s.found) == 0 {
			return errors.New("not told")
		}
		if _, known := s.analyzer.Expect(func(_, id string) bool { return id == s.found[0].ID }); !known {
			return errors.New("not known")
		}
		s.found = nil
		s.run(60, spins(0.3))
		return s.silent()
	})
}

// A state that is known is left when two hops in a row are not of it.
func TestAKnownStateIsLeftByTwoHops(t *testing.T) {
	other := with(spinning(), func(l *load) { l.busy["other handle loop main"] = 0.4 })
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		s.run(30, spinning())
		if _, known := s.analyzer.Expect(func(_, id string) bool { return id == s.found[0].ID }); !known {
			return errors.New("not known")
		}
		s.found = nil
		s.run(10, spinning())
		s.run(5, other)
		s.run(10, spinning())
		if err := s.silent(); err != nil {
			return err
		}
		s.run(15, other)
		if len(s.found) == 0 || s.found[0].Suspects[0].Function != "other" {
			return fmt.Errorf("what comes beside it is not told: %+v", s.found)
		}
		return nil
	})
}

// longKnown is a server of which all is known that there may be: its past, and a hop of
// each hour of the week.
func longKnown() *server {
	s := newServer(&testing.T{}, 1)
	s.run(330, many(200, 0.6))
	for hour := range int64(week) {
		c := *s.analyzer.habit.hops[hour%60]
		c.Start -= (week - hour) * int64(time.Hour)
		c.End -= (week - hour) * int64(time.Hour)
		s.analyzer.outline.add(sketchOf(&c))
	}
	return s
}

func BenchmarkMemory(b *testing.B) {
	s := longKnown()
	for b.Loop() {
		m := s.analyzer.Memory()
		data, err := m.Encode()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data)), "bytes")
		if _, err := DecodeMemory(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecall is what a service costs when it goes on from what was written: of a
// hundred it is to be below a second.
func BenchmarkRecall(b *testing.B) {
	s := longKnown()
	data, err := s.analyzer.Memory().Encode()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m, err := DecodeMemory(data)
		if err != nil {
			b.Fatal(err)
		}
		a := NewAnalyzer(DefaultConfig(), "amd64")
		a.Follow("another", "server", 0)
		if !a.Recall(m) {
			b.Fatal("it does not fit")
		}
	}
}
