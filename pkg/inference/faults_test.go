package inference

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"
)

const etimedout = 110

func TestAFaultIsToldWithItsFunctionAndPattern(t *testing.T) {
	for _, tc := range []struct {
		name    string
		healthy *load
		fault   load
		truth   string
		pattern string
		kind    Kind
		skip    string
	}{
		{
			name: "a sync in every request",
			fault: with(steady(0.5), func(l *load) {
				l.waits[0].share = 0.2
				l.waits = append(l.waits[:1:1], site{stack: "@fdatasync flush handle loop main", call: "fdatasync", share: 0.7})
				l.calls = append(l.calls, calls{"fdatasync", 50, 14 * time.Millisecond, 0, "@fdatasync flush handle loop main"})
			}),
			truth: "flush", pattern: PatternSyncWrite,
		},
		{
			name: "an endless loop",
			fault: with(steady(0), func(l *load) {
				l.busy = map[string]float64{"scan find handle loop main": 0.95, "find handle loop main": 0.05}
				l.waits[0].share = 0
			}),
			truth: "scan", pattern: PatternLongComputation,
		},
		{
			name: "a call that fails and is tried again",
			fault: with(steady(1), func(l *load) {
				l.busy["@accept4 take_client loop main"] = 0.5
				l.busy["poll loop main"] = 0.2
				l.waits[0].share = 0
				l.calls = append(l.calls,
					calls{"accept4", 2000, 2 * time.Microsecond, -11, "@accept take_client loop main"},
					calls{"epoll_wait", 2000, time.Microsecond, 1, "@epoll_wait poll loop main"})
			}),
			truth: "take_client", pattern: PatternBusyFailingCall,
		},
		{
			name: "no descriptors left, and no time lost by it",
			fault: with(steady(1), func(l *load) {
				l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
			}),
			truth: "open_file", pattern: PatternDescriptorExhaustion,
		},
		{
			name: "a peer that is gone, and no time lost by it",
			fault: with(steady(1), func(l *load) {
				l.calls = append(l.calls, calls{"connect", 8, 2 * time.Microsecond, -111, "@connect ask_peer handle loop main"})
			}),
			truth: "ask_peer", pattern: PatternPeerUnreachable,
		},
		{
			name: "a worker that waits where none does",
			fault: with(steady(1), func(l *load) {
				l.waits[1] = site{stack: "@read ask_peer job worker", call: "read", share: 1, stuck: true}
			}),
			truth: "ask_peer", pattern: PatternStuckCall, kind: KindSilence,
		},
		{
			name: "a nap in every request, by a wait that times out",
			fault: with(steady(0.3), func(l *load) {
				l.waits[0] = site{stack: "@epoll_wait nap handle loop main", call: "epoll_wait", share: 0.9}
				l.calls = append(l.calls, calls{"epoll_wait", 30, 30 * time.Millisecond, 0, "@epoll_wait nap handle loop main"})
			}),
			truth: "nap", pattern: PatternSleepInRequest,
		},
		{
			name: "a peer that stops to answer", healthy: func() *load { l := asking(); return &l }(),
			fault: with(steady(0.02), func(l *load) {
				for i := 1; i < len(l.waits); i++ {
					l.waits[i] = site{stack: "@read ask_peer job worker", call: "read", share: 1, stuck: true}
				}
			}),
			truth: "ask_peer", pattern: PatternStuckCall, kind: KindSilence,
		},
		{
			name: "all workers at one lock", healthy: func() *load { l := pool(8); return &l }(),
			fault: with(pool(8), func(l *load) {
				for i := range l.waits {
					l.waits[i] = site{stack: "@epoll_wait sleep_on_lock lock_table update worker", call: "epoll_wait", share: 1, stuck: true}
				}
				l.busy, l.calls = nil, nil
			}),
			truth: "sleep_on_lock", pattern: PatternStuckCall, kind: KindSilence,
		},
		{
			name: "a lock",
			fault: with(steady(0.3), func(l *load) {
				l.waits[0] = site{stack: "@__lll_lock_wait @pthread_mutex_lock update handle loop main", call: "futex", share: 0.9}
			}),
			truth: "update", pattern: PatternLockWait,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.skip != "" {
				t.Skip(tc.skip)
			}
			healthy := steady(1)
			if tc.healthy != nil {
				healthy = *tc.healthy
			}
			overSeeds(t, seeds, func(s *server) error {
				s.run(60, healthy)
				onset := s.now
				s.run(20, tc.fault)
				if err := s.told(onset, 10*time.Second, tc.truth); err != nil {
					return err
				}
				first := s.found[0]
				if first.Pattern != tc.pattern {
					return fmt.Errorf("pattern %q, want %q", first.Pattern, tc.pattern)
				}
				if tc.kind != "" && first.Kind != tc.kind {
					return fmt.Errorf("kind %q, want %q", first.Kind, tc.kind)
				}
				if len(first.Units) == 0 {
					return errors.New("no stretch of a thread is named")
				}
				s.run(30, healthy)
				if len(s.found) < 3 {
					return fmt.Errorf("20 seconds of a fault are %d anomalies: it was lost while it lasted", len(s.found))
				}
				before := len(s.found)
				s.run(60, healthy)
				if len(s.found) != before {
					return fmt.Errorf("still abnormal after the fault: %s", s.found[before].Summary)
				}
				return nil
			})
		})
	}
}

func TestAFaultDoesNotHideBehindTheLoadOrThePast(t *testing.T) {
	storm := with(steady(1), func(l *load) {
		l.calls = append(l.calls, calls{"accept4", 20, 3000, 5, ""}, calls{"connect", 20, 3000, 0, "@connect up handle loop main"})
	})
	hot := func(share float64) load {
		l := evenly(0.03)
		l.busy["parse handle loop main"] = share
		l.waits[0].share = max(0, 0.95-share)
		return l
	}
	for _, tc := range []struct {
		name          string
		before, after phase
		truth         []string
		skip          string
	}{
		{
			"a retry storm moves every measure of work", phase{load: storm},
			phase{load: with(storm, func(l *load) {
				l.busy = map[string]float64{"@connect up retry handle loop main": 0.3, "build_request up retry handle loop main": 0.4}
				for stack, share := range storm.busy {
					l.busy[stack] = share
				}
				l.waits[0].share = 0.2
				l.calls = append(l.calls[:len(l.calls):len(l.calls)],
					calls{"connect", 1900, 3000, 0, "@connect up retry handle loop main"},
					calls{"write", 1900, 3000, 1000, "@write up retry handle loop main"},
					calls{"read", 1900, 3000, 100, "@read up retry handle loop main"})
			})}, []string{"retry", "up"}, "",
		},
		{"the culprit always led", phase{load: hot(0.17)}, phase{load: hot(0.9)}, []string{"parse"}, ""},
		{
			"a thread per connection waits for a peer",
			phase{load: steady(1), extra: connections(4, "@read recv_request handle_conn start", "read", 1)},
			phase{load: steady(1), extra: connections(8, "@read ask_peer query handle_conn start", "read", 5)}, []string{"ask_peer"}, "",
		},
		{
			"a thread per connection waits for a lock",
			phase{load: steady(1), extra: connections(4, "@read recv_request handle_conn start", "read", 1)},
			phase{load: steady(1), extra: connections(8, "@__lll_lock_wait @pthread_mutex_lock update handle_conn start", "futex", 5)}, []string{"update"}, "",
		},
		{
			"victims fail, too", phase{load: evenly(0.45)},
			phase{load: with(evenly(0.2), func(l *load) {
				l.busy["parse handle loop main"] = 0.85
				l.calls = append(l.calls, calls{"write", 30, 3000, -32, "@write send_reply handle loop main"})
				l.waits[0].share = 0
			})}, []string{"parse"}, "",
		},
		{
			"one worker of four loops, the others starve",
			phase{load: with(evenly(0.4), func(l *load) {
				l.busy["reply2 handle loop main"] = 0.3
				l.waits = append(l.waits, l.waits[2], l.waits[0])
				l.waits[4].share = 0.1
			}), extra: onThread(5, "parse handle loop worker", 0.9, true)},
			phase{load: with(steady(0.05), func(l *load) { l.busy, l.waits[0].share = nil, 1 }), extra: onThread(5, "parse handle loop worker", 1, false)},
			[]string{"parse"}, "a worker that was hot before and spins now uses no more CPU than all of them did: nothing is told",
		},
		{
			"the same bytes through thirty times the calls, on a server with little to do", phase{load: evenly(0.09)},
			phase{load: with(evenly(0.09), func(l *load) {
				l.busy["@read next_piece handle loop main"] = 0.06
				l.calls = append(l.calls,
					calls{"read", 2900, 1000, 30, "@read next_piece handle loop main"},
					calls{"write", 2900, 1000, 30, "@write next_piece handle loop main"})
			})}, []string{"next_piece"}, "few samples of a past bound the load too loosely: told after 15 s in 3 of 5 runs",
		},
		{"followers of a group commit wait for its leader", phase{load: pool(8)}, phase{load: with(pool(8), func(l *load) {
			for i := range l.waits {
				l.waits[i].share = 0.2
				l.waits[i].also = &site{stack: "@pthread_cond_wait follow commit serve worker", call: "futex", share: 0.65}
			}
			l.waits[0].also = &site{stack: "@fdatasync write_log lead commit serve worker", call: "fdatasync", share: 0.65}
		})}, []string{"write_log"}, ""},
		{"workers queue for a lock whose holder computes", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			l.busy["dump_all dump serve worker"] = 0.35
			for i := range l.waits {
				l.waits[i].share = 0.5
				l.waits[i].also = &site{stack: "@pthread_mutex_lock insert serve worker", call: "futex", share: 0.3}
			}
		})}, []string{"dump_all"}, ""},
		{"workers queue for a lock whose holder waits for a peer", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			for i := range l.waits {
				l.waits[i].share = 0.1
				l.waits[i].also = &site{stack: "@pthread_mutex_lock borrow ask serve worker", call: "futex", share: 0.8}
			}
			l.waits[0].also = &site{stack: "@poll probe borrow ask serve worker", call: "poll", share: 0.8}
		})}, []string{"probe", "borrow"}, "where the others wait for the lock is first, its holder third: borrow, ask, probe"},
		{"a disk that takes eight times as long", phase{load: commits(30, time.Millisecond)}, phase{load: commits(30, 8*time.Millisecond)}, []string{"flush"}, "the prior of syncs makes one hop too little evidence: told after 15 s and more"},
		{"ten times the syncs of the same clients", phase{load: commits(10, 2*time.Millisecond)}, phase{load: commits(100, 2*time.Millisecond)}, []string{"flush"}, "the prior of syncs makes one hop too little evidence: told after 15 s"},
		{
			"a library dials in threads of its own for who calls it", phase{load: with(evenly(0.1), func(l *load) {
				l.busy["%net/http.(*Client).Do ask handle loop main"] = 0.004
				l.busy["%net/http.(*Transport).dialConn"] = 0.02
				l.busy["%database/sql.(*DB).connectionOpener"] = 0.02
			})},
			phase{load: with(evenly(0.1), func(l *load) {
				l.busy["%net/http.(*Client).Do ask handle loop main"] = 0.016
				l.busy["%net/http.(*Transport).dialConn"] = 0.3
				l.busy["%database/sql.(*DB).connectionOpener"] = 0.02
			})}, []string{"ask"}, "",
		},
		{"a little, on a server with little to do", phase{load: evenly(0.05)}, phase{
			load: with(evenly(0.05), func(l *load) { l.busy["rehash grow handle loop main"] = 0.045 }),
		}, []string{"rehash"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.skip != "" {
				t.Skip(tc.skip)
			}
			overSeeds(t, seeds, func(s *server) error {
				s.live(90, tc.before)
				onset := s.now
				s.live(25, tc.after)
				// What takes 45 ms a second needs ten seconds to cost more than healthy services do.
				return s.told(onset, 15*time.Second, tc.truth...)
			})
		})
	}
}

// What a service does while it gets ready is no habit of it.
func TestWarmCachesAreTheHabit(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(10, with(evenly(0.1), func(l *load) { l.busy["compile link loop main"] = 0.3 }))
		s.run(40, evenly(0.1))
		onset := s.now
		s.run(20, with(evenly(0.1), func(l *load) { l.busy["rehash grow handle loop main"] = 0.1 }))
		return s.told(onset, 20*time.Second, "rehash")
	})
}

// More may be sampled of one function than the exact total has.
func TestMoreSampledThanUsedIsTold(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, evenly(0.02))
		onset := s.now
		s.live(15, phase{
			load: with(evenly(0.02), func(l *load) {
				l.busy["scan find handle loop main"] = 0.6
				l.calls = steady(1.3).calls
			}),
			extra: func(s *server) { s.cpu -= 0.06 },
		})
		if stats := s.analyzer.Stats(); math.IsNaN(stats.Load) || math.IsNaN(stats.Score) {
			return fmt.Errorf("figures are no numbers: %+v", stats)
		}
		return s.told(onset, 10*time.Second, "scan")
	})
}

// Waits that end because their time is over make the pattern when they are most of
// the waiting of all threads, not when they are more than one thread's.
func TestAFewTimeoutsAreNoSleep(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, pool(8))
		onset := s.now
		s.run(15, with(pool(8), func(l *load) {
			for i := range l.waits {
				l.waits[i] = site{stack: "@pthread_cond_timedwait borrow render serve worker", call: "futex", share: 1, stuck: true}
			}
			l.calls = append(l.calls, calls{"futex", 4, 250 * time.Millisecond, -etimedout, "@pthread_cond_timedwait borrow render serve worker"})
		}))
		if err := s.told(onset, 15*time.Second); err != nil {
			return err
		}
		if p := s.found[0].Pattern; p != PatternStuckCall {
			return fmt.Errorf("pattern %q", p)
		}
		return nil
	})
}

// A connect that is not waited for is begun by one function, and a check that is
// called when the socket is ready hears of the refusal.
func TestWhoConnectsIsToBlameForARefusalThatACheckHears(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		onset := s.now
		s.run(15, with(steady(1), func(l *load) {
			l.calls = append(l.calls,
				calls{"connect", 400, 4 * time.Microsecond, -115, "@connect connect_server retry handle loop main"},
				calls{"connect", 400, time.Microsecond, -111, "@connect check_socket on_ready loop main"})
		}))
		if err := s.told(onset, 15*time.Second, "connect_server"); err != nil {
			return err
		}
		if p := s.found[0].Pattern; p != PatternConnectionChurn {
			return fmt.Errorf("pattern %q", p)
		}
		return nil
	})
}

// A third more CPU is seven samples in a hop, which chance may bring, too.
func TestFewSamplesAddUp(t *testing.T) {
	t.Skip("a third more CPU time on a tenth of a CPU is a sixth of what would matter: it stays in doubt")
	overSeeds(t, seeds-1, func(s *server) error {
		for range 45 {
			s.run(1, quiet(s.rng, 0.08))
		}
		onset := s.now
		for range 30 {
			l := quiet(s.rng, 0.08)
			l.busy["step5 handle loop main"] += 0.03
			s.run(1, l)
		}
		return s.told(onset, 25*time.Second, "step5")
	})
}

func TestNewWorkInManySmallFunctionsIsTheirCallers(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		s.run(60, steady(1))
		onset := s.now
		s.run(20, with(steady(1), func(l *load) {
			for i := range 200 {
				l.busy[fmt.Sprintf("step%d convert handle loop main", i)] = 0.0015
			}
		}))
		return s.told(onset, 20*time.Second, "convert")
	})
}

// A pool whose threads wait for others hides no loop that takes four times the CPU.
func TestALoopInAPoolThatWaitsForOthersIsTold(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		busy := pool(8)
		for i := range busy.waits {
			busy.waits[i].share = 0.6
			busy.waits[i].also = &site{stack: "@connect ask_peer serve worker", call: "connect", share: 0.35}
		}
		s.run(60, busy)
		onset := s.now
		s.run(20, with(busy, func(l *load) {
			l.busy = map[string]float64{
				"parse handle loop main": 0.04, "reply handle loop main": 0.03, "poll loop main": 0.02, "scan serve worker": 0.3,
			}
		}))
		return s.told(onset, 20*time.Second, "scan")
	})
}

// A server with a thread per connection gets new ones seldom. What they do is compared
// with what the others of their role do, though they wait for long.
func TestNewConnectionsThatSleepAreTold(t *testing.T) {
	const idle, sleep = "@poll read_command serve connection", "@futex wait_for sleep eval select serve connection"
	overSeeds(t, seeds, func(s *server) error {
		onset := int64(0)
		for sec := range 90 {
			s.run(1, steady(1))
			for id := int32(50); id < 58; id++ {
				s.holdOne(idle, id, 4)
			}
			if sec == 60 {
				onset = s.now
			}
			for id := int32(80); sec >= 60 && id < 84; id++ {
				if sec == 72 {
					s.holdOne(idle, id, 1)
				} else {
					s.holdOne(sleep, id, 5)
				}
			}
		}
		if err := s.told(onset, 30*time.Second); err != nil {
			return err
		}
		if first := s.found[0].Suspects[0].Function; first != "wait_for" && first != "sleep" {
			return fmt.Errorf("the first suspect is %s", first)
		}
		return nil
	})
}

// A server with a thread for each connection: code that was compiled at run time tells
// neither its name nor who calls it, and is all that a new thread was met in.
func TestNewConnectionsInCodeWithoutANameAreTold(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		onset, id := int64(0), int32(1000)
		for sec := range 90 {
			if sec == 60 {
				onset = s.now
			}
			for range 4 {
				id++
				if sec >= 60 {
					s.computeOne("", id, 5)
				} else {
					s.computeOne("parse serve connection", id, 1)
				}
			}
			s.run(1, steady(1))
		}
		return s.told(onset, 25*time.Second)
	})
}
