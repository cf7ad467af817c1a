package inference

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// shop simulates a server with threads that work on requests: each spends its time in
// the stacks of its way, and between them waits for the next.
type shop struct {
	t        testing.TB
	analyzer *Analyzer
	rng      *rand.Rand
	threads  []*clerk
	requests []Request
	// tied says of each span which thread worked for it.
	tied bool
	// spans is set when spans come, traced when all calls are recorded.
	spans, traced bool
	// burst is for how long of each two seconds calls are recorded; zero is always.
	burst time.Duration
	// lines has requests come so many at a time, to be served by whoever is free; zero has
	// each thread find its own. line is when those that wait came.
	lines int
	line  []int64
	// lanes has each thread have a line of its own, at which a request comes by chance.
	lanes bool
	// grows is when three times as many come.
	grows int64
	// holder has the lock.
	holder *clerk
	// at is the time.
	at   int64
	told []Tail
	// after sees the requests of each second once they are judged.
	after func([]Request)
}

// step is a part of a request: where a thread is, and for how long.
type step struct {
	stack, call string // without a call it is on a CPU
	took        time.Duration
	// locks is set when it lasts until the lock is free, unlocks when it gives that up.
	locks, unlocks bool
}

type clerk struct {
	id    int32
	steps []step
	left  int64
	start int64
	key   int
	line  []int64
	// since is when it began to wait for a request, or its step.
	since  int64
	events []threadtrace.Event
	stacks []string
}

const idleStack = "recv read_request serve start"

// way is what a request of some key does.
type way func(key int) []step

func (s *shop) run(seconds int64, rate float64, of way) {
	const moment = int64(time.Millisecond)
	look := int64(200 * time.Millisecond)
	sample, phase := second/97, int64(1700*time.Microsecond) // each CPU has its own clock
	batches := map[int32]*threadtrace.Batch{}
	for at := epoch; at < epoch+seconds*second; at += moment {
		s.at = at
		if s.lines > 0 && s.rng.Float64() < rate/1000 && (at >= s.grows || s.rng.IntN(3) == 0) {
			to := &s.line
			if s.lanes {
				to = &s.threads[s.rng.IntN(len(s.threads))].line
			}
			*to = append(*to, slices.Repeat([]int64{at}, s.lines)...)
		}
		for _, c := range s.threads {
			st := step{stack: idleStack, call: "recvfrom"}
			if len(c.steps) > 0 {
				st = c.steps[0]
			}
			b := batches[c.id]
			if b == nil {
				b = &threadtrace.Batch{ThreadID: c.id}
				batches[c.id] = b
			}
			switch {
			case st.call == "" && (at+int64(c.id)*phase)%sample < moment:
				s.see(b, st, threadtrace.Event{Time: at, Kind: threadtrace.KindSample, Number: threadtrace.NoCall, Duration: sample})
			case st.call != "" && at%look == 0:
				s.see(b, st, threadtrace.Event{Time: at, Kind: threadtrace.KindBlocked, Number: number(s.t, st.call), Duration: look, Elapsed: at - c.since})
			}
			if s.traced && s.burst > 0 && (at-epoch)%burstsApart == int64(s.burst) && st.call != "" {
				from := max(c.since, at-int64(s.burst))
				s.see(b, st, threadtrace.Event{Time: from, Kind: threadtrace.KindInFlight, Cut: true, Number: number(s.t, st.call), Duration: at - from})
			}
			for i := range c.events {
				s.see(b, step{stack: c.stacks[i]}, c.events[i])
			}
			c.events, c.stacks = nil, nil
			s.work(c, at, rate, of)
		}
		if (at+moment)%second == 0 {
			s.flush(batches, at+moment)
		}
	}
}

// work has a thread go on for a millisecond.
func (s *shop) work(c *clerk, at int64, rate float64, of way) {
	if len(c.steps) == 0 {
		c.start = at
		line := &s.line
		if s.lanes {
			line = &c.line
		}
		switch {
		case s.lines > 0 && len(*line) > 0:
			c.start, *line = (*line)[0], (*line)[1:]
		case s.lines > 0 || s.rng.Float64() > rate/1000:
			return
		}
		s.call(c, step{stack: idleStack, call: "recvfrom"}, at)
		c.key++
		c.steps = of(s.rng.IntN(1000))
		c.left = int64(c.steps[0].took)
		return
	}
	if c.steps[0].locks {
		if s.holder != nil {
			return
		}
		s.holder = c
	}
	c.left -= int64(time.Millisecond)
	for c.left <= 0 && len(c.steps) > 0 {
		if c.steps[0].locks && at-c.since <= int64(time.Millisecond) {
			c.since = at // it was free, which takes no call
		}
		if c.since < at {
			s.call(c, c.steps[0], at)
		}
		if c.steps[0].unlocks {
			s.holder = nil
		}
		if c.steps = c.steps[1:]; len(c.steps) > 0 {
			c.left += int64(c.steps[0].took)
			continue
		}
		r := Request{Kind: "GET /ticket", Start: c.start, End: at}
		r.ID[0], r.ID[1], r.ID[2] = byte(c.key), byte(c.key>>8), byte(c.id)
		if s.tied {
			r.Thread = c.id
		}
		s.requests = append(s.requests, r)
	}
}

// burstsApart is from the begin of one burst to that of the next.
const burstsApart = 2 * second

// burstAt is when the burst that holds an instant began, zero when none does.
func (s *shop) burstAt(at int64) int64 {
	switch in := (at - epoch) % burstsApart; {
	case s.burst == 0:
		return epoch
	case in < int64(s.burst):
		return at - in
	}
	return 0
}

// call records a call that ends now, if it is one and calls are recorded.
func (s *shop) call(c *clerk, st step, now int64) {
	if b := s.burstAt(now); s.traced && b > 0 && st.call != "" {
		from := max(b, c.since)
		c.events = append(c.events, threadtrace.Event{Time: from, Kind: threadtrace.KindCall, Number: number(s.t, st.call), Duration: now - from, Cut: c.since < b})
		c.stacks = append(c.stacks, st.stack)
	}
	c.since = now
}

func (s *shop) see(b *threadtrace.Batch, st step, e threadtrace.Event) {
	b.Stacks = append(b.Stacks, stackOf(st.stack))
	e.Stack = uint32(len(b.Stacks))
	b.Events = append(b.Events, e)
}

func (s *shop) flush(batches map[int32]*threadtrace.Batch, now int64) {
	for from := now - second; from < now; {
		c := threadtrace.Coverage{
			Start: from, End: now, SamplePeriod: time.Duration(second / 97), SnapshotPeriod: 200 * time.Millisecond, Threads: len(s.threads),
		}
		if b := s.burstAt(from); s.traced && b > 0 {
			if s.burst > 0 {
				c.End = min(now, b+int64(s.burst))
			}
			c.Traced = time.Duration(c.End - c.Start)
		}
		s.analyzer.AddCoverage(c)
		from = c.End
	}
	for _, c := range s.threads {
		if b := batches[c.id]; b != nil {
			slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return cmp.Compare(a.Time, b.Time) })
			s.analyzer.AddBatch(b)
		}
	}
	clear(batches)
	if s.spans {
		s.analyzer.AddRequests(s.requests)
	}
	over := s.requests
	s.requests = nil
	s.analyzer.Advance(now)
	if s.after != nil {
		s.after(over)
	}
	for _, t := range s.analyzer.Tails() {
		if t.News {
			s.told = append(s.told, t)
		}
	}
}

func newShop(t testing.TB, seed uint64, threads int) *shop {
	s := &shop{t: t, analyzer: NewAnalyzer(DefaultConfig(), "amd64"), rng: rand.New(rand.NewPCG(seed, 4)), spans: true}
	for i := range threads {
		s.threads = append(s.threads, &clerk{id: int32(100 + i), since: epoch})
	}
	return s
}

const ms = time.Millisecond

func TestTheFunctionBehindSlowRequests(t *testing.T) {
	fast := []step{{stack: "hash seal answer serve start", took: 4 * ms}}
	slowly := func(permille int, extra ...step) way {
		return func(key int) []step {
			if key < permille {
				return append(slices.Clone(extra), fast...)
			}
			return fast
		}
	}
	for _, tc := range []struct {
		name  string
		of    way
		truth string
		want  Difference
	}{
		{"computes", slowly(30, step{stack: "match rule answer serve start", took: 50 * ms}), "match", DifferencePath},
		{"waits", slowly(30, step{stack: "@fsync append answer serve start", call: "fsync", took: 60 * ms}), "append", DifferencePath},
		{"sleeps", slowly(30, step{stack: "@clock_nanosleep retry answer serve start", call: "clock_nanosleep", took: 60 * ms}), "retry", DifferencePath},
		{"one in ten", slowly(100, step{stack: "match rule answer serve start", took: 30 * ms}), "match", DifferencePath},
		{"computes for long", slowly(30, step{stack: "match rule answer serve start", took: 300 * ms}), "match", DifferencePath},
		{"waits for long", slowly(30, step{stack: "@fsync append answer serve start", call: "fsync", took: 300 * ms}), "append", DifferencePath},
		{"is larger", slowly(30, step{stack: "hash seal answer serve start", took: 50 * ms}), "hash", DifferenceSame},
	} {
		for _, by := range []string{"spans", "spans with threads", "units", "units in bursts"} {
			t.Run(tc.name+"/"+by, func(t *testing.T) {
				right := 0
				var said []string
				for seed := range uint64(seeds) {
					s := newShop(t, seed, 6)
					s.traced = strings.HasPrefix(by, "units")
					s.spans, s.tied = !s.traced, by == "spans with threads"
					if by == "units in bursts" {
						s.burst = 200 * ms
					}
					s.run(90, 12, tc.of)
					if len(s.told) == 0 {
						said = append(said, "nothing")
						continue
					}
					last := s.told[len(s.told)-1]
					said = append(said, fmt.Sprintf("%s [%s %v]", last.Summary, last.Difference, functionsOf(last.Suspects)))
					if f := functionsOf(last.Suspects); last.Difference == tc.want && len(f) > 0 && f[0] == tc.truth {
						right++
					}
				}
				if right < seeds-1 {
					t.Errorf("right under %d of %d seeds:\n%s", right, seeds, strings.Join(said, "\n"))
				}
			})
		}
	}
}

// A tail is never a warning because it is there, only when it has changed.
func TestATailThatLeavesItsPast(t *testing.T) {
	for _, tc := range []struct {
		name     string
		permille int // go the slow way after six minutes
		took     time.Duration
		want     TailChange
	}{
		{"as ever", 30, 50 * ms, ""},
		{"there are more", 150, 50 * ms, TailChangeShare},
		{"they take longer", 30, 200 * ms, TailChangeLength},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newShop(t, 3, 6)
			s.run(460, 8, func(key int) []step {
				permille, took := 30, 50*ms
				if s.at > epoch+360*second {
					permille, took = tc.permille, tc.took
				}
				if key < permille {
					return []step{{stack: "match rule answer serve start", took: took}, {stack: "hash seal answer serve start", took: 4 * ms}}
				}
				return []step{{stack: "hash seal answer serve start", took: 4 * ms}}
			})
			changes := map[int64]bool{} // by hop
			for _, told := range s.told {
				if told.Change == "" {
					continue
				}
				changes[told.End] = true
				if told.Change != tc.want {
					t.Errorf("%q: %s", told.Change, told.Summary)
				}
			}
			if (tc.want != "") != (len(changes) == 1) {
				t.Errorf("told %d times", len(changes))
			}
		})
	}
}

// How long the first suspect is in a slow request and in a fast one is about right, where
// it runs, where it waits, and where fast ones have it, too.
func TestTheTimeOfASuspectInARequest(t *testing.T) {
	const usual = 40 * ms // some samples long: each request begins with one here
	for _, tc := range []struct {
		name       string
		extra      step
		slow, fast time.Duration
	}{
		{"computes", step{stack: "match rule answer serve start", took: 300 * ms}, 300 * ms, 0},
		{"waits", step{stack: "@fsync append answer serve start", call: "fsync", took: 300 * ms}, 300 * ms, 0},
		{"is larger", step{stack: "hash seal answer serve start", took: 300 * ms}, 340 * ms, usual},
	} {
		for _, tied := range []bool{false, true} {
			right := 0
			var said []string
			for seed := range uint64(seeds) {
				s := newShop(t, seed, 6)
				s.tied = tied
				s.run(90, 4, func(key int) []step {
					fast := step{stack: "hash seal answer serve start", took: usual}
					if key < 30 {
						return []step{tc.extra, fast}
					}
					return []step{fast}
				})
				if len(s.told) == 0 {
					continue
				}
				got := s.told[len(s.told)-1].Within
				said = append(said, fmt.Sprint(got))
				if len(got) > 0 && near(got[0].Slow, tc.slow, tc.slow/4) && near(got[0].Fast, tc.fast, usual/4) {
					right++
				}
			}
			if right < seeds-1 {
				t.Errorf("%s, threads known %v: right under %d of %d seeds: %v", tc.name, tied, right, seeds, said)
			}
		}
	}
}

// What the thread of a request was seen at while it was under way is known where the
// thread is, and is that request's alone.
func TestWhatWasSeenWithinARequest(t *testing.T) {
	for _, tied := range []bool{false, true} {
		s := newShop(t, 1, 6)
		s.tied = tied
		slow, found := 0, 0
		s.after = func(list []Request) {
			for _, r := range list {
				seen := s.analyzer.SeenWithin(r, 3)
				if len(seen) > 3 || !tied && len(seen) > 0 {
					t.Fatalf("tied %v: seen %d times", tied, len(seen))
				}
				for _, x := range seen {
					if x.Time < r.Start || x.Time >= r.End || x.Stack[len(x.Stack)-1].Name != "start" || x.Waiting != (x.Call != "") {
						t.Fatalf("%+v in %+v", x, r)
					}
				}
				if r.End-r.Start > int64(200*ms) && r.Start > epoch+5*second { // what was seen before the first span is not kept
					if slow++; slices.ContainsFunc(seen, func(x Seen) bool { return x.Waiting && x.Stack[0].Name == "append" }) {
						found++
					}
				}
			}
		}
		s.run(30, 8, func(key int) []step {
			fast := step{stack: "hash seal answer serve start", took: 4 * ms}
			if key < 100 {
				return []step{{stack: "@fsync append answer serve start", call: "fsync", took: 300 * ms}, fast}
			}
			return []step{fast}
		})
		if slow < 20 || tied && found != slow {
			t.Errorf("tied %v: %d slow requests, of %d it is known", tied, slow, found)
		}
	}
}

func near(a, b, by time.Duration) bool { return a-b <= by && b-a <= by }

// Requests that are all alike have no tail, whatever happens beside them.
func TestNothingIsSaidOfRequestsThatAreAlike(t *testing.T) {
	for seed := range uint64(seeds) {
		s := newShop(t, seed, 6)
		s.run(60, 12, func(key int) []step {
			return []step{{stack: "hash seal answer serve start", took: time.Duration(3+key%5) * ms}}
		})
		if len(s.told) > 0 {
			t.Errorf("seed %d: %s", seed, s.told[0].Summary)
		}
	}
}

func TestSlowRequestsCanBeSwitchedOff(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SlowRequests = false
	s := newShop(t, 1, 6)
	s.analyzer = NewAnalyzer(cfg, "amd64")
	s.run(60, 12, func(key int) []step {
		if key < 30 {
			return []step{{stack: "match rule answer serve start", took: 50 * ms}}
		}
		return []step{{stack: "hash seal answer serve start", took: 4 * ms}}
	})
	if len(s.told) > 0 {
		t.Error(s.told[0].Summary)
	}
}
