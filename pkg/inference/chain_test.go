package inference

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
