package inference

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// convoy is steady with two workers that wait for a lock, whose holder computes.
func convoy() load {
	return with(steady(1), func(l *load) {
		l.busy["rebuild store handle loop main"] = 0.6
		l.waits[0].share, l.calls[0].took = 0.2, time.Millisecond
		for i := 1; i < len(l.waits); i++ {
			l.waits[i] = site{stack: "@pthread_mutex_lock update worker", call: "futex", share: 0.9}
			l.wakings = append(l.wakings, wakings{
				n: 20, thread: int32(1 + i), by: 1, call: "futex", waited: 20 * time.Millisecond,
				stack: "@pthread_mutex_lock update worker", waker: "@pthread_mutex_unlock store handle loop main",
			})
		}
	})
}

// A chain leads from the wait to the thread that computes, the sentence says so, and
// what it does is the first suspect.
func TestAChainLeadsToWhoComputes(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		onset := s.now
		s.run(30, convoy())
		if err := s.told(onset, 15*time.Second, "rebuild"); err != nil {
			return err
		}
		a := s.found[len(s.found)-1]
		if len(a.Chain) != 2 || a.Chain[0].Function != "update" || a.Chain[0].Call != "futex" || a.Chain[1].Kind != LinkCPU ||
			a.Chain[1].Function != "rebuild" || a.Chain[1].Share < 0.9 {
			return fmt.Errorf("the chain is %+v", a.Chain)
		}
		if want := "update waits for rebuild, which computes"; !strings.Contains(a.Summary, want) {
			return fmt.Errorf("%q does not say %q", a.Summary, want)
		}
		if a.Gain < 0.5 || a.Gain > 1 {
			return fmt.Errorf("the gain is %v", a.Gain)
		}
		return nil
	})
}

// Without wakings there is no chain, and nothing is said of one.
func TestNoChainWithoutWakings(t *testing.T) {
	s := newServer(t, 1)
	s.run(60, steady(1))
	l := convoy()
	l.wakings = nil
	s.run(30, l)
	if len(s.found) == 0 {
		t.Fatal("nothing is told")
	}
	if a := s.found[0]; len(a.Chain) > 0 || strings.Contains(a.Summary, "waits for") {
		t.Errorf("%+v, %s", a.Chain, a.Summary)
	}
}

// What is told first may come before any waking was: the chain comes with an update, which
// is told although the suspects are the same.
func TestAChainThatComesLaterIsTold(t *testing.T) {
	s := newServer(t, 1)
	s.run(60, steady(1))
	early := convoy()
	early.wakings = nil
	s.run(15, early)
	if len(s.found) == 0 || len(s.found[0].Chain) > 0 {
		t.Fatalf("first: %+v", s.found)
	}
	first := len(s.found)
	s.run(20, convoy())
	told := 0
	for _, a := range s.found[first:] {
		if !a.Repeat {
			told++
		}
		if !a.Repeat && (len(a.Chain) != 2 || a.State != StateUpdated) {
			t.Errorf("told: %s, %+v", a.State, a.Chain)
		}
	}
	if told != 1 {
		t.Errorf("told %d times more, want once", told)
	}
}

// A wait for storage needs nobody who ends it to say what it is for; one for a peer or for
// a thread does.
func TestAWaitForStorageIsAChainOfOne(t *testing.T) {
	for _, c := range []struct {
		call string
		want LinkKind
	}{{"fdatasync", LinkDisk}, {"clock_nanosleep", LinkTimer}, {"recvfrom", ""}} {
		s := newServer(t, 1)
		s.run(60, steady(1))
		stack := "@" + c.call + " flush handle loop main"
		s.run(30, with(steady(1), func(l *load) {
			l.waits[0].share, l.waits[0].also = 0.2, &site{stack: stack, call: c.call, share: 0.7}
			l.calls = append(l.calls, calls{c.call, 50, 14 * time.Millisecond, 0, stack})
		}))
		if len(s.found) == 0 {
			t.Fatalf("%s: nothing is told", c.call)
		}
		chain := s.found[len(s.found)-1].Chain
		if c.want == "" && len(chain) > 0 || c.want != "" && (len(chain) != 1 || chain[0].Function != "flush" || chain[0].Kind != c.want || chain[0].Call != c.call) {
			t.Errorf("%s: %+v", c.call, chain)
		}
	}
}

// Goroutines that wait for a mutex are woken by nobody in the kernel; who computes below
// the function that takes it holds it.
func TestTheChainOfAMutexOfGoroutines(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.live(60, phase{load: steady(1), extra: httpServer()})
		s.live(30, phase{load: with(steady(1), func(l *load) {
			l.busy["recount enter show %serve"] = 0.6
			l.waits[0].share = 0.3
		}), extra: httpServer(parked{"%sync.(*Mutex).Lock enter show %serve", threadtrace.WaitMutex, 4})})
		if len(s.found) == 0 {
			return errors.New("nothing is told")
		}
		a := s.found[len(s.found)-1]
		if len(a.Chain) != 2 || a.Chain[0].Function != "enter" || a.Chain[0].Call != "go.mutex" || a.Chain[1].Function != "recount" || a.Chain[1].Kind != LinkCPU {
			return fmt.Errorf("the chain is %+v", a.Chain)
		}
		if !slices.Contains(functionsOf(a.Suspects), "recount") || a.Gain < 0.9 {
			return fmt.Errorf("%v is worth %v", functionsOf(a.Suspects), a.Gain)
		}
		return nil
	})
}

// What a suspect is worth is its part of the time at work beyond the past, however sure it
// is that each part of that grew.
func TestTheGainIsWhatGoesAway(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1)) // 0.09 threads are at work
		s.run(30, with(steady(1), func(l *load) {
			l.busy["rebuild handle loop main"] = 0.4
			l.waits[0].share = 0.4
			l.waits[0].also = &site{stack: "@fdatasync rebuild handle loop main", call: "fdatasync", share: 0.1}
		}))
		if len(s.found) == 0 {
			return errors.New("nothing is told")
		}
		a := s.found[len(s.found)-1]
		if want := 0.5 / 0.59; a.Suspects[0].Function != "rebuild" || math.Abs(a.Gain-want) > 0.05 {
			return fmt.Errorf("%s is worth %v, want %.2f", a.Suspects[0].Function, a.Gain, want)
		}
		return nil
	})
}
