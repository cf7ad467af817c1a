package window

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

const (
	second = int64(time.Second)
	tick   = second / 5
	epoch  = int64(1_700_000_000) * second
)

// server simulates a service as the watch tier and the syscall hooks see it:
// each second it spends cpu (in seconds per second) in the stacks of busy,
// waits in the sites of waits, and makes calls.
type server struct {
	t       *testing.T
	service *Service
	rng     *rand.Rand
	now     int64
	found   []suspect.Anomaly
	// cpu is what threads outside the load use in the next second.
	cpu float64
}

// load is what the server does during a phase.
type load struct {
	busy  map[string]float64 // stack (innermost first, space separated) → share of a CPU
	waits []site             // one thread each, in order
	calls []calls
	// gap is how many times as far apart as they should be the snapshots are; zero
	// is once.
	gap int64
}

type site struct {
	stack, call string
	share       float64
	stuck       bool
	also        *site
}

type calls struct {
	name  string
	n     int
	took  time.Duration
	ret   int32
	stack string
}

func newServer(t *testing.T) *server {
	return &server{t: t, service: NewService(DefaultConfig(), "amd64"), rng: rand.New(rand.NewPCG(7, 8)), now: epoch}
}

func number(t *testing.T, name string) int32 {
	t.Helper()
	nr, ok := syscalltrace.Number("amd64", name)
	if !ok {
		t.Fatalf("no call %q", name)
	}
	return nr
}

func stackOf(text string) syscalltrace.Stack {
	var s syscalltrace.Stack
	for _, f := range strings.Fields(text) {
		frame := syscalltrace.Frame{Function: f, Module: "server"}
		switch f[0] {
		case '@':
			frame = syscalltrace.Frame{Function: f[1:], Module: "libc.so.6", Origin: syscalltrace.OriginLibrary}
		case '~': // compiled by a JIT compiler
			frame = syscalltrace.Frame{Function: f[1:], Module: "[jit]"}
		case '?': // not compiled yet
			frame = syscalltrace.Frame{Function: "Interpreter", Module: "[jit]", Origin: syscalltrace.OriginRuntime}
		}
		if f[0] == '%' {
			frame = syscalltrace.Frame{Function: f[1:], Module: "server", Origin: syscalltrace.OriginLibrary}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

// run lets the server live for some seconds under a load.
func (s *server) run(seconds int, l load) {
	s.t.Helper()
	const period = second / 49
	for range seconds {
		threads := map[int32]*syscalltrace.Batch{}
		batch := func(id int32) *syscalltrace.Batch {
			if threads[id] == nil {
				threads[id] = &syscalltrace.Batch{ThreadID: id, ThreadName: "worker"}
			}
			return threads[id]
		}
		add := func(id int32, e syscalltrace.Event, stack string) {
			b := batch(id)
			if stack != "" {
				b.Stacks = append(b.Stacks, stackOf(stack))
				e.Stack = uint32(len(b.Stacks))
			}
			b.Events = append(b.Events, e)
		}
		cpu := s.cpu
		s.cpu = 0
		for _, stack := range slices.Sorted(maps.Keys(l.busy)) {
			share := l.busy[stack]
			cpu += share
			nr := syscalltrace.NoCall
			if name, ok := strings.CutPrefix(strings.Fields(stack)[0], "@"); ok {
				nr = number(s.t, name)
			}
			for i := range int64(49) {
				if s.rng.Float64() < share {
					add(1, syscalltrace.Event{Kind: syscalltrace.KindSample, Time: s.now + i*period, Duration: period, Number: nr}, stack)
				}
			}
		}
		for i, w := range l.waits {
			step := tick * max(1, l.gap)
			for at := int64(0); at < second; at += step {
				where := s.rng.Float64()
				if w.also != nil && where >= w.share && where < w.share+w.also.share {
					e := syscalltrace.Event{Kind: syscalltrace.KindBlocked, Time: s.now + at, Duration: step, Elapsed: step, Number: number(s.t, w.also.call)}
					add(int32(1+i), e, w.also.stack)
				}
				if where < w.share {
					e := syscalltrace.Event{Kind: syscalltrace.KindBlocked, Time: s.now + at, Duration: step, Elapsed: step, Number: number(s.t, w.call)}
					if w.stuck {
						e.Elapsed = 60 * second
					}
					add(int32(1+i), e, w.stack)
				}
			}
		}
		for _, c := range l.calls {
			for i := range c.n {
				e := syscalltrace.Event{
					Kind: syscalltrace.KindCall, Time: s.now + int64(i)*second/int64(c.n), Duration: int64(c.took),
					Number: number(s.t, c.name), Return: c.ret,
				}
				stack := ""
				if i%16 == 0 {
					stack = c.stack
				}
				add(1, e, stack)
			}
		}
		for _, b := range threads {
			slices.SortStableFunc(b.Events, func(a, b syscalltrace.Event) int { return int(a.Time - b.Time) })
			s.service.AddBatch(b)
		}
		s.service.AddCoverage(syscalltrace.Coverage{
			Start: s.now, End: s.now + second, Traced: time.Second, SamplePeriod: time.Second / 49,
			SnapshotPeriod: 200 * time.Millisecond, CPUTime: time.Duration(cpu * 1e9), Threads: 1, Functions: 1000,
		})
		s.now += second
		s.found = append(s.found, s.service.Advance(s.now-2*second)...)
	}
}

// normal is an event loop that serves requests, rate times a hundred a
// second, and a pool of two threads that wait for work.
func normal(rate float64) load {
	n := int(100 * rate)
	return load{
		busy: map[string]float64{
			"parse handle loop main": 0.04 * rate, "reply handle loop main": 0.03 * rate, "poll loop main": 0.02 * rate,
		},
		waits: []site{
			{stack: "@epoll_wait poll loop main", call: "epoll_wait", share: 1 - 0.09*rate},
			{stack: "@pthread_cond_wait take worker", call: "futex", share: 1},
			{stack: "@pthread_cond_wait take worker", call: "futex", share: 1},
		},
		calls: []calls{
			{"epoll_wait", n, 5 * time.Millisecond, 1, "@epoll_wait poll loop main"},
			{"read", n, 2 * time.Microsecond, 100, "@read receive handle loop main"},
			{"write", n, 4 * time.Microsecond, 1000, "@write reply handle loop main"},
		},
	}
}

// asking is normal with a pool of workers that ask a peer for a tenth of
// their time.
func asking() load {
	l := normal(1)
	for i := 1; i < len(l.waits); i++ {
		l.waits[i].share = 0.85
		l.waits[i].also = &site{stack: "@read ask_peer job worker", call: "read", share: 0.1}
	}
	return l
}

// pool is normal with n workers that serve the requests.
func pool(n int) load {
	l := normal(1)
	l.waits = l.waits[:0:0]
	for range n {
		l.waits = append(l.waits, site{stack: "@epoll_wait sleep serve worker", call: "epoll_wait", share: 0.95})
	}
	return l
}

func with(l load, change func(*load)) load {
	change(&l)
	return l
}

func TestHealthy(t *testing.T) {
	for _, tc := range []struct {
		name   string
		phases []load
	}{
		{"steady", []load{normal(1)}},
		{"three times the load and back", []load{normal(1), normal(3), normal(1)}},
		{"from saturation to idle", []load{normal(10), normal(0.1)}},
		{"no more requests", []load{normal(3), normal(0)}},
		{"new threads that wait", []load{normal(1), with(normal(1), func(l *load) {
			for range 8 {
				l.waits = append(l.waits, site{stack: "@pthread_cond_wait lazy_pool", call: "futex", share: 1})
			}
		})}},
		{"looks for files that are not there", []load{normal(1), with(normal(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -2, "@open open_file handle loop main"})
		})}},
		{"as short of descriptors as ever", []load{with(normal(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
		}), with(normal(1), func(l *load) {
			l.calls = append(l.calls, calls{"openat", 16, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
		})}},
		{"a stopped process goes on", []load{{}, normal(1)}},
		{"a new mix of requests at the old cost", []load{normal(1), with(normal(1), func(l *load) {
			l.busy = map[string]float64{"parse handle loop main": 0.02, "reply2 handle2 loop main": 0.05, "poll loop main": 0.02}
		})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			for _, l := range tc.phases {
				s.run(90, l)
			}
			for _, a := range s.found {
				t.Errorf("anomaly in a healthy run: %+v", a)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		healthy *load
		fault   load
		truth   string
		pattern string
		kind    suspect.Kind
	}{
		{
			name: "a sync in every request",
			fault: with(normal(0.5), func(l *load) {
				l.waits[0].share = 0.2
				l.waits = append(l.waits[:1:1], site{stack: "@fdatasync flush handle loop main", call: "fdatasync", share: 0.7})
				l.calls = append(l.calls, calls{"fdatasync", 50, 14 * time.Millisecond, 0, "@fdatasync flush handle loop main"})
			}),
			truth: "flush", pattern: suspect.PatternSyncWrite,
		},
		{
			name: "an endless loop",
			fault: with(normal(0), func(l *load) {
				l.busy = map[string]float64{"scan find handle loop main": 0.95, "find handle loop main": 0.05}
				l.waits[0].share = 0
			}),
			truth: "scan", pattern: suspect.PatternLongComputation,
		},
		{
			name: "a call that fails and is tried again",
			fault: with(normal(1), func(l *load) {
				l.busy["@accept4 take_client loop main"] = 0.5
				l.busy["poll loop main"] = 0.2
				l.waits[0].share = 0
				l.calls = append(l.calls,
					calls{"accept4", 2000, 2 * time.Microsecond, -11, "@accept take_client loop main"},
					calls{"epoll_wait", 2000, time.Microsecond, 1, "@epoll_wait poll loop main"})
			}),
			truth: "take_client", pattern: suspect.PatternBusyFailingCall,
		},
		{
			name: "no descriptors left, and no time lost by it",
			fault: with(normal(1), func(l *load) {
				l.calls = append(l.calls, calls{"openat", 8, 2 * time.Microsecond, -24, "@open open_file handle loop main"})
			}),
			truth: "open_file", pattern: suspect.PatternDescriptorExhaustion,
		},
		{
			name: "a peer that is gone, and no time lost by it",
			fault: with(normal(1), func(l *load) {
				l.calls = append(l.calls, calls{"connect", 8, 2 * time.Microsecond, -111, "@connect ask_peer handle loop main"})
			}),
			truth: "ask_peer", pattern: suspect.PatternPeerUnreachable,
		},
		{
			name: "a worker that waits where none does",
			fault: with(normal(1), func(l *load) {
				l.waits[1] = site{stack: "@read ask_peer job worker", call: "read", share: 1, stuck: true}
			}),
			truth: "ask_peer", pattern: suspect.PatternStuckCall, kind: suspect.KindSilence,
		},
		{
			name: "a nap in every request, by a wait that times out",
			fault: with(normal(0.3), func(l *load) {
				l.waits[0] = site{stack: "@epoll_wait nap handle loop main", call: "epoll_wait", share: 0.9}
				l.calls = append(l.calls, calls{"epoll_wait", 30, 30 * time.Millisecond, 0, "@epoll_wait nap handle loop main"})
			}),
			truth: "nap", pattern: suspect.PatternSleepInRequest,
		},
		{
			name: "a peer that stops to answer", healthy: func() *load { l := asking(); return &l }(),
			fault: with(normal(0.02), func(l *load) {
				for i := 1; i < len(l.waits); i++ {
					l.waits[i] = site{stack: "@read ask_peer job worker", call: "read", share: 1, stuck: true}
				}
			}),
			truth: "ask_peer", pattern: suspect.PatternStuckCall, kind: suspect.KindSilence,
		},
		{
			name: "all workers at one lock", healthy: func() *load { l := pool(8); return &l }(),
			fault: with(pool(8), func(l *load) {
				for i := range l.waits {
					l.waits[i] = site{stack: "@epoll_wait sleep_on_lock lock_table update worker", call: "epoll_wait", share: 1, stuck: true}
				}
				l.busy, l.calls = nil, nil
			}),
			truth: "sleep_on_lock", pattern: suspect.PatternStuckCall, kind: suspect.KindSilence,
		},
		{
			name: "a lock",
			fault: with(normal(0.3), func(l *load) {
				l.waits[0] = site{stack: "@__lll_lock_wait @pthread_mutex_lock update handle loop main", call: "futex", share: 0.9}
			}),
			truth: "update", pattern: suspect.PatternLockWait,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			healthy := normal(1)
			if tc.healthy != nil {
				healthy = *tc.healthy
			}
			s := newServer(t)
			s.run(60, healthy)
			if len(s.found) > 0 {
				t.Fatalf("anomaly before the fault: %+v", s.found[0])
			}
			onset := s.now
			s.run(20, tc.fault)
			if len(s.found) == 0 {
				t.Fatal("nothing found")
			}
			first := s.found[0]
			if late := first.End - onset; late > 10*second {
				t.Errorf("found after %v", time.Duration(late))
			}
			if first.Suspects[0].Function != tc.truth {
				t.Errorf("first suspect %q, want %q (%+v)", first.Suspects[0].Function, tc.truth, first.Suspects)
			}
			if first.Pattern != tc.pattern {
				t.Errorf("pattern %q, want %q", first.Pattern, tc.pattern)
			}
			if tc.kind != "" && first.Kind != tc.kind {
				t.Errorf("kind %q, want %q", first.Kind, tc.kind)
			}
			if len(first.Units) == 0 {
				t.Error("no stretch of a thread is named")
			}
			t.Log(first.Summary)
			s.run(30, healthy)
			if len(s.found) < 3 {
				t.Errorf("20 seconds of a fault are %d anomalies: it was lost while it lasted", len(s.found))
			}
			before := len(s.found)
			s.run(60, healthy)
			if len(s.found) != before {
				t.Errorf("still abnormal after the fault: %+v", s.found[before])
			}
		})
	}
}

// The same events give the same anomalies.
func TestReplayIsDeterministic(t *testing.T) {
	run := func() []suspect.Anomaly {
		s := newServer(t)
		s.run(60, normal(1))
		s.run(20, with(normal(1), func(l *load) { l.busy["scan find handle loop main"] = 0.5 }))
		return s.found
	}
	first := run()
	for range 3 {
		again := run()
		if len(again) != len(first) {
			t.Fatalf("%d anomalies, then %d", len(first), len(again))
		}
		for i := range again {
			if again[i].Summary != first[i].Summary || !slices.EqualFunc(again[i].Suspects, first[i].Suspects, func(a, b suspect.Suspect) bool {
				return a.Function == b.Function && a.Score == b.Score
			}) {
				t.Errorf("anomaly %d differs: %+v, then %+v", i, first[i], again[i])
			}
		}
	}
}

// A thread of a JVM that waits for work at the same place all the time, whose loop is
// compiled in the end, and another that from then on waits for a peer.
func TestAnIdlePlaceIsTheSameOnceItIsCompiled(t *testing.T) {
	interpreted, compiled := "@park ? ? ?", "@park ~Queue.poll ~Log.run ?"
	for _, tc := range []struct {
		then  string
		found bool
	}{{compiled, false}, {"@park ~Peer.ask ~Log.flush ~Log.write ~Log.run ?", true}} {
		s := newServer(t)
		l := with(normal(1), func(l *load) {
			l.waits = append(l.waits, site{stack: interpreted, call: "futex", share: 1, stuck: true})
		})
		s.run(60, l)
		s.run(20, with(l, func(l *load) {
			l.waits[len(l.waits)-1].stack = tc.then
		}))
		if found := len(s.found) > 0; found != tc.found {
			t.Errorf("%s: %v", tc.then, s.found)
		}
	}
}
