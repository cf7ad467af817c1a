package window

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// stall holds up all threads of a pool for some snapshots of the second that
// ends now.
func (s *server) stall(threads, snapshots int) {
	s.hold("@futex wait_for_commit commit serve worker", threads, snapshots)
}

// hold has the first threads wait at a place, whose first name is that of the
// call.
func (s *server) hold(place string, threads, snapshots int) {
	for i := range threads {
		s.holdOne(place, int32(1+i), snapshots)
	}
}

func (s *server) holdOne(place string, thread int32, snapshots int) {
	call, _, _ := strings.Cut(place[1:], " ")
	b := &syscalltrace.Batch{ThreadID: thread, ThreadName: "worker", Stacks: []syscalltrace.Stack{stackOf(place)}}
	for n := range snapshots {
		b.Events = append(b.Events, syscalltrace.Event{
			Kind: syscalltrace.KindBlocked, Time: s.now - second + int64(n)*tick, Duration: tick, Elapsed: tick,
			Number: number(s.t, call), Stack: 1,
		})
	}
	s.service.AddBatch(b)
}

func TestASingleStallIsNotTold(t *testing.T) {
	s := newServer(t)
	s.run(60, pool(8))
	s.stall(8, 2)
	s.run(60, pool(8))
	if len(s.found) > 0 {
		t.Errorf("a stall of 0.4 s is told: %s", s.found[0].Summary)
	}
	for range 10 {
		s.run(1, pool(8))
		s.stall(8, 3)
	}
	s.run(5, pool(8))
	if len(s.found) == 0 {
		t.Error("stalls in every second are not told")
	}
}

// TestManyShortWaitsAreNoStall: that hardly a look meets one does not make them a
// single stall.
func TestManyShortWaitsAreNoStall(t *testing.T) {
	for seed := range uint64(5) {
		s := newServer(t)
		s.rng = rand.New(rand.NewPCG(seed, 9))
		s.run(60, normal(1))
		onset := s.now
		l := normal(1)
		const stack = "@fdatasync flush handle loop main"
		l.waits[0].also = &site{stack: stack, call: "fdatasync", share: 0.1}
		l.calls = append(l.calls, calls{"fdatasync", 300, time.Millisecond, 0, stack})
		s.run(20, l)
		if len(s.found) == 0 || s.found[0].End > onset+5*second {
			t.Errorf("seed %d: not told of the first hop: %+v", seed, s.service.Stats())
		}
	}
}

// TestWhatWasInDoubtIsToldInTheEnd: hops that were not certain by themselves are
// part of what is told, for the spans that are still held.
func TestWhatWasInDoubtIsToldInTheEnd(t *testing.T) {
	s := newServer(t)
	s.run(60, pool(8))
	onset, doubted := s.now, 0
	for range 20 {
		s.run(1, pool(8))
		s.stall(8, 1)
		decided := s.service.Decided(s.now)
		switch {
		case decided == s.now:
		case len(s.found) > 0:
			t.Errorf("decided up to %d s before now, and told", (s.now-decided)/second)
		case decided > onset:
			t.Errorf("decided up to %d s after the onset", (decided-onset)/second)
		default:
			doubted++
		}
	}
	if doubted == 0 {
		t.Error("never in doubt")
	}
	s.run(5, pool(8))
	if len(s.found) == 0 {
		t.Fatalf("not told: %+v", s.service.Stats())
	}
	hop := int64(DefaultConfig().Hop)
	a := s.found[0]
	if a.End-a.Start != 3*hop || a.Start > onset {
		t.Errorf("told from %d to %d hops after the onset", (a.Start-onset)/hop, (a.End-onset)/hop)
	}
	early := 0
	for _, u := range a.Units {
		if u.Start < a.Start || u.End > a.End || u.End < u.Start {
			t.Errorf("a stretch of thread %d from %d to %d is outside", u.ThreadID, u.Start, u.End)
		}
		if u.End <= a.Start+hop {
			early++
		}
	}
	if early == 0 {
		t.Error("no thread is told of the first hop")
	}
}

// TestAThreadThatIsKeptForLater: a connection's thread that served it and is then
// kept for the next one hangs nowhere; a second one at the same place may.
func TestAThreadThatIsKeptForLater(t *testing.T) {
	for _, threads := range []int32{1, 2} {
		s := newServer(t)
		s.run(60, pool(8))
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
		if told := len(s.found) > 0; told != (threads > 1) {
			t.Errorf("%d threads: told %v", threads, told)
		}
	}
}

// TestAPoolOfALibraryIsNobodys: threads that a shared library keeps wait for work,
// wherever that is; what they do amid work is the library's own.
func TestAPoolOfALibraryIsNobodys(t *testing.T) {
	for call, want := range map[string]bool{"futex": false, "fdatasync": true} {
		s := newServer(t)
		live := func(place, call string) {
			s.run(1, pool(8))
			st := stackOf(place)
			st.Complete = true
			for i := range st.Frames[1:] {
				st.Frames[1+i].Module, st.Frames[1+i].Origin = "libuv.so.1", syscalltrace.OriginLibrary
			}
			for id := range int32(4) {
				b := &syscalltrace.Batch{ThreadID: 90 + id, ThreadName: "worker", Stacks: []syscalltrace.Stack{st}}
				for n := range int64(5) {
					b.Events = append(b.Events, syscalltrace.Event{
						Kind: syscalltrace.KindBlocked, Time: s.now - second + n*tick, Duration: tick, Elapsed: 60 * second,
						Number: number(t, call), Stack: 1,
					})
				}
				s.service.AddBatch(b)
			}
		}
		for range 90 {
			live("@wait uv_poll worker", "epoll_wait")
		}
		for range 20 {
			live("@wait uv_wait worker", call)
		}
		if told := len(s.found) > 0; told != want {
			t.Errorf("%s: told %v", call, told)
		}
	}
}

// TestACheckpointIsNoHang: a thread in the background has something to do for a
// while, and sleeps between its steps where none has slept before. That one of the
// few samples of a service with little to do is of it says nothing.
func TestACheckpointIsNoHang(t *testing.T) {
	for _, l := range []load{pool(8), normal(0.2)} {
		s := newServer(t)
		for i := range 100 {
			s.run(1, l)
			if i < 70 {
				s.holdOne("@epoll_wait wait_for_next checkpointer", 90, 5)
				continue
			}
			s.holdOne("@epoll_wait write_delay write_pages checkpointer", 90, 5)
			if i%5 == 0 {
				s.service.AddBatch(&syscalltrace.Batch{
					ThreadID: 90, Stacks: []syscalltrace.Stack{stackOf("write_pages checkpointer")},
					Events: []syscalltrace.Event{{Kind: syscalltrace.KindSample, Time: s.now - second/2, Duration: second / 49, Number: syscalltrace.NoCall, Stack: 1}},
				})
			}
		}
		if len(s.found) > 0 {
			t.Errorf("told: %s", s.found[0].Summary)
		}
	}
}

// TestAHiccupHidesNothing: that threads once waited for five seconds for the
// server behind them makes that neither a place where they idle nor a wait that is usual.
func TestAHiccupHidesNothing(t *testing.T) {
	s := newServer(t)
	ask := "@poll ask_upstream forward serve worker"
	for i := range 60 {
		s.run(1, pool(8))
		if i >= 5 && i < 10 {
			s.hold(ask, 8, 4)
		} else {
			s.hold(ask, 2, 1)
		}
	}
	if len(s.found) > 0 {
		t.Fatalf("told while all is learned: %s", s.found[0].Summary)
	}
	for range 20 {
		s.run(1, pool(8))
		s.hold(ask, 8, 4)
	}
	if len(s.found) == 0 {
		t.Fatal("waiting for the server behind all the time is not told")
	}
	if first := s.found[0].Suspects[0]; first.Function != "ask_upstream" && first.Function != "forward" {
		t.Errorf("the first suspect is %s", first.Function)
	}
}

func TestASmallDepartureThatLastsIsTold(t *testing.T) {
	s := newServer(t)
	s.run(80, normal(1))
	onset := s.now
	// Some four fifths of what one hop needs.
	s.run(40, with(normal(1), func(l *load) { l.busy["scan find handle loop main"] = 0.045 }))
	if len(s.found) == 0 {
		t.Fatal("it became the past that hides it")
	}
	if first := s.found[0]; first.Suspects[0].Function != "scan" || first.End-onset > 30*second {
		t.Errorf("after %d s: %s", (first.End-onset)/second, first.Summary)
	}
}

func TestNewWorkInManySmallFunctions(t *testing.T) {
	s := newServer(t)
	s.run(60, normal(1))
	s.run(20, with(normal(1), func(l *load) {
		for i := range 200 {
			l.busy[fmt.Sprintf("step%d convert handle loop main", i)] = 0.0015
		}
	}))
	if len(s.found) == 0 {
		t.Fatal("nothing found")
	}
	if got := s.found[0].Suspects[0].Function; got != "convert" {
		t.Errorf("first suspect %q, want what calls them all", got)
	}
}

func TestALoopInAPoolThatWaitsForOthers(t *testing.T) {
	busy := pool(8)
	for i := range busy.waits {
		busy.waits[i].share = 0.6
		busy.waits[i].also = &site{stack: "@connect ask_peer serve worker", call: "connect", share: 0.35}
	}
	s := newServer(t)
	s.run(60, busy)
	s.run(20, with(busy, func(l *load) {
		l.busy = map[string]float64{
			"parse handle loop main": 0.04, "reply handle loop main": 0.03, "poll loop main": 0.02, "scan serve worker": 0.3,
		}
	}))
	if len(s.found) == 0 {
		t.Fatal("its threads wait for others, and a loop that takes four times the CPU is not told")
	}
	if got := s.found[0].Suspects[0].Function; got != "scan" {
		t.Errorf("first suspect %q", got)
	}
}

// A file that was written is put away by somebody, which may take a hop and more.
func TestASyncThatLastsIsNotTold(t *testing.T) {
	s := newServer(t)
	b := &syscalltrace.Batch{ThreadID: 1, Stacks: []syscalltrace.Stack{stackOf("@fdatasync put_away save serve worker")}}
	syncs := func(seconds int) {
		for sec := range int64(seconds) {
			s.run(1, pool(8))
			b.Events = b.Events[:0]
			for k := range int64(5) {
				b.Events = append(b.Events, syscalltrace.Event{
					Kind: syscalltrace.KindBlocked, Time: s.now - second + k*tick, Duration: tick, Elapsed: sec%3*second + (k+1)*tick,
					Number: number(t, "fdatasync"), Stack: 1,
				})
			}
			s.service.AddBatch(b)
		}
	}
	s.run(60, pool(8))
	syncs(6)
	s.run(30, pool(8))
	if len(s.found) > 0 {
		t.Errorf("it is told: %s", s.found[0].Summary)
	}
	syncs(25)
	if len(s.found) == 0 {
		t.Error("a disk that has become slow for good is not told")
	}
}

// A server with a thread per connection gets new ones seldom. What they do is
// held against what the others of their role do, though they wait for long.
func TestNewConnectionsThatSleep(t *testing.T) {
	s := newServer(t)
	waits := func(id int32, stack, call string, ticks int64) {
		b := &syscalltrace.Batch{ThreadID: id, Stacks: []syscalltrace.Stack{stackOf(stack)}}
		for k := range ticks {
			b.Events = append(b.Events, syscalltrace.Event{
				Kind: syscalltrace.KindBlocked, Time: s.now - second + k*tick, Duration: tick, Elapsed: tick,
				Number: number(t, call), Stack: 1,
			})
		}
		s.service.AddBatch(b)
	}
	const idle, sleep = "@poll read_command serve connection", "@futex wait_for sleep eval select serve connection"
	for sec := range 90 {
		s.run(1, normal(1))
		for id := int32(50); id < 58; id++ {
			waits(id, idle, "poll", 4)
		}
		for id := int32(80); sec >= 60 && id < 84; id++ {
			if sec == 72 {
				waits(id, idle, "poll", 1)
			} else {
				waits(id, sleep, "futex", 5)
			}
		}
	}
	if len(s.found) == 0 {
		t.Fatal("it is not told")
	}
	if first := s.found[0].Suspects[0].Function; first != "wait_for" && first != "sleep" {
		t.Errorf("the first suspect is %s", first)
	}
}
