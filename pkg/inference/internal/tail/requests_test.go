package tail

import (
	"strings"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const ms = int64(1e6)

// watched are threads of which units are made, told of by its events.
type watched struct {
	t      *testing.T
	stacks *frames.Table
	units  Units
	// recorded is since when calls are recorded, zero when they are not.
	recorded int64
	thread   int32
	got      []Request
}

func newWatched(t *testing.T) *watched {
	classes, stacks := threadtrace.NewClasses("amd64"), frames.NewTable()
	return &watched{t: t, stacks: stacks, units: Units{Sights: Sights{Stacks: stacks, Classes: classes}}, recorded: 1, thread: 7}
}

func (w *watched) stack(functions string) uint32 {
	var s threadtrace.Stack
	for _, f := range strings.Fields(functions) {
		if f == "?" { // interpreted
			s.Frames = append(s.Frames, threadtrace.Frame{Module: "shop", Origin: threadtrace.OriginUnknown})
			continue
		}
		s.Frames = append(s.Frames, threadtrace.Frame{Function: f, Module: "shop"})
	}
	return w.stacks.Intern(&s)
}

func (w *watched) add(e threadtrace.Event) {
	sight := w.units.Of(w.thread, &e)
	e.Stack = sight.Stack
	w.units.See(w.thread, &e, &sight, w.recorded, func(r Request) { w.got = append(w.got, r) })
}

func (w *watched) call(number int32, functions string, from, took int64) {
	w.add(threadtrace.Event{Kind: threadtrace.KindCall, Number: number, Time: from * ms, Duration: took * ms, Stack: w.stack(functions)})
}

func (w *watched) look(number int32, functions string, at, elapsed int64) {
	w.add(threadtrace.Event{Kind: threadtrace.KindBlocked, Number: number, Time: at * ms, Elapsed: elapsed * ms, Duration: 200 * ms, Stack: w.stack(functions)})
}

func (w *watched) sample(functions string, at ...int64) {
	for _, at := range at {
		w.add(threadtrace.Event{Kind: threadtrace.KindSample, Number: threadtrace.NoCall, Time: at * ms, Duration: 10 * ms, Stack: w.stack(functions)})
	}
}

// took gives the requests so far, and forgets them.
func (w *watched) took() []Request {
	got := w.got
	w.got = nil
	return got
}

func waitedIn(r *Request, number int32) (sum int64) {
	for _, x := range r.Seen {
		if x.Waiting && x.Number == number {
			sum += x.Time
		}
	}
	return sum
}

const read, futex, fsync = 0, 202, 74

// A thread rests where it waits most: other waits are a part of what it does.
func TestUnitsOfAThread(t *testing.T) {
	w := newWatched(t)
	w.look(read, "next serve", 5, 5)
	w.call(read, "next serve", 0, 10)
	w.call(futex, "answer serve", 12, 30) // amid the request, which has begun at 10
	w.call(fsync, "answer serve", 45, 1)
	w.call(read, "ask answer serve", 46, 3) // the same call, for another purpose
	w.call(read, "next serve", 50, 50)
	got := w.took()
	if len(got) != 1 || got[0].Start != 10*ms || got[0].End != 50*ms || got[0].Part || got[0].Kind != "serve" {
		t.Fatalf("%+v", got)
	}
	if waitedIn(&got[0], futex) != 30*ms || waitedIn(&got[0], read) != 3*ms || waitedIn(&got[0], fsync) != ms {
		t.Errorf("waited %+v", got[0].Seen)
	}
	// The recording ends amid the next one, which goes on where it is met again and
	// again; that it rests is seen much later.
	w.call(fsync, "answer serve", 105, 1)
	w.recorded = 0
	w.sample("match answer serve", 110, 120, 130, 140, 150)
	w.look(read, "next serve", 300, 100)
	got = w.took()
	if len(got) != 1 || !got[0].Part || !got[0].Begun || got[0].Start != 100*ms || got[0].End != 150*ms {
		t.Errorf("cut by the end of the recording: %+v", got)
	}
}

// While calls are not recorded a thread is known to be at work from the first to the last
// time that it is met there, if it is met too often for that to be chance.
func TestUnitsThatAreNotRecorded(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *watched)
		long int64 // the parts of requests, in milliseconds
		n    int
	}{
		{"met again and again", func(w *watched) { w.sample("match answer serve", 410, 420, 440, 450, 460) }, 50, 1},
		{"in between others have its CPU", func(w *watched) { w.sample("match answer serve", 410, 435, 460, 485, 510) }, 100, 1},
		{"met once", func(w *watched) { w.sample("match answer serve", 410) }, 0, 0},
		{"met now and then", func(w *watched) { w.sample("match answer serve", 410, 500, 590, 680) }, 0, 0},
		{"at rest in between", func(w *watched) {
			w.sample("match answer serve", 410, 420, 430)
			w.look(read, "next serve", 435, 0)
			w.sample("match answer serve", 440, 450, 460)
		}, 0, 0},
		{"in one wait for long", func(w *watched) { w.look(fsync, "append answer serve", 700, 200) }, 200, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWatched(t)
			w.recorded = 0
			for at := int64(200); at <= 400; at += 200 {
				w.look(read, "next serve", at, 100)
			}
			w.sample("hash answer serve", 20) // hardly busy
			tc.do(w)
			w.look(read, "next serve", 1000, 0)
			n := 0
			for _, r := range w.took() {
				if took := (r.End - r.Start) / ms; took > 30 {
					n++
					if !r.Part || r.Begun || took != tc.long {
						t.Errorf("%+v", r)
					}
				}
			}
			if n != tc.n {
				t.Errorf("%d requests, want %d", n, tc.n)
			}
		})
	}
}

// What is cut off counts only once it has lasted for too long.
func TestPartsOfRequests(t *testing.T) {
	p := NewPool(300 * second)
	for i := range int64(200) {
		took := int64(1e6)
		if i%20 == 0 {
			took = 50e6
		}
		p.Add(Request{Kind: "serve", Start: 1000*second + i*60e6, End: 1000*second + i*60e6 + took, Unit: true})
	}
	p.Sweep(1020*second, Seen{Seconds: 1})
	was := p.kinds[0].of
	for _, took := range []int64{1e6, 40e6} {
		p.Add(Request{Kind: "serve", Start: 1021 * second, End: 1021*second + took, Unit: true, Part: true})
	}
	p.Sweep(1020*second+2*second, Seen{Seconds: 1})
	now := p.kinds[0].of
	if grown := now[isSlow].looked - was[isSlow].looked; grown < 30e6 || now[isFast].looked > was[isFast].looked || now[isSlow].n > was[isSlow].n {
		t.Errorf("was %+v, is %+v", was, now)
	}
}

// What a runtime's threads do for it is no request beside the application's own, but where
// there are no others it is the application's.
func TestARuntimesThreadsBesideTheApplications(t *testing.T) {
	stacks := frames.NewTable()
	at := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "compile", Module: "jvm"}}})
	for _, own := range []int64{0, 6, 200} { // in each hop
		p := NewPool(300 * second)
		for hop := range int64(4) {
			start := (1000 + 5*hop) * second
			for i := range int64(200) {
				took := ms
				if i%20 == 0 {
					took = 50 * ms
				}
				r := Request{Kind: theRuntimes, Start: start + i*20*ms, Unit: true, Seen: []unit.StackTime{{Stack: at, Number: threadtrace.NoCall, Time: took}}}
				r.End = r.Start + took
				p.Add(r)
				if i < own {
					p.Add(Request{Kind: "serve", Start: r.Start, End: r.Start + ms, Unit: true})
				}
			}
			p.Sweep(start+5*second, Seen{Seconds: 5})
		}
		found := p.Contrasts(View{Stacks: stacks, Classes: threadtrace.NewClasses("amd64"), Idle: func(hop.Place) bool { return false }, Period: 1e7})
		if (len(found) == 0) != (own > 0) {
			t.Errorf("beside %d of the application's own: %+v", own, found)
		}
	}
}

// Where a thread starts is not known while outer functions have no names: threads of a
// pool are then of the kind of where they rest, whatever they were first seen in.
func TestTheKindOfAThreadWhoseStartHasNoName(t *testing.T) {
	kind := func(prepare func(*watched)) string {
		w := newWatched(t)
		prepare(w)
		w.look(futex, "take next ?", 5, 5)
		w.call(futex, "take next ?", 6, 4)
		w.call(fsync, "save ?", 12, 3)
		w.call(futex, "take next ?", 20, 5)
		got := w.took()
		if len(got) == 0 {
			t.Fatal("no unit")
		}
		return got[len(got)-1].Kind
	}
	for _, first := range []string{"save ?", "load open ?"} {
		if got := kind(func(w *watched) { w.sample(first, 1) }); got != "next" {
			t.Errorf("first seen in %q: a kind of %q", first, got)
		}
	}
	if got := kind(func(w *watched) { w.sample("save ?", 1); w.sample("save run", 2) }); got != "run" {
		t.Errorf("once its start was seen: a kind of %q", got)
	}
}

// A thread of a pool that was not seen in the application yet does what others do that rest
// in the same place.
func TestTheKindOfAThreadThatIsLikeOthers(t *testing.T) {
	w := newWatched(t)
	library := w.stacks.Intern(&threadtrace.Stack{Complete: true, Frames: []threadtrace.Frame{
		{Function: "wait_for_job", Module: "libpool.so", Origin: threadtrace.OriginLibrary},
		{Function: "pool_main", Module: "libpool.so", Origin: threadtrace.OriginLibrary},
	}})
	turn := func(thread int32, at int64) {
		w.thread = thread
		w.add(threadtrace.Event{Kind: threadtrace.KindBlocked, Number: futex, Time: at * ms, Elapsed: ms, Duration: 200 * ms, Stack: library})
		w.add(threadtrace.Event{Kind: threadtrace.KindCall, Number: futex, Time: at * ms, Duration: 4 * ms, Stack: library})
		if thread == 7 {
			w.call(fsync, "save run", at+5, 1)
		} else {
			w.add(threadtrace.Event{Kind: threadtrace.KindCall, Number: fsync, Time: (at + 5) * ms, Duration: ms, Stack: library})
		}
		w.add(threadtrace.Event{Kind: threadtrace.KindCall, Number: futex, Time: (at + 10) * ms, Duration: 5 * ms, Stack: library})
	}
	for i, thread := range []int32{8, 7, 8} {
		turn(thread, int64(100*i+1))
	}
	var kinds []string
	for _, r := range w.took() {
		kinds = append(kinds, r.Kind)
	}
	if got := strings.Join(kinds, " "); got != "pool_main run run" {
		t.Errorf("kinds %q", got)
	}
}
