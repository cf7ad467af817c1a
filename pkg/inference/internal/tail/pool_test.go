package tail

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const second = int64(time.Second)

// What is held is bounded, and what was left out is counted.
func TestPoolIsBounded(t *testing.T) {
	p := NewPool(300 * second)
	at := 1000 * second
	for hop := range int64(4) {
		for i := range int64(3 * maxPending) {
			r := Request{Kind: fmt.Sprintf("GET /%d", i%100), Start: at + i*1e4, End: at + i*1e4 + 5e6}
			p.Add(r)
		}
		for i := range int64(3 * maxSightings) {
			p.See(Sighting{Time: at + i*1e4, Duration: 1e7, Stack: uint32(1 + i), Thread: int32(i)})
		}
		if len(p.pending) > maxPending || len(p.sightings) > maxSightings {
			t.Fatalf("%d requests and %d sightings are held", len(p.pending), len(p.sightings))
		}
		at += 5 * second
		p.Sweep(at, Seen{Seconds: 5})
		if len(p.kinds) > maxKinds || len(p.places.list) > maxPlaces {
			t.Fatalf("%d kinds and %d places are held", len(p.kinds), len(p.places.list))
		}
		if p.LeftOut == 0 {
			t.Fatalf("hop %d: nothing was left out", hop)
		}
	}
	const most = 4 << 20
	if p.Bytes() > most {
		t.Errorf("%d bytes are held", p.Bytes())
	}
}

// With more requests than there is room for a part of the time is looked at, and what
// is said of it is right.
func TestAPartOfTheTimeIsEnough(t *testing.T) {
	stacks := frames.NewTable()
	intern := func(f string) uint32 {
		return stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: f, Module: "shop"}, {Function: "serve", Module: "shop"}}})
	}
	quick, slowly := intern("seal"), intern("match")
	p := NewPool(300 * second)
	at := 1000 * second
	for range 12 {
		from := at
		for i := int64(0); at < from+5*second; i++ {
			took, stack := int64(1e5), quick
			if i%30 == 0 {
				took, stack = 2e6, slowly
			}
			p.Add(Request{Kind: "GET", Start: at, End: at + took})
			for s := at; s < at+took; s += 1e5 {
				p.See(Sighting{Time: s, Duration: 1e5, Stack: stack, Thread: 1, Number: threadtrace.NoCall})
			}
			at += took
		}
		p.Sweep(at, Seen{Seconds: 5})
	}
	found := p.Contrasts(View{
		Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e5,
	})
	if p.LeftOut == 0 || len(found) != 1 {
		t.Fatalf("%d left out, %d found", p.LeftOut, len(found))
	}
	c := found[0]
	if c.Explained < 0.9 {
		t.Errorf("%.2f of the extra time is explained", c.Explained)
	}
	for _, x := range c.Times {
		if x.Stack == slowly && (x.Now < 0.9e9 || x.Past > 0.05e9) || x.Stack == quick && x.Excess > 0.05e9 {
			t.Errorf("%+v", x)
		}
	}
}

// The only thread of a server that waits holds up all who ask meanwhile; one of several
// does not.
func TestTheOnlyThreadThatWaits(t *testing.T) {
	const ms = int64(1e6)
	stacks := frames.NewTable()
	sync := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "append", Module: "shop"}, {Function: "serve", Module: "shop"}}})
	for _, tc := range []struct {
		threads     int64
		least, most float64
	}{{1, 0.7, 1}, {4, 0.1, 0.4}} {
		p := NewPool(300 * second)
		for hop := range int64(6) {
			from := (1000 + 5*hop) * second
			for i := range int64(50) {
				at := from + i*100*ms
				for n := range int64(5) {
					p.Add(Request{Kind: "GET", Start: at + 10*n*ms, End: at + 10*n*ms + ms})
					if i%5 == 0 {
						p.Add(Request{Kind: "GET", Start: at + 60*ms, End: at + 95*ms})
					}
				}
				if i%5 == 0 {
					p.See(Sighting{Time: at + 75*ms, Duration: 34 * ms, Stack: sync, Number: 75, Waiting: true, Thread: int32(1 + i/5%tc.threads)})
				}
			}
			p.Sweep(from+5*second, Seen{Seconds: 5})
		}
		found := p.Contrasts(View{Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e7})
		if len(found) != 1 || found[0].Explained < tc.least || found[0].Explained > tc.most {
			t.Errorf("%d threads: %+v, want %.1f to %.1f explained", tc.threads, found, tc.least, tc.most)
		}
	}
}

// Fast requests that wait meanwhile are under way wherever a slow one works, and not
// otherwise: what is seen only beside slow ones is none of their time. What is seen without
// one, too, is.
func TestWhatIsSeenOnlyBesideSlowRequests(t *testing.T) {
	const ms = int64(1e6)
	stacks := frames.NewTable()
	match := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "match", Module: "shop"}, {Function: "serve", Module: "shop"}}})
	for _, also := range []bool{false, true} {
		p := NewPool(300 * second)
		for hop := range int64(6) {
			from := (1000 + 5*hop) * second
			for i := range int64(50) {
				at := from + i*100*ms
				p.Add(Request{Kind: "GET", Start: at, End: at + 40*ms})
				for n := range int64(3) {
					p.Add(Request{Kind: "GET", Start: at + 25*ms, End: at + 30*ms + n*ms})
				}
				p.Add(Request{Kind: "GET", Start: at + 60*ms, End: at + 61*ms})
				for seen := at + 20*ms; seen < at+30*ms; seen += ms {
					p.See(Sighting{Time: seen, Duration: ms, Stack: match, Thread: 1, Number: threadtrace.NoCall})
				}
				if also && i%25 == 0 {
					p.See(Sighting{Time: at + 60*ms, Duration: ms, Stack: match, Thread: 1, Number: threadtrace.NoCall})
				}
			}
			p.Sweep(from+5*second, Seen{Seconds: 5})
		}
		found := p.Contrasts(View{Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e6})
		if len(found) != 1 || len(found[0].Times) != 1 {
			t.Fatalf("%+v", found)
		}
		if x := found[0].Times[0]; x.Now <= 0 || (x.Past > 0) != also {
			t.Errorf("seen without a slow one %v: %+v", also, x)
		}
	}
}

// A hop of a service with a thousand spans a second on two CPUs.
func BenchmarkSweep(b *testing.B) {
	stacks := frames.NewTable()
	var ids []uint32
	for i := range 400 {
		ids = append(ids, stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{
			{Function: fmt.Sprint("leaf", i), Module: "shop"}, {Function: fmt.Sprint("handler", i%20), Module: "shop"},
			{Function: "dispatch", Module: "shop"}, {Function: "serve", Module: "shop"},
		}}))
	}
	p := NewPool(300 * second)
	v := View{Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e7}
	at := 1000 * second
	b.ReportAllocs()
	for b.Loop() {
		for i := range int64(5000) {
			start, took := at+i*1e6, int64(4e6)
			if i%30 == 0 {
				took = 60e6
			}
			p.Add(Request{Kind: fmt.Sprint("GET /", i%8), Start: start, End: start + took})
		}
		for i := range int64(5 * 2 * 97 * 2) {
			p.See(Sighting{Time: at + i*5*second/1940, Duration: 1e7, Stack: ids[i%400], Thread: int32(i % 8), Waiting: i%2 == 0, Number: 1})
		}
		at += 5 * second
		p.Sweep(at, Seen{Seconds: 5})
		p.Contrasts(v)
	}
}

// Requests are in the order in which they began and came, however far apart they are.
func TestRequestsAreInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, starts := range []func() int64{
		func() int64 { return 1e18 + rng.Int64N(50) },
		func() int64 { return 1e18 + rng.Int64N(3600*second) },
		func() int64 { return -rng.Int64N(10) },
		func() int64 { return []int64{math.MinInt64, 0, 1, math.MaxInt64}[rng.IntN(4)] },
		func() int64 { return rng.Int64N(1<<51 + 100) },
	} {
		for _, n := range []int{0, 1, 300, maxPending} {
			var p Pool
			for i := range n {
				p.pending = append(p.pending, Request{Start: starts(), Size: float64(i)})
			}
			want := slices.Clone(p.pending)
			slices.SortStableFunc(want, func(a, b Request) int { return cmp.Compare(a.Start, b.Start) })
			order := p.inOrderOfStart()
			if len(order) != n {
				t.Fatalf("%d of %d", len(order), n)
			}
			for i, b := range order {
				if got := p.pending[b.request]; got.Size != want[i].Size || b.at != want[i].Start {
					t.Fatalf("%d of %d: the %.0fth, begun at %d, want the %.0fth, at %d", i, n, got.Size, b.at, want[i].Size, want[i].Start)
				}
			}
		}
	}
}
