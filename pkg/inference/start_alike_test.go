package inference

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// TestStartsThatEndedEarlier: a process that is older than all before it lived to be is
// compared with what they were like in the end.
func TestStartsThatEndedEarlier(t *testing.T) {
	at := func(seconds int64) *hop.Closed { return &hop.Closed{Start: seconds * second} }
	s := start{began: 100 * second, inherited: true, past: []pastStart{{50 * second, []*hop.Closed{at(46), at(51)}}}}
	for age, want := range map[int64]int64{2: 46, 20: 51, 200: 51} {
		if got := s.alike(at(100 + age)); len(got) == 0 || got[0].Start != want*second {
			t.Errorf("at the age of %d s: %d hops", age, len(got))
		}
	}
}

// TestHelpersThatANewProcessStartsWithRest: threads of kinds that the process before did
// not have, or whose stacks were never seen, wait for work from the first on. That is no
// habit of the past, and holds nobody up.
func TestHelpersThatANewProcessStartsWithRest(t *testing.T) {
	helped := with(steady(1), func(l *load) {
		l.waits = append(l.waits, site{stack: "@epoll_wait serve helper", call: "epoll_wait", share: 1})
	})
	overSeeds(t, seeds, func(s *server) error {
		s.analyzer.Follow("0", "server", s.now)
		s.analyzer.InRole("a")
		s.run(300, steady(1))
		if err := s.succeed("b"); err != nil {
			return err
		}
		s.run(int(startUp/time.Second)+60, helped)
		if err := s.silent(); err != nil {
			return err
		}
		// A thread that had another place does not rest where it stays now.
		onset := s.now
		s.run(20, with(helped, func(l *load) {
			l.waits[0] = site{stack: "@read ask handle loop main", call: "read", share: 1, stuck: true}
			l.busy, l.calls = nil, nil
		}))
		return s.told(onset, 20*time.Second, "ask")
	})
}
