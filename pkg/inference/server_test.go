package inference

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	second = int64(time.Second)
	tick   = second / 5
	period = second / 49
	epoch  = int64(1_700_000_000) * second
	// seeds is under how many a situation with chance in it is tried.
	seeds = 5
)

// server simulates a service as its receiver sees it: each second it spends CPU in
// the stacks of busy, waits in the sites of waits, and makes calls.
type server struct {
	t        *testing.T
	analyzer *Analyzer
	rng      *rand.Rand
	now      int64
	found    []Anomaly
	// looksAhead has hops judged before they are over.
	looksAhead bool
	// cpu is what threads outside the load use in the next second.
	cpu float64
	// order gives the threads of a second the order in which they come; they are
	// sorted without it.
	order  func([]*threadtrace.Batch)
	parsed map[string]threadtrace.Stack
}

// load is what the server does during a phase.
type load struct {
	busy  map[string]float64 // stack (innermost first, space separated) → share of a CPU
	waits []site             // one thread each, in order
	calls []calls
	// wakings end waits, as often a second as each says.
	wakings []wakings
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

// wakings are ends of waits of a thread, by another one, evenly over a second.
type wakings struct {
	n            int
	thread, by   int32
	call         string
	waited       time.Duration
	stack, waker string
}

type calls struct {
	name  string
	n     int
	took  time.Duration
	ret   int32
	stack string
}

// phase is a load with what it does not have.
type phase struct {
	load  load
	extra func(*server)
	// dropped is how many calls of each second the ring lost.
	dropped uint64
}

func newServer(t *testing.T, seed uint64) *server {
	return &server{
		t: t, analyzer: NewAnalyzer(DefaultConfig(), "amd64"), rng: rand.New(rand.NewPCG(seed, 8)), now: epoch,
		parsed: map[string]threadtrace.Stack{},
	}
}

// overSeeds tries a situation under several seeds. It must come out right under at
// least so many of them.
func overSeeds(t *testing.T, least int, try func(*server) error) {
	t.Helper()
	var wrong []error
	for seed := range uint64(seeds) {
		if err := try(newServer(t, seed)); err != nil {
			wrong = append(wrong, fmt.Errorf("seed %d: %w", seed, err))
		}
	}
	if seeds-len(wrong) < least {
		t.Errorf("right under %d of %d seeds, want %d:\n%v", seeds-len(wrong), seeds, least, errors.Join(wrong...))
	}
}

// silent is an error when something was told.
func (s *server) silent() error {
	if len(s.found) == 0 {
		return nil
	}
	a := s.found[0]
	return fmt.Errorf("told %d times, first after %d s: score %.2f %s %v", len(s.found), (a.End-epoch)/second, a.Score, a.Summary, functionsOf(a.Suspects))
}

// told is an error when nothing is told within a time of the onset, or something
// before, or the functions first told are others.
func (s *server) told(onset int64, within time.Duration, truth ...string) error {
	if len(s.found) == 0 {
		return fmt.Errorf("nothing told: %+v", s.analyzer.Stats())
	}
	first := s.found[0]
	if first.End <= onset {
		return fmt.Errorf("told before the onset: %s", first.Summary)
	}
	if late := time.Duration(first.End - onset); late > within {
		return fmt.Errorf("told after %v: %s", late, first.Summary)
	}
	if got := functionsOf(first.Suspects); len(got) < len(truth) || !slices.Equal(got[:len(truth)], truth) {
		return fmt.Errorf("suspects %v, want %v first: %s", got, truth, first.Summary)
	}
	return nil
}

func functionsOf(suspects []Suspect) (n []string) {
	for _, s := range suspects {
		n = append(n, s.Function)
	}
	return n
}

func number(t testing.TB, name string) int32 {
	t.Helper()
	nr, ok := threadtrace.Number("amd64", name)
	if !ok {
		t.Fatalf("no call %q", name)
	}
	return nr
}

// stackOf reads a stack, innermost first: @ marks functions of the C library, % of
// another library in the program, # of a package that was installed, ~ what a JIT compiler compiled, ? what it has not
// compiled yet.
func stackOf(text string) threadtrace.Stack {
	var s threadtrace.Stack
	for _, f := range strings.Fields(text) {
		frame := threadtrace.Frame{Function: f[1:], Module: "[jit]"}
		switch f[0] {
		case '@':
			frame.Module, frame.Origin = "libc.so.6", threadtrace.OriginLibrary
		case '%':
			frame.Module, frame.Origin = "server", threadtrace.OriginLibrary
		case '#':
			frame.Module, frame.Origin = "markup/parser.py", threadtrace.OriginLibrary
		case '~':
		case '?':
			frame.Function, frame.Origin = "Interpreter", threadtrace.OriginRuntime
		default:
			frame = threadtrace.Frame{Function: f, Module: "server"}
		}
		s.Frames = append(s.Frames, frame)
	}
	return s
}

func (s *server) stack(text string) threadtrace.Stack {
	st, ok := s.parsed[text]
	if !ok {
		st = stackOf(text)
		s.parsed[text] = st
	}
	return st
}

// second gathers what the threads do in one second.
type secondOf struct {
	*server
	threads map[int32]*threadtrace.Batch
}

func (o *secondOf) add(id int32, e threadtrace.Event, stack string) {
	b := o.threads[id]
	if b == nil {
		b = &threadtrace.Batch{ThreadID: id, ThreadName: "worker"}
		o.threads[id] = b
	}
	if stack != "" {
		b.Stacks = append(b.Stacks, o.stack(stack))
		e.Stack = uint32(len(b.Stacks))
	}
	b.Events = append(b.Events, e)
}

// run lets the server live for some seconds under a load.
func (s *server) run(seconds int, l load) {
	s.t.Helper()
	for range seconds {
		o := secondOf{s, map[int32]*threadtrace.Batch{}}
		cpu := s.cpu + o.compute(l.busy)
		s.cpu = 0
		for i, w := range l.waits {
			o.wait(int32(1+i), w, tick*max(1, l.gap))
		}
		for _, c := range l.calls {
			o.call(c)
		}
		for _, w := range l.wakings {
			o.wake(w)
		}
		o.deliver()
		s.analyzer.AddCoverage(threadtrace.Coverage{
			Start: s.now, End: s.now + second, Traced: time.Second, SamplePeriod: time.Second / 49,
			SnapshotPeriod: 200 * time.Millisecond, CPUTime: time.Duration(cpu * 1e9), Threads: 1, Functions: 1000,
		})
		s.now += second
		s.found = append(s.found, s.analyzer.Advance(s.now-2*second)...)
		if s.looksAhead {
			if a, ok := s.analyzer.Ahead(s.now - 2*second); ok {
				s.found = append(s.found, a)
			}
		}
	}
}

// live is run for a phase.
func (s *server) live(seconds int, p phase) {
	s.t.Helper()
	for range seconds {
		if p.extra != nil {
			p.extra(s)
		}
		if p.dropped > 0 {
			s.analyzer.AddCoverage(threadtrace.Coverage{
				Start: s.now, End: s.now + second, Traced: time.Second, Dropped: map[string]uint64{"ring_overwrite": p.dropped},
			})
		}
		s.run(1, p.load)
	}
}

func (o *secondOf) compute(busy map[string]float64) (cpu float64) {
	for _, stack := range slices.Sorted(maps.Keys(busy)) {
		share := busy[stack]
		cpu += share
		nr := threadtrace.NoCall
		if name, ok := strings.CutPrefix(strings.Fields(stack)[0], "@"); ok {
			nr = number(o.t, name)
		}
		for i := range int64(49) {
			if o.rng.Float64() < share {
				o.add(1, threadtrace.Event{Kind: threadtrace.KindSample, Time: o.now + i*period, Duration: period, Number: nr}, stack)
			}
		}
	}
	return cpu
}

func (o *secondOf) wait(id int32, w site, step int64) {
	for at := int64(0); at < second; at += step {
		where := o.rng.Float64()
		if w.also != nil && where >= w.share && where < w.share+w.also.share {
			e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: o.now + at, Duration: step, Elapsed: step, Number: number(o.t, w.also.call)}
			o.add(id, e, w.also.stack)
		}
		if where < w.share {
			e := threadtrace.Event{Kind: threadtrace.KindBlocked, Time: o.now + at, Duration: step, Elapsed: step, Number: number(o.t, w.call)}
			if w.stuck {
				e.Elapsed = 60 * second
			}
			o.add(id, e, w.stack)
		}
	}
}

func (o *secondOf) call(c calls) {
	for i := range c.n {
		e := threadtrace.Event{
			Kind: threadtrace.KindCall, Time: o.now + int64(i)*second/int64(c.n), Duration: int64(c.took),
			Number: number(o.t, c.name), Return: c.ret,
		}
		stack := ""
		if i%16 == 0 {
			stack = c.stack
		}
		o.add(1, e, stack)
	}
}

func (o *secondOf) wake(w wakings) {
	b := o.threads[w.thread]
	b.Stacks = append(b.Stacks, o.stack(w.stack), o.stack(w.waker))
	n := uint32(len(b.Stacks))
	for i := range w.n {
		at := o.now + int64(i+1)*second/int64(w.n+1)
		b.Wakings = append(b.Wakings, threadtrace.Waking{
			Time: at, Start: at - int64(w.waited), Number: number(o.t, w.call), By: threadtrace.WakerThread, Thread: w.by,
			Name: "worker", Stack: n - 1, WakerStack: n,
		})
	}
}

func (o *secondOf) deliver() {
	batches := slices.SortedFunc(maps.Values(o.threads), func(a, b *threadtrace.Batch) int { return int(a.ThreadID - b.ThreadID) })
	if o.order != nil {
		o.order(batches)
	}
	for _, b := range batches {
		slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return int(a.Time - b.Time) })
		o.analyzer.AddBatch(b)
	}
}

// steady is an event loop that serves requests, rate times a hundred a second, and a
// pool of two threads that wait for work.
func steady(rate float64) load {
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

// asking is steady with a pool of workers that ask a peer for a tenth of their time.
func asking() load {
	l := steady(1)
	for i := 1; i < len(l.waits); i++ {
		l.waits[i].share = 0.85
		l.waits[i].also = &site{stack: "@read ask_peer job worker", call: "read", share: 0.1}
	}
	return l
}

// pool is steady with n workers that serve the requests.
func pool(n int) load {
	l := steady(1)
	l.waits = l.waits[:0:0]
	for range n {
		l.waits = append(l.waits, site{stack: "@epoll_wait sleep serve worker", call: "epoll_wait", share: 0.95})
	}
	return l
}

// evenly is steady with the CPU share spread over three functions.
func evenly(share float64) load {
	l := steady(1)
	l.busy = map[string]float64{
		"parse handle loop main": 0.45 * share, "reply handle loop main": 0.33 * share, "poll loop main": 0.22 * share,
	}
	l.waits[0].share = max(0, 1-share)
	return l
}

// many is steady with the CPU share spread over n functions.
func many(n int, share float64) load {
	l := steady(1)
	l.busy = map[string]float64{}
	for i := range n {
		l.busy[fmt.Sprintf("step%d handle loop main", i)] = share / float64(n)
	}
	l.waits[0].share = max(0, 1-share)
	return l
}

// backends is a server whose n processes wait for the disk for a fifth of their time.
func backends(n int, rate float64) load {
	l := steady(rate)
	l.waits = l.waits[:0:0]
	for range n {
		l.waits = append(l.waits, site{
			stack: "@epoll_wait read_command serve main", call: "epoll_wait", share: 0.7,
			also: &site{stack: "@fdatasync flush commit serve main", call: "fdatasync", share: 0.2},
		})
	}
	return l
}

// commits is a database whose backends sync so often a second, for so long; half of
// them wait for those that do.
func commits(n int, took time.Duration) load {
	l := steady(1)
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

func with(l load, change func(*load)) load {
	l.busy = maps.Clone(l.busy)
	l.waits, l.calls = slices.Clone(l.waits), slices.Clone(l.calls)
	change(&l)
	return l
}

// onThread lets one more thread run in a stack for a share of each second, with or
// without calls.
func onThread(id int32, stack string, share float64, callsToo bool) func(*server) {
	return func(s *server) {
		s.cpu += share
		b := &threadtrace.Batch{ThreadID: id, Stacks: []threadtrace.Stack{stackOf(stack)}}
		for i := range int64(49) {
			if callsToo {
				b.Events = append(b.Events, threadtrace.Event{
					Kind: threadtrace.KindCall, Time: s.now + i*second/49 - 1000, Duration: 500,
					Number: number(s.t, []string{"read", "write"}[i%2]), Return: 80,
				})
			}
			if s.rng.Float64() < share {
				b.Events = append(b.Events, threadtrace.Event{
					Kind: threadtrace.KindSample, Time: s.now + i*second/49, Duration: second / 49, Number: threadtrace.NoCall, Stack: 1,
				})
			}
		}
		s.analyzer.AddBatch(b)
	}
}

// connections lets so many new threads each wait in a call for some ticks.
func connections(n int, stack, call string, ticks int64) func(*server) {
	return func(s *server) {
		for i := range n {
			b := &threadtrace.Batch{ThreadID: int32(1000 + (s.now-epoch)/second*100 + int64(i)), Stacks: []threadtrace.Stack{stackOf(stack)}}
			for k := range ticks {
				b.Events = append(b.Events, threadtrace.Event{
					Kind: threadtrace.KindBlocked, Time: s.now + k*tick, Duration: tick, Elapsed: (k + 1) * tick, Number: number(s.t, call), Stack: 1,
				})
			}
			s.analyzer.AddBatch(b)
		}
	}
}

// hold has the first threads wait at a place for some snapshots of the second that
// ends now. The first name of the place is that of the call.
func (s *server) hold(place string, threads, snapshots int) {
	for i := range threads {
		s.holdOne(place, int32(1+i), snapshots)
	}
}

// stall holds up threads of a pool.
func (s *server) stall(threads, snapshots int) {
	s.hold("@futex wait_for_commit commit serve worker", threads, snapshots)
}

// computeOne has a thread of its own on a CPU for some samples; without a stack in code that
// was compiled at run time.
func (s *server) computeOne(stack string, thread int32, samples int) {
	on := stackOf(stack)
	if stack == "" {
		on.Frames = []threadtrace.Frame{{Module: "[jit]", Origin: threadtrace.OriginUnknown}}
	}
	b := &threadtrace.Batch{ThreadID: thread, ThreadName: "worker", Stacks: []threadtrace.Stack{on}}
	for i := range samples {
		b.Events = append(b.Events, threadtrace.Event{
			Kind: threadtrace.KindSample, Time: s.now + int64(i)*second/49, Duration: second / 49, Number: threadtrace.NoCall, Stack: 1,
		})
	}
	s.cpu += float64(samples) / 49
	s.analyzer.AddBatch(b)
}

func (s *server) holdOne(place string, thread int32, snapshots int) {
	call, _, _ := strings.Cut(place[1:], " ")
	b := &threadtrace.Batch{ThreadID: thread, ThreadName: "worker", Stacks: []threadtrace.Stack{stackOf(place)}}
	for n := range snapshots {
		b.Events = append(b.Events, threadtrace.Event{
			Kind: threadtrace.KindBlocked, Time: s.now - second + int64(n)*tick, Duration: tick, Elapsed: tick,
			Number: number(s.t, call), Stack: 1,
		})
	}
	s.analyzer.AddBatch(b)
}
