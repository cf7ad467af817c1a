package inference

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// crowd is eighty seconds of a service with many threads, functions and
// callers of each, whose figures are no round numbers, and which becomes slow
// in several places at once in the last third.
func crowd(t *testing.T) (seconds [][]*threadtrace.Batch) {
	rng := rand.New(rand.NewPCG(9, 10))
	var stacks []threadtrace.Stack
	for i := range 96 {
		stacks = append(stacks, stackOf(fmt.Sprintf("@write put%d handle%d serve%d loop main", i%12, i%8, i)))
	}
	numbers := []int32{number(t, "write"), number(t, "fdatasync"), number(t, "epoll_wait")}
	for s := range int64(80) {
		var now []*threadtrace.Batch
		slow := s >= 60
		for id := range int32(6) {
			b := &threadtrace.Batch{ThreadID: 100 + id, ThreadName: "worker", Stacks: stacks}
			at := epoch + s*second
			for range 40 {
				at += 1e6 + rng.Int64N(second/50)
				e := threadtrace.Event{Time: at, Duration: 3e3 + rng.Int64N(4e5), Number: numbers[rng.IntN(len(numbers))], Return: 17, Stack: 1 + rng.Uint32N(96)}
				switch rng.IntN(4) {
				case 0:
					e.Return = -11 - rng.Int32N(2)
					if slow {
						e.Return = -22 - rng.Int32N(7) // EMFILE and ENOSPC among them
					}
				case 1:
					e.Kind, e.Duration, e.Number, e.Return = threadtrace.KindSample, second/49, threadtrace.NoCall, 0
				case 2:
					e.Kind, e.Duration, e.Return = threadtrace.KindBlocked, second/5, 0
					e.Elapsed = rng.Int64N(3e8)
					if slow {
						e.Elapsed += rng.Int64N(2 * second)
					}
				}
				b.Events = append(b.Events, e)
				if slow && e.Kind != threadtrace.KindCall {
					e.Time++
					e.Stack = 1 + e.Stack%7
					b.Events = append(b.Events, e)
				}
			}
			now = append(now, b)
		}
		seconds = append(seconds, now)
	}
	return seconds
}

// Maps are gone through in another order each time; figures that depend on it
// differ in their last bits, and sometimes that decides.
func TestTheSameEventsGiveTheSameFiguresToTheLastBit(t *testing.T) {
	type outcome struct {
		found []Anomaly
		stats []Stats
	}
	seconds := crowd(t)
	judge := func() (o outcome) {
		s := NewAnalyzer(DefaultConfig(), "amd64")
		for i, batches := range seconds {
			start := epoch + int64(i)*second
			for _, b := range batches {
				s.AddBatch(b)
			}
			s.AddCoverage(threadtrace.Coverage{
				Start: start, End: start + second - 1234567, Traced: time.Second, CPUTime: 1234567890,
				SamplePeriod: time.Second / 49, SnapshotPeriod: 200 * time.Millisecond, Threads: 6, Functions: 500,
				Dropped: map[string]uint64{"ring_overwrite": uint64(i % 2)},
			})
			o.found = append(o.found, s.Advance(start)...)
			o.stats = append(o.stats, s.Stats())
		}
		return o
	}
	want := judge()
	if len(want.found) == 0 {
		t.Fatal("nothing was found: the test compares nothing")
	}
	for range 4 {
		got := judge()
		for i := range want.stats {
			if got.stats[i] != want.stats[i] {
				t.Fatalf("second %d: %+v, and again %+v", i, want.stats[i], got.stats[i])
			}
		}
		if !reflect.DeepEqual(got.found, want.found) {
			t.Fatalf("%+v\nand again\n%+v", want.found, got.found)
		}
	}
}

// In which order the threads of a second are delivered is chance.
func TestTheOrderOfTheThreadsChangesNothing(t *testing.T) {
	faults := map[string]load{
		"two functions that are alike": with(steady(1), func(l *load) {
			l.busy["scan find handle loop main"], l.busy["match find handle loop main"] = 0.3, 0.3
		}),
		"workers that wait": with(pool(8), func(l *load) {
			for i := range l.waits {
				l.waits[i] = site{stack: "@read ask_peer job worker", call: "read", share: 0.5, also: &site{stack: "@read ask_other job worker", call: "read", share: 0.5}}
			}
		}),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			judge := func(order uint64) []Anomaly {
				s := newServer(t, 1)
				rng := rand.New(rand.NewPCG(order, 2))
				s.order = func(batches []*threadtrace.Batch) {
					if order > 0 {
						rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
					}
				}
				s.run(60, pool(8))
				s.run(20, fault)
				return s.found
			}
			want := judge(0)
			if len(want) == 0 {
				t.Fatal("nothing was found: the test compares nothing")
			}
			for order := range uint64(seeds) {
				if got := judge(1 + order); !reflect.DeepEqual(got, want) {
					t.Fatalf("in order %d\n%+v\nwant\n%+v", order, got, want)
				}
			}
		})
	}
}

// Threads bring their stacks in an order of their own, which is that in which the
// functions get their numbers.
func TestTheOrderOfTheFunctionsChangesNothing(t *testing.T) {
	seconds := crowd(t)
	for _, batches := range seconds {
		for i, b := range batches {
			// Each thread has a table of its own, which begins elsewhere.
			from := uint32(16 * i)
			n := uint32(len(b.Stacks))
			b.Stacks = append(b.Stacks[from:n:n], b.Stacks[:from]...)
			for j := range b.Events {
				if e := &b.Events[j]; e.Stack > 0 {
					e.Stack = (e.Stack-1+n-from)%n + 1
				}
			}
		}
	}
	judge := func(order uint64) (found []Anomaly) {
		a := NewAnalyzer(DefaultConfig(), "amd64")
		rng := rand.New(rand.NewPCG(order, 2))
		for i, batches := range seconds {
			start := epoch + int64(i)*second
			if order > 0 {
				rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
			}
			for _, b := range batches {
				a.AddBatch(b)
			}
			a.AddCoverage(threadtrace.Coverage{
				Start: start, End: start + second - 1234567, Traced: time.Second, CPUTime: 1234567890,
				SamplePeriod: time.Second / 49, SnapshotPeriod: 200 * time.Millisecond, Threads: 6, Functions: 500,
			})
			found = append(found, a.Advance(start)...)
		}
		return found
	}
	want := judge(0)
	if len(want) == 0 {
		t.Fatal("nothing was found: the test compares nothing")
	}
	for order := range uint64(seeds) {
		if got := judge(1 + order); !reflect.DeepEqual(got, want) {
			t.Fatalf("in order %d\n%+v\nwant\n%+v", order, got, want)
		}
	}
}
