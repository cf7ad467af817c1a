package inference

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// importing is what the service does in the night of each Sunday.
func importing() load {
	return with(steady(1), func(l *load) {
		l.busy["transform import worker_main main"] = 0.4
		l.waits[0].share = 0.5
	})
}

// goTo is the next time at an hour of a day of the week, some days on.
func (s *server) goTo(day time.Weekday, hour int) {
	at := time.Unix(0, s.now).UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	for at.Weekday() != day {
		at = at.Add(24 * time.Hour)
	}
	s.now = at.Add(time.Duration(hour) * time.Hour).UnixNano()
}

// window is for how many seconds the past reaches back.
const window = 300

func TestWhatAServiceDoesEachSundayIsKnown(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.goTo(time.Sunday, 2)
		s.run(100, importing()) // it is all that is known
		s.run(window+60, steady(1))
		if err := s.restart("again", 0); err != nil { // the outline outlives the analyzer
			return err
		}
		s.goTo(time.Sunday, 2)
		s.run(60, steady(1))
		s.run(160, importing())
		if s.analyzer.episode != nil {
			return errors.New("after two minutes it is not learned")
		}
		s.run(60, steady(1))
		if err := s.silent(); err != nil {
			return fmt.Errorf("the next Sunday: %w", err)
		}
		s.run(window, steady(1))
		// At another hour it is no habit.
		s.goTo(time.Wednesday, 14)
		s.run(60, steady(1))
		onset := s.now
		s.run(30, importing())
		if err := s.told(onset, 20*time.Second, "transform"); err != nil {
			return fmt.Errorf("on Wednesday: %w", err)
		}
		// Nor is a fault at its hour.
		s.run(60, steady(1))
		s.found = nil
		s.goTo(time.Sunday, 2)
		s.run(60, steady(1))
		onset = s.now
		s.run(30, with(importing(), func(l *load) { l.busy["spin handle loop main"] = 0.3; l.waits[0].share = 0.2 }))
		if err := s.told(onset, 20*time.Second); err != nil {
			return fmt.Errorf("beside the import: %w", err)
		}
		if i := slices.Index(functionsOf(s.found[0].Suspects), "spin"); i < 0 || i > 3 {
			return fmt.Errorf("beside the import: suspects %v", functionsOf(s.found[0].Suspects))
		}
		return nil
	})
}

// What was learned an hour ago says nothing: a fault comes back.
func TestWhatWasLearnedOnThatDayIsToldWhenItComesBack(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.goTo(time.Monday, 9)
		s.run(100, spinning())
		s.run(window+60, steady(1))
		s.goTo(time.Monday, 9)
		s.now -= 7*24*int64(time.Hour) - int64(50*time.Minute)
		onset := s.now
		s.run(30, spinning())
		return s.told(onset, 20*time.Second, "spin")
	})
}

// The end of a month has three times the requests, and what only then has work.
func TestTheLoadOfTheMonthsEndIsKnown(t *testing.T) {
	ledger := func(times float64) load {
		return with(steady(times), func(l *load) { l.busy["close_books handle loop main"] = 0.35 })
	}
	overSeeds(t, seeds, func(s *server) error {
		s.goTo(time.Friday, 15)
		s.run(100, ledger(3)) // it is all that is known
		s.run(window+60, steady(1))
		for range 4 {
			s.goTo(time.Monday, 9)
		}
		s.run(60, steady(1))
		s.run(60, ledger(3))
		s.run(30, steady(1))
		if err := s.silent(); err != nil {
			return fmt.Errorf("the next month: %w", err)
		}
		s.run(window, steady(1))
		onset := s.now
		s.run(30, ledger(1))
		if err := s.told(onset, 20*time.Second, "close_books"); err != nil {
			return fmt.Errorf("without the load: %w", err)
		}
		return nil
	})
}

func TestAnOutlineHasAHopOfEachHourOfTheWeek(t *testing.T) {
	var o outline
	at := func(hour, second int64, busy float64) *hop.Closed {
		return &hop.Closed{Start: (hour*3600 + second) * int64(time.Second), CPUTotal: busy, Measures: make([]float64, 5), CPU: hop.TimesOf(map[uint32]float64{1: 1, 2: busy})}
	}
	for hour := range int64(400) {
		for second := range int64(4) {
			o.note(at(hour, second, 1e9*float64(1+second%3)), func(hop.Place) bool { return true })
		}
	}
	all := o.all()
	if len(all) != week+1 {
		t.Fatalf("%d hops", len(all))
	}
	if first, last := all[0].Start/int64(time.Hour), all[len(all)-1].Start/int64(time.Hour); first != 399-week || last != 399 {
		t.Errorf("of the hours %d to %d", first, last)
	}
	for _, c := range all {
		if c.Start/int64(time.Second)%3600 != 2 {
			t.Errorf("the hop at %d is not the busiest", c.Start)
		}
		if c.CPU.Len() != 1 {
			t.Errorf("a stack that took next to no time is kept: %v", c.CPU)
		}
	}
	// The hour and the one before it, of each other day.
	now := at(399, 0, 1e9)
	if n := len(o.alike(now, []*hop.Closed{now})); n != 7+6 {
		t.Errorf("%d hops are alike", n)
	}
	// A memory that was written within an hour has two of it, or only that; the busier one
	// stays.
	for _, known := range [][]*hop.Closed{all, {all[len(all)-1]}} {
		var again outline
		for _, c := range known {
			again.add(c)
		}
		again.note(at(399, 100, 1e6), func(hop.Place) bool { return true })
		again.note(at(400, 0, 1e6), func(hop.Place) bool { return true })
		if c := again.hours[slot(399)]; c.CPUTotal < 1e9 {
			t.Errorf("of the hour in which the memory was written %v is left", c.CPUTotal)
		}
	}
}

// A memory is written each minute, its outline each ten; of an analyzer that goes on from
// one it has what was known before.
func TestAnOutlineIsReadWhenItIsNeeded(t *testing.T) {
	s := newServer(t, 1)
	s.goTo(time.Sunday, 2)
	s.run(100, importing())
	for hour := range 3 { // of three days
		s.goTo(time.Weekday(1+hour), 3)
		s.run(120, steady(1))
	}
	known := func() (n int) {
		s.analyzer.readOutline()
		return len(s.analyzer.outline.all())
	}
	want := known()
	if err := s.restart("again", 0); err != nil {
		t.Fatal(err)
	}
	if !s.analyzer.outline.unread || len(s.analyzer.outline.all()) != 0 {
		t.Error("it is read at once")
	}
	s.run(60, steady(1))
	if err := s.restart("again", 0); err != nil { // unread still
		t.Fatal(err)
	}
	if got := known(); got != want || want < 4 {
		t.Errorf("%d hours are known, were %d", got, want)
	}
	s.run(900, steady(1))
	s.goTo(time.Thursday, 12)
	s.run(30, steady(1))
	if err := s.restart("again", 0); err != nil {
		t.Fatal(err)
	}
	if got := known(); got != want+1 {
		t.Errorf("%d hours are known after another one, were %d", got, want)
	}
	s.analyzer.outline = outline{}
	s.analyzer.recallOutline([]byte("not an outline"))
	if got := known(); got != 0 {
		t.Errorf("%d hours of what is damaged", got)
	}
}

// Of the hours around it only one has the import.
func TestWhatIsDoneInOneHourOfTheNightIsKnown(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.goTo(time.Sunday, 2)
		s.run(100, importing()) // it is all that is known
		s.run(window+60, steady(1))
		for _, day := range []time.Weekday{time.Monday, time.Tuesday, time.Wednesday} {
			for hour := 1; hour <= 3; hour++ {
				s.goTo(day, hour)
				s.run(30, steady(1))
				s.now -= 24 * int64(time.Hour)
			}
			s.now += 24 * int64(time.Hour)
		}
		s.goTo(time.Sunday, 2)
		s.run(window+60, steady(1))
		s.run(160, importing())
		return s.silent()
	})
}
