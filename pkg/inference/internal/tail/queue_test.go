package tail

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestSinceWhenARequestIsServed(t *testing.T) {
	type span struct{ start, end int64 }
	for _, tc := range []struct {
		name   string
		spans  []span
		served []int64 // since when, of each
		first  []bool
	}{
		{"in a line behind a slow one", []span{{10, 110}, {20, 112}, {30, 115}}, []int64{10, 110, 112}, []bool{true, false, false}},
		{"nobody is there", []span{{10, 20}, {20, 30}, {50, 60}}, []int64{10, 20, 50}, []bool{true, true, true}},
		{"beside a slow one, as others are", []span{{10, 110}, {20, 22}, {30, 130}, {40, 42}}, []int64{10, 20, 30, 40}, []bool{true, false, false, false}},
		{"let go together, in any order", []span{{10, 110}, {20, 112}, {30, 111}, {40, 109}}, []int64{10, 110, 110, 40}, []bool{true, false, false, false}},
		{"one that began before leaves long after", []span{{10, 500}, {20, 110}, {30, 120}}, []int64{10, 20, 110}, []bool{true, false, false}},
		{"at the same instant", []span{{10, 50}, {10, 50}, {10, 60}}, []int64{10, 10, 50}, []bool{true, false, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := NewPool(300 * second)
			for _, s := range tc.spans {
				p.Add(Request{Kind: "GET /", Start: s.start, End: s.end})
			}
			p.Add(Request{Kind: "worker", Start: 1, End: 5000, Unit: true})
			p.queue(p.inOrderOfStart())
			for i, want := range tc.served {
				r := &p.pending[i]
				if got := r.since(true); got != want || r.first != tc.first[i] {
					t.Errorf("%d: served since %d, first %v instead of %d, %v", i, got, r.first, want, tc.first[i])
				}
			}
		})
	}
}

// Threads that work for one request at a time have a line each: who is in another one says
// nothing of how long it is waited in this one.
func TestEachWorkerHasALineOfItsOwn(t *testing.T) {
	p := NewPool(300 * second)
	for _, s := range []struct {
		start, end int64
		thread     int32
	}{{10, 110, 7}, {20, 22, 8}, {30, 112, 7}, {40, 42, 8}, {50, 114, 7}} {
		p.Add(Request{Kind: "GET /", Start: s.start, End: s.end, Thread: s.thread})
	}
	p.queue(p.inOrderOfStart())
	for i, want := range []int64{10, 20, 110, 40, 112} {
		if got := p.pending[i].since(true); got != want {
			t.Errorf("%d: served since %d instead of %d", i, got, want)
		}
	}
}

// What is known of a line does not depend on in how many parts it is looked at.
func TestALineIsTheSameInParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var all []Request
	free := int64(0)
	for at := int64(0); at < 60*second; at += int64(rng.ExpFloat64() * 2e7) {
		took := int64(1e6)
		if rng.IntN(10) == 0 {
			took = 8e7
		}
		begun := max(at, free)
		free = begun + took
		all = append(all, Request{Kind: "GET /", Start: at, End: free})
	}
	whole := NewPool(300 * second)
	for _, r := range all {
		whole.Add(r)
	}
	whole.queue(whole.inOrderOfStart())
	free = 0
	for i, r := range all {
		if want := max(r.Start, free); whole.pending[i].since(true) != want {
			t.Fatalf("%d: served since %d instead of %d", i, whole.pending[i].since(true), want)
		}
		free = r.End
	}
	parts, kept := NewPool(300*second), map[int64]int64{}
	for until := 5 * second; until <= 70*second; until += 5 * second {
		for len(all) > 0 && all[0].End < until {
			parts.Add(all[0])
			all = all[1:]
		}
		for _, r := range parts.pending {
			kept[r.Start] = 0
		}
		order := parts.inOrderOfStart()
		parts.queue(order)
		for _, r := range parts.pending {
			kept[r.Start] = r.since(true)
		}
		parts.drop(until-10*second, order)
	}
	for _, r := range whole.pending {
		if kept[r.Start] != r.since(true) {
			t.Fatalf("served since %d instead of %d", kept[r.Start], r.since(true))
		}
	}
	if len(kept) < 2000 || !slices.ContainsFunc(whole.pending, func(r Request) bool { return r.served > 0 }) {
		t.Fatal("nothing was in line")
	}
}

func BenchmarkQueue(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	p := NewPool(300 * second)
	for i := range maxPending {
		at := int64(i) * 1e6
		p.Add(Request{Kind: "GET /", Start: at, End: at + int64(rng.ExpFloat64()*5e8)}) // 500 at a time
	}
	order := p.inOrderOfStart()
	for b.Loop() {
		p.queue(order)
	}
}

// Those in line wait in a function of theirs for as long as a slow one is served: that is no
// part of what slow ones do.
func TestWhatThoseInLineWaitFor(t *testing.T) {
	const ms = int64(1e6)
	stacks := frames.NewTable()
	intern := func(f string) uint32 {
		return stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: f, Module: "shop"}, {Function: "serve", Module: "shop"}}})
	}
	rebuild, look := intern("rebuild"), intern("look")
	rng := rand.New(rand.NewPCG(5, 6))
	p := NewPool(300 * second)
	for hop := range int64(12) {
		from := (1000 + 5*hop) * second
		for at := from; at < from+5*second; at += 200 * ms {
			p.Add(Request{Kind: "GET", Start: at, End: at + 80*ms})
			for seen := at + 5*ms; seen < at+80*ms; seen += 10 * ms {
				p.See(Sighting{Time: seen, Duration: 10 * ms, Stack: rebuild, Thread: 1, Number: threadtrace.NoCall})
			}
			for n := range rng.Int64N(6) {
				p.Add(Request{Kind: "GET", Start: at + (n+1)*10*ms, End: at + 81*ms + n*ms/10})
				for seen := at + (n+1)*10*ms + 5*ms; seen < at+80*ms; seen += 10 * ms {
					p.See(Sighting{Time: seen, Duration: 10 * ms, Stack: look, Thread: int32(2 + n), Number: 202, Waiting: true})
				}
			}
			for n := range int64(10) {
				p.Add(Request{Kind: "GET", Start: at + 100*ms + 5*n*ms, End: at + 100*ms + 5*n*ms + ms})
			}
		}
		p.Sweep(from+5*second, Seen{Seconds: 5})
	}
	found := p.Contrasts(View{Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e7})
	if len(found) != 1 || !found[0].Served {
		t.Fatalf("%+v", found)
	}
	ran, waited := 0.0, 0.0
	for _, x := range found[0].Times {
		if x.Stack == rebuild {
			ran += x.Excess
		} else {
			waited += x.Excess
		}
	}
	if ran < 0.8e9 || waited > 0.2*ran {
		t.Errorf("slow ones run for %.2f and wait for %.2f of their time", ran/1e9, waited/1e9)
	}
}
