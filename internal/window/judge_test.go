package window

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// evenly is normal with the CPU share spread over three functions.
func evenly(share float64) load {
	l := normal(1)
	l.busy = map[string]float64{
		"parse handle loop main": 0.45 * share, "reply handle loop main": 0.33 * share, "poll loop main": 0.22 * share,
	}
	l.waits[0].share = max(0, 1-share)
	return l
}

// onThread lets one more thread run in a stack for a share of each second,
// with or without calls.
func onThread(id int32, stack string, share float64, callsToo bool) func(*server) {
	return func(s *server) {
		s.cpu += share
		b := &syscalltrace.Batch{ThreadID: id, Stacks: []syscalltrace.Stack{stackOf(stack)}}
		for i := range int64(49) {
			if callsToo {
				b.Events = append(b.Events, syscalltrace.Event{
					Kind: syscalltrace.KindCall, Time: s.now + i*second/49 - 1000, Duration: 500,
					Number: number(s.t, []string{"read", "write"}[i%2]), Return: 80,
				})
			}
			if s.rng.Float64() < share {
				b.Events = append(b.Events, syscalltrace.Event{
					Kind: syscalltrace.KindSample, Time: s.now + i*second/49, Duration: second / 49, Number: syscalltrace.NoCall, Stack: 1,
				})
			}
		}
		s.service.AddBatch(b)
	}
}

// connections lets so many new threads each wait in a call for some ticks.
func connections(n int, stack, call string, ticks int64) func(*server) {
	return func(s *server) {
		for i := range n {
			b := &syscalltrace.Batch{ThreadID: int32(1000 + (s.now-epoch)/second*100 + int64(i)), Stacks: []syscalltrace.Stack{stackOf(stack)}}
			for k := range ticks {
				b.Events = append(b.Events, syscalltrace.Event{
					Kind: syscalltrace.KindBlocked, Time: s.now + k*tick, Duration: tick, Elapsed: (k + 1) * tick, Number: number(s.t, call), Stack: 1,
				})
			}
			s.service.AddBatch(b)
		}
	}
}

// backends is a server whose n processes wait for the disk for a fifth of
// their time.
func backends(n int, rate float64) load {
	l := normal(rate)
	l.waits = l.waits[:0:0]
	for range n {
		l.waits = append(l.waits, site{
			stack: "@epoll_wait read_command serve main", call: "epoll_wait", share: 0.7,
			also: &site{stack: "@fdatasync flush commit serve main", call: "fdatasync", share: 0.2},
		})
	}
	return l
}

// commits is a database whose backends sync so often a second, for so long;
// half of them wait for those that do.
func commits(n int, took time.Duration) load {
	l := normal(1)
	busy := float64(n) * took.Seconds() / 3
	l.waits = l.waits[:0:0]
	for range 3 {
		for _, also := range []site{
			{stack: "@fdatasync flush commit serve main", call: "fdatasync", share: busy},
			{stack: "@sem_wait wait_for_leader commit serve main", call: "futex", share: busy},
		} {
			l.waits = append(l.waits, site{stack: "@epoll_wait read_command serve main", call: "epoll_wait", share: 1 - busy, also: &also})
		}
	}
	l.calls = append(l.calls, calls{"fdatasync", n, took, 0, "@fdatasync flush commit serve main"})
	return l
}

type phase struct {
	load  load
	extra func(*server)
	// dropped is how many calls of each second the ring lost.
	dropped uint64
}

func (s *server) live(seconds int, p phase) {
	s.t.Helper()
	for range seconds {
		if p.extra != nil {
			p.extra(s)
		}
		if p.dropped > 0 {
			s.service.AddCoverage(syscalltrace.Coverage{
				Start: s.now, End: s.now + second, Traced: time.Second, Dropped: map[string]uint64{"ring_overwrite": p.dropped},
			})
		}
		s.run(1, p.load)
	}
}

// What looks like a fault and is none.
func TestNoFault(t *testing.T) {
	calls16 := []calls{
		{"epoll_wait", 100, 5 * time.Millisecond, 1, "@epoll_wait poll loop main"},
		{"read", 100, 2 * time.Microsecond, 1600, "@read receive handle loop main"},
		{"write", 100, 4 * time.Microsecond, 16000, "@write reply handle loop main"},
	}
	idle := with(evenly(0.002), func(l *load) {
		l.calls = []calls{{"read", 1, 2000, 60, ""}, {"write", 1, 2000, 5000, ""}}
	})
	busy := with(evenly(0.3), func(l *load) {
		l.calls = []calls{{"read", 500, 2000, 60, ""}, {"write", 500, 2000, 100, ""}}
	})
	for _, tc := range []struct {
		name          string
		before, after phase
	}{
		{"clients that pipeline", phase{load: evenly(0.15)}, phase{load: with(evenly(0.75), func(l *load) { l.calls = calls16 })}},
		{"five times the load, at half the cost", phase{load: many(4, 0.035)}, phase{load: with(many(4, 0.08), func(l *load) { l.calls = normal(5).calls })}},
		{"a health check, then the load", phase{load: idle}, phase{load: busy}},
		{"a neighbour on the same caches", phase{load: evenly(0.45)}, phase{load: evenly(0.85)}},
		{"the same with many small functions", phase{load: many(30, 0.2)}, phase{load: many(30, 0.37)}},
		{"five times the backends", phase{load: backends(4, 1)}, phase{load: backends(20, 2)}},
		{"clients that write more, on a disk that others use", phase{load: commits(30, time.Millisecond)}, phase{load: commits(75, 2*time.Millisecond)}},
		{"five times the load, most of it lost", phase{load: evenly(0.15)}, phase{
			load: with(evenly(0.75), func(l *load) { l.calls = normal(1.8).calls }), dropped: 600,
		}},
		{"a machine that keeps even the snapshots waiting", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			l.gap = 3
			for i := range l.waits {
				l.waits[i].share = 0.5
				l.waits[i].also = &site{stack: "@pthread_mutex_lock insert serve worker", call: "futex", share: 0.3}
			}
		})}},
		{"a child that saves the data", phase{load: evenly(0.2)}, phase{
			load: evenly(0.2), extra: onThread(77, "save_object save_all background child_main", 0.8, true),
		}},
		{"one long query that takes little", phase{load: evenly(0.9)}, phase{
			load: evenly(0.9), extra: onThread(9, "parse handle loop main", 0.08, true),
		}},
		{"a pool that is started", phase{load: evenly(0.2)}, phase{
			load: evenly(0.2), extra: func(s *server) {
				for id := int32(50); id < 58; id++ {
					b := &syscalltrace.Batch{ThreadID: id, Stacks: []syscalltrace.Stack{stackOf("@futex wait_job pool_main")}}
					for k := range int64(5) {
						b.Events = append(b.Events, syscalltrace.Event{Kind: syscalltrace.KindBlocked, Time: s.now + k*tick, Duration: tick, Elapsed: tick, Number: number(s.t, "futex"), Stack: 1})
					}
					s.service.AddBatch(b)
				}
			},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			s.live(90, tc.before)
			s.live(45, tc.after)
			for _, a := range s.found {
				t.Errorf("after %d s: score %.2f %s %v", (a.End-epoch)/second, a.Score, a.Summary, a.Suspects)
			}
		})
	}
}

// Faults that hide behind the load, the past or each other.
func TestHiddenFaults(t *testing.T) {
	storm := with(normal(1), func(l *load) {
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
			})}, []string{"up", "retry"},
		},
		{"the culprit always led", phase{load: hot(0.17)}, phase{load: hot(0.9)}, []string{"parse"}},
		{
			"a thread per connection waits for a peer",
			phase{load: normal(1), extra: connections(4, "@read recv_request handle_conn start", "read", 1)},
			phase{load: normal(1), extra: connections(8, "@read ask_peer query handle_conn start", "read", 5)}, []string{"ask_peer"},
		},
		{
			"a thread per connection waits for a lock",
			phase{load: normal(1), extra: connections(4, "@read recv_request handle_conn start", "read", 1)},
			phase{load: normal(1), extra: connections(8, "@__lll_lock_wait @pthread_mutex_lock update handle_conn start", "futex", 5)}, []string{"update"},
		},
		{
			"victims fail, too", phase{load: evenly(0.45)},
			phase{load: with(evenly(0.2), func(l *load) {
				l.busy["parse handle loop main"] = 0.85
				l.calls = append(l.calls, calls{"write", 30, 3000, -32, "@write send_reply handle loop main"})
				l.waits[0].share = 0
			})}, []string{"parse"},
		},
		{
			"one worker of four loops, the others starve",
			phase{load: with(evenly(0.4), func(l *load) {
				l.busy["reply2 handle loop main"] = 0.3
				l.waits = append(l.waits, l.waits[2], l.waits[0])
				l.waits[4].share = 0.1
			}), extra: onThread(5, "parse handle loop worker", 0.9, true)},
			phase{load: with(normal(0.05), func(l *load) { l.busy, l.waits[0].share = nil, 1 }), extra: onThread(5, "parse handle loop worker", 1, false)},
			[]string{"parse"},
		},
		{
			"the same bytes through thirty times the calls, on a server with little to do", phase{load: evenly(0.09)},
			phase{load: with(evenly(0.09), func(l *load) {
				l.busy["@read next_piece handle loop main"] = 0.06
				l.calls = append(l.calls,
					calls{"read", 2900, 1000, 30, "@read next_piece handle loop main"},
					calls{"write", 2900, 1000, 30, "@write next_piece handle loop main"})
			})}, []string{"next_piece"},
		},
		{"followers of a group commit wait for its leader", phase{load: pool(8)}, phase{load: with(pool(8), func(l *load) {
			for i := range l.waits {
				l.waits[i].share = 0.2
				l.waits[i].also = &site{stack: "@pthread_cond_wait follow commit serve worker", call: "futex", share: 0.65}
			}
			l.waits[0].also = &site{stack: "@fdatasync write_log lead commit serve worker", call: "fdatasync", share: 0.65}
		})}, []string{"write_log"}},
		{"workers queue for a lock whose holder computes", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			l.busy["dump_all dump serve worker"] = 0.35
			for i := range l.waits {
				l.waits[i].share = 0.5
				l.waits[i].also = &site{stack: "@pthread_mutex_lock insert serve worker", call: "futex", share: 0.3}
			}
		})}, []string{"dump_all"}},
		{"workers queue for a lock whose holder waits for a peer", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			for i := range l.waits {
				l.waits[i].share = 0.1
				l.waits[i].also = &site{stack: "@pthread_mutex_lock borrow ask serve worker", call: "futex", share: 0.8}
			}
			l.waits[0].also = &site{stack: "@poll probe borrow ask serve worker", call: "poll", share: 0.8}
		})}, []string{"probe", "borrow"}},
		{"a disk that takes eight times as long", phase{load: commits(30, time.Millisecond)}, phase{load: commits(30, 8*time.Millisecond)}, []string{"flush"}},
		{"ten times the syncs of the same clients", phase{load: commits(10, 2*time.Millisecond)}, phase{load: commits(100, 2*time.Millisecond)}, []string{"flush"}},
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
			})}, []string{"ask"},
		},
		{"a little, on a server with little to do", phase{load: evenly(0.05)}, phase{
			load: with(evenly(0.05), func(l *load) { l.busy["rehash grow handle loop main"] = 0.045 }),
		}, []string{"rehash"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			s.live(90, tc.before)
			if len(s.found) > 0 {
				t.Fatalf("anomaly before the fault: %+v", s.found[0])
			}
			onset := s.now
			s.live(25, tc.after)
			if len(s.found) == 0 {
				t.Fatalf("nothing found: %+v", s.service.Stats())
			}
			first := s.found[0]
			if late := first.End - onset; late > 10*second {
				t.Errorf("found after %v", time.Duration(late))
			}
			for i, want := range tc.truth {
				if i >= len(first.Suspects) || first.Suspects[i].Function != want {
					t.Errorf("suspects %v, want %v first", names(first.Suspects), tc.truth)
					break
				}
			}
		})
	}
}

// many is normal with the CPU share spread over n functions.
func many(n int, share float64) load {
	l := normal(1)
	l.busy = map[string]float64{}
	for i := range n {
		l.busy[fmt.Sprintf("step%d handle loop main", i)] = share / float64(n)
	}
	l.waits[0].share = max(0, 1-share)
	return l
}

// What a service does while it gets ready is no habit of it.
func TestWarmCachesAreTheHabit(t *testing.T) {
	s := newServer(t)
	cold := with(evenly(0.1), func(l *load) { l.busy["compile link loop main"] = 0.3 })
	s.run(10, cold)
	s.run(40, evenly(0.1))
	s.run(20, with(evenly(0.1), func(l *load) { l.busy["rehash grow handle loop main"] = 0.1 }))
	if len(s.found) == 0 {
		t.Fatalf("nothing found: %+v", s.service.Stats())
	}
	if first := s.found[0].Suspects[0].Function; first != "rehash" {
		t.Errorf("the first suspect is %s", first)
	}
}

// More may be sampled of one function than the exact total has.
func TestMoreSampledThanUsed(t *testing.T) {
	s := newServer(t)
	s.run(60, evenly(0.02))
	onset := s.now
	s.live(15, phase{
		load: with(evenly(0.02), func(l *load) {
			l.busy["scan find handle loop main"] = 0.6
			l.calls = normal(1.3).calls
		}),
		extra: func(s *server) { s.cpu -= 0.06 },
	})
	if stats := s.service.Stats(); math.IsNaN(stats.Load) || math.IsNaN(stats.Score) {
		t.Fatalf("figures are no numbers: %+v", stats)
	}
	if len(s.found) == 0 || s.found[0].End-onset > 10*second || s.found[0].Suspects[0].Function != "scan" {
		t.Errorf("found %+v", s.found)
	}
}

func names(suspects []suspect.Suspect) (n []string) {
	for _, s := range suspects {
		n = append(n, s.Function)
	}
	return n
}

// Waits that end because their time is over make the pattern when they are most of
// the waiting of all threads, not when they are more than one thread's.
func TestAFewTimeoutsAreNoSleep(t *testing.T) {
	s := newServer(t)
	s.run(60, pool(8))
	s.run(15, with(pool(8), func(l *load) {
		for i := range l.waits {
			l.waits[i] = site{stack: "@pthread_cond_timedwait borrow render serve worker", call: "futex", share: 1, stuck: true}
		}
		l.calls = append(l.calls, calls{"futex", 4, 250 * time.Millisecond, -etimedout, "@pthread_cond_timedwait borrow render serve worker"})
	}))
	if len(s.found) == 0 {
		t.Fatalf("nothing found: %+v", s.service.Stats())
	}
	if p := s.found[0].Pattern; p != suspect.PatternStuckCall {
		t.Errorf("pattern %q", p)
	}
}
