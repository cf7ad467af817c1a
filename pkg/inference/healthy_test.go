package inference

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestAHealthyServiceIsNotTold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		phases []load
	}{
		{"steady", []load{steady(1)}},
		{"three times the load and back", []load{steady(1), steady(3), steady(1)}},
		{"from saturation to idle", []load{steady(10), steady(0.1)}},
		{"no more requests", []load{steady(3), steady(0)}},
		{"new threads that wait", []load{steady(1), with(steady(1), func(l *load) {
			for range 8 {
				l.waits = append(l.waits, site{stack: "@pthread_cond_wait lazy_pool", call: "futex", share: 1})
			}
		})}},
		{"looks for files that are not there", []load{steady(1), with(steady(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -2, "@open open_file handle loop main"})
		})}},
		{"as short of descriptors as ever", []load{with(steady(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
		}), with(steady(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 16, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
		})}},
		{"a stopped process goes on", []load{{}, steady(1)}},
		{"a new mix of requests at the old cost", []load{steady(1), with(steady(1), func(l *load) {
			l.busy = map[string]float64{"parse handle loop main": 0.02, "reply2 handle2 loop main": 0.05, "poll loop main": 0.02}
		})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for _, l := range tc.phases {
					s.run(90, l)
				}
				return s.silent()
			})
		})
	}
}

func TestWhatLooksLikeAFaultAndIsNoneIsNotTold(t *testing.T) {
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
		skip          string
	}{
		{"clients that pipeline", phase{load: evenly(0.15)}, phase{load: with(evenly(0.75), func(l *load) { l.calls = calls16 })}, ""},
		{"five times the load, at half the cost", phase{load: many(4, 0.035)}, phase{load: with(many(4, 0.08), func(l *load) { l.calls = steady(5).calls })}, ""},
		{"a health check, then the load", phase{load: idle}, phase{load: busy}, ""},
		{"a neighbour on the same caches", phase{load: evenly(0.45)}, phase{load: evenly(0.85)}, ""},
		{"the same with many small functions", phase{load: many(30, 0.2)}, phase{load: many(30, 0.37)}, ""},
		{"five times the backends", phase{load: backends(4, 1)}, phase{load: backends(20, 2)}, ""},
		{"clients that write more, on a disk that others use", phase{load: commits(30, time.Millisecond)}, phase{load: commits(75, 2*time.Millisecond)}, ""},
		{"five times the load, most of it lost", phase{load: evenly(0.15)}, phase{
			load: with(evenly(0.75), func(l *load) { l.calls = steady(1.8).calls }), dropped: 600,
		}, ""},
		{"a machine that keeps even the snapshots waiting", phase{load: pool(4)}, phase{load: with(pool(4), func(l *load) {
			l.gap = 3
			for i := range l.waits {
				l.waits[i].share = 0.5
				l.waits[i].also = &site{stack: "@pthread_mutex_lock insert serve worker", call: "futex", share: 0.3}
			}
		})}, ""},
		{"a child that saves the data", phase{load: evenly(0.2)}, phase{
			load: evenly(0.2), extra: onThread(77, "save_object save_all background child_main", 0.8, true),
		}, ""},
		{"one long query that takes little", phase{load: evenly(0.9)}, phase{
			load: evenly(0.9), extra: onThread(9, "parse handle loop main", 0.08, true),
		}, ""},
		{"a pool that is started", phase{load: evenly(0.2)}, phase{
			load: evenly(0.2), extra: func(s *server) {
				for id := int32(50); id < 58; id++ {
					b := &threadtrace.Batch{ThreadID: id, Stacks: []threadtrace.Stack{stackOf("@futex wait_job pool_main")}}
					for k := range int64(5) {
						b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: s.now + k*tick, Duration: tick, Elapsed: tick, Number: number(s.t, "futex"), Stack: 1})
					}
					s.analyzer.AddBatch(b)
				}
			},
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.skip != "" {
				t.Skip(tc.skip)
			}
			overSeeds(t, seeds, func(s *server) error {
				s.live(90, tc.before)
				s.live(45, tc.after)
				return s.silent()
			})
		})
	}
}

// quiet is a service that uses little of a CPU, in functions of different sizes, and
// never twice the same.
func quiet(rng *rand.Rand, share float64) load {
	const n = 12
	l := steady(1)
	l.waits = l.waits[:1]
	l.busy = map[string]float64{}
	all := 0.0
	for i := range n {
		usual := share / n * 2 * float64(i+1) / (n + 1)
		l.busy[fmt.Sprintf("step%d handle loop main", i)] = usual * math.Exp(0.4*rng.NormFloat64()-0.08)
	}
	for i := range n {
		all += l.busy[fmt.Sprintf("step%d handle loop main", i)]
	}
	l.waits[0].share = 1 - all
	return l
}

func TestChanceIsNotTold(t *testing.T) {
	for _, share := range []float64{0.03, 0.08, 0.3} {
		t.Run(fmt.Sprint(share), func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for range 200 {
					s.run(1, quiet(s.rng, share))
				}
				return s.silent()
			})
		})
	}
}

// What costs less than a fiftieth of a CPU is not told, however long it lasts.
func TestLittleIsNotWorthTelling(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		for i := range 120 {
			l := quiet(s.rng, 0.05)
			if i >= 60 {
				l.busy["step5 handle loop main"] += 0.016
			}
			s.run(1, l)
		}
		return s.silent()
	})
}

// A thread of a JVM waits for work at the same place all the time, and its loop is
// compiled in the end.
func TestAnIdlePlaceIsTheSameOnceItIsCompiled(t *testing.T) {
	interpreted, compiled := "@park ? ? ?", "@park ~Queue.poll ~Log.run ?"
	for then, told := range map[string]bool{compiled: false, "@park ~Peer.ask ~Log.flush ~Log.write ~Log.run ?": true} {
		overSeeds(t, seeds, func(s *server) error {
			l := with(steady(1), func(l *load) {
				l.waits = append(l.waits, site{stack: interpreted, call: "futex", share: 1, stuck: true})
			})
			s.run(60, l)
			onset := s.now
			s.run(20, with(l, func(l *load) { l.waits[len(l.waits)-1].stack = then }))
			if told {
				return s.told(onset, 20*time.Second)
			}
			return s.silent()
		})
	}
}

// A connection's thread that served it and is then kept for the next one hangs
// nowhere; a second one at the same place may.
func TestAThreadThatIsKeptForLaterDoesNotHang(t *testing.T) {
	for _, threads := range []int32{1, 2} {
		overSeeds(t, seeds, func(s *server) error {
			s.run(60, pool(8))
			onset := s.now
			for i := range 20 {
				s.run(1, pool(8))
				for n := range threads {
					if i == 0 {
						s.holdOne("@epoll_wait sleep serve worker", 90+n, 5)
					} else {
						s.holdOne("@futex wait_for_next keep serve worker", 90+n, 5)
					}
				}
			}
			if threads > 1 {
				return s.told(onset, 20*time.Second)
			}
			return s.silent()
		})
	}
}

// Threads that a shared library keeps wait for work, wherever that is; what they do
// amid work is the library's own.
func TestAPoolOfALibraryIsNobodys(t *testing.T) {
	for call, told := range map[string]bool{"futex": false, "fdatasync": true} {
		overSeeds(t, seeds, func(s *server) error {
			live := func(place, call string) {
				s.run(1, pool(8))
				st := stackOf(place)
				st.Complete = true
				for i := range st.Frames[1:] {
					st.Frames[1+i].Module, st.Frames[1+i].Origin = "libuv.so.1", threadtrace.OriginLibrary
				}
				for id := range int32(4) {
					b := &threadtrace.Batch{ThreadID: 90 + id, ThreadName: "worker", Stacks: []threadtrace.Stack{st}}
					for n := range int64(5) {
						b.Events = append(b.Events, threadtrace.Event{
							Kind: threadtrace.KindBlocked, Time: s.now - second + n*tick, Duration: tick, Elapsed: 60 * second,
							Number: number(t, call), Stack: 1,
						})
					}
					s.analyzer.AddBatch(b)
				}
			}
			for range 90 {
				live("@wait uv_poll worker", "epoll_wait")
			}
			onset := s.now
			for range 20 {
				live("@wait uv_flush worker", call)
			}
			if told {
				return s.told(onset, 20*time.Second, "uv_flush")
			}
			return s.silent()
		})
	}
}

// A thread in the background has something to do for a while, and sleeps between its
// steps where none has slept before. That one of the few samples of a service with
// little to do is of it says nothing.
func TestACheckpointIsNoHang(t *testing.T) {
	for name, l := range map[string]load{"a pool": pool(8), "little to do": steady(0.2)} {
		t.Run(name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				for i := range 100 {
					s.run(1, l)
					if i < 70 {
						s.holdOne("@epoll_wait wait_for_next checkpointer", 90, 5)
						continue
					}
					s.holdOne("@epoll_wait write_delay write_pages checkpointer", 90, 5)
					if i%5 == 0 {
						s.analyzer.AddBatch(&threadtrace.Batch{
							ThreadID: 90, Stacks: []threadtrace.Stack{stackOf("write_pages checkpointer")},
							Events: []threadtrace.Event{{Kind: threadtrace.KindSample, Time: s.now - second/2, Duration: second / 49, Number: threadtrace.NoCall, Stack: 1}},
						})
					}
				}
				return s.silent()
			})
		})
	}
}

// A thread that a pool starts rests between its tasks where none has rested, and longer each
// time, until it has none left.
func TestANewThreadOfAPoolRests(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		for i := range 140 {
			s.run(1, pool(8))
			if i >= 70 {
				s.computeOne("run_task worker", 90, 1)
				s.holdOne("@futex wait_for_tasks get_task worker", 90, min(5, (i-70)/5))
			}
		}
		return s.silent()
	})
}

// A fault that begins while a thread in the background spreads its work is not laid to that.
func TestAFaultBesideACheckpoint(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		for i := range 90 {
			s.run(1, pool(8))
			if i < 70 {
				s.holdOne("@epoll_wait wait_for_next checkpointer", 90, 5)
				continue
			}
			s.holdOne("@epoll_wait write_delay write_pages checkpointer", 90, 5)
			if i > 70 {
				s.stall(2, 2)
			}
		}
		return s.told(s.now-20*second, 20*time.Second, "wait_for_commit")
	})
}

// A collection of garbage gives memory back in thousands of calls, and no function of the
// program asks for it: it is told when it goes on.
func TestMemoryThatARuntimeGivesBack(t *testing.T) {
	giving := func(stack string) load {
		return with(steady(1), func(l *load) {
			l.calls = append(l.calls, calls{"madvise", 1000, 400 * time.Microsecond, 0, stack})
			if stack != "" {
				l.waits[0].share -= 0.4
				l.waits[0].also = &site{stack: stack, call: "madvise", share: 0.4}
			}
		})
	}
	for _, tc := range []struct {
		name, stack string
		seconds     int
		told        bool
	}{
		{"for a hop", "", 5, false},
		{"for three hops", "", 15, false},
		{"longer", "", 30, true},
		{"a function of the program, for a hop", "@madvise shrink handle loop main", 5, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				s.run(75, steady(1))
				s.run(tc.seconds, giving(tc.stack))
				s.run(20, steady(1))
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}
