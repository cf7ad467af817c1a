package unit

import (
	"math/rand/v2"
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const ms = int64(1e6)

func number(t testing.TB, name string) int32 {
	t.Helper()
	nr, ok := threadtrace.Number("amd64", name)
	if !ok {
		t.Fatalf("no call %q", name)
	}
	return nr
}

func call(t testing.TB, name string, at, took int64, ret int32) threadtrace.Event {
	return threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: took, Number: number(t, name), Return: ret}
}

func segment(events []threadtrace.Event) (units []*Unit, s *Segmenter) {
	s = NewSegmenter(threadtrace.NewClasses("amd64"), 7)
	for _, e := range events {
		s.Add(&e, func(u *Unit) { units = append(units, u.Clone()) })
	}
	return units, s
}

func TestUnitsEndAtIdleWaits(t *testing.T) {
	for _, tc := range []struct {
		name  string
		wait  threadtrace.Event
		units int
	}{
		{"an event loop's wait", call(t, "epoll_wait", 100*ms, 5*ms, 1), 1},
		{"even one that returns at once", call(t, "epoll_wait", 100*ms, 10, 0), 1},
		{"a futex that waited", call(t, "futex", 100*ms, ms, 0), 1},
		{"a futex that woke another thread", call(t, "futex", 100*ms, 1000, 1), 0},
		{"a read that blocked", call(t, "read", 100*ms, 2*ms, 10), 1},
		{"a read that had data", call(t, "read", 100*ms, 3000, 10), 0},
		{"a slow write is work", call(t, "write", 100*ms, 20*ms, 10), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			events := []threadtrace.Event{
				call(t, "epoll_wait", 0, ms, 1),
				call(t, "recvfrom", 2*ms, 1000, 64),
				call(t, "recvfrom", 3*ms, 1000, -11),
				call(t, "sendto", 5*ms, 2000, 128),
				tc.wait,
			}
			units, s := segment(events)
			if len(units) != tc.units {
				t.Fatalf("%d units, want %d", len(units), tc.units)
			}
			if tc.units == 0 {
				if s.Open(200*ms) == nil {
					t.Error("the unit goes on but is not open")
				}
				return
			}
			u := units[0]
			if u.Start != ms || u.End != 100*ms || u.Total() != 3 || len(u.Calls) != 3 {
				t.Errorf("unit %+v", u)
			}
			if got := u.Gap; got != 4*ms-2000 {
				t.Errorf("gap %d", got)
			}
			if failed := u.Calls[len(u.Calls)-1]; failed.Errno != 11 || failed.N != 1 {
				t.Errorf("the failing call is not a dimension of its own: %+v", u.Calls)
			}
		})
	}
}

func TestLoopWithoutCallsIsAnOpenUnit(t *testing.T) {
	events := []threadtrace.Event{call(t, "epoll_wait", 0, ms, 1)}
	for i := int64(1); i <= 50; i++ {
		events = append(events, threadtrace.Event{Kind: threadtrace.KindSample, Time: i * 20 * ms, Duration: 20 * ms, Number: threadtrace.NoCall, Stack: 3})
	}
	units, s := segment(events)
	u := s.Open(1000 * ms)
	if len(units) != 0 || u == nil || !u.Open || u.OnCPU != 1000*ms || len(u.Stacks) != 1 || u.Stacks[0].Time != 1000*ms {
		t.Errorf("units %v, open %+v", units, u)
	}
}

// A thread that never waits is cut at gaps far beyond its usual ones.
func TestGapsCutWhatNeverWaits(t *testing.T) {
	var events []threadtrace.Event
	at := int64(0)
	for i := range 4000 {
		at += ms
		if i > 2000 && i%100 == 0 {
			at += 200 * ms
		}
		events = append(events, call(t, "write", at, 1000, 1))
	}
	if units, _ := segment(events); len(units) < 15 || len(units) > 25 {
		t.Errorf("%d units, want about 20", len(units))
	}
}

// Whatever comes: no call is lost, units do not overlap, sizes are bounded.
func TestSegmenterProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	classes := threadtrace.NewClasses("amd64")
	for range 40 {
		s := NewSegmenter(classes, 1)
		at, calls, idle, counted, last := int64(0), 0, 0, 0, int64(0)
		emit := func(u *Unit) {
			counted += int(u.Total())
			if u.Start < last || u.End < u.Start {
				t.Fatalf("unit %d-%d begins before %d", u.Start, u.End, last)
			}
			if len(u.Calls) > MaxKeys || len(u.Stacks) > MaxStacks {
				t.Fatalf("unit is too large: %d calls, %d stacks", len(u.Calls), len(u.Stacks))
			}
			last = u.End
		}
		for range 2000 {
			at += rng.Int64N(2 * ms)
			e := threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: rng.Int64N(2 * ms), Number: rng.Int32N(400), Return: rng.Int32N(40) - 20, Stack: rng.Uint32N(30)}
			at += e.Duration
			calls++
			if s.waits(e.Number, e.Duration) {
				idle++
			}
			s.Add(&e, emit)
		}
		if u := s.Open(at); u != nil {
			counted += int(u.Total())
		}
		if counted+idle != calls {
			t.Fatalf("%d calls: %d in units, %d idle waits", calls, counted, idle)
		}
	}
}

func BenchmarkSegmenter(b *testing.B) {
	s := NewSegmenter(threadtrace.NewClasses("amd64"), 1)
	wait, read, write := number(b, "epoll_wait"), number(b, "read"), number(b, "write")
	b.ReportAllocs()
	at := int64(0)
	for i := 0; b.Loop(); i++ {
		at += 1000
		nr := read
		switch i % 6 {
		case 0:
			nr = wait
		case 3:
			nr = write
		}
		s.Add(&threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: 500, Number: nr, Return: 10}, func(*Unit) {})
	}
}

// What was judged while a unit was open is not judged again when it ends.
func TestMarkLeavesTheRecentPart(t *testing.T) {
	events := []threadtrace.Event{call(t, "epoll_wait", 0, ms, 1)}
	sample := func(at int64) *threadtrace.Event {
		return &threadtrace.Event{Kind: threadtrace.KindSample, Time: at, Duration: 20 * ms, Number: threadtrace.NoCall, Stack: 3}
	}
	_, s := segment(append(events, *sample(40 * ms), *sample(60 * ms)))
	if u := s.Open(100 * ms); u.Recent() != 40*ms {
		t.Fatalf("%d ns are recent before the mark", u.Recent())
	}
	s.Mark()
	s.Add(sample(120*ms), func(*Unit) {})
	var ended *Unit
	wait := call(t, "epoll_wait", 200*ms, ms, 1)
	s.Add(&wait, func(u *Unit) { ended = u.Clone() })
	if ended == nil || ended.Observed() != 60*ms || ended.Recent() != 20*ms {
		t.Errorf("ended as %+v", ended)
	}
}
