package tail

import (
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A thread rests where it waits most: other waits are a part of what it does.
func TestUnitsOfAThread(t *testing.T) {
	const (
		read, futex, fsync = 0, 202, 74
		ms                 = int64(1e6)
	)
	classes, stacks := threadtrace.NewClasses("amd64"), frames.NewTable()
	at := stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "answer", Module: "shop"}, {Function: "serve", Module: "shop"}}})
	u := Units{Stacks: stacks, Classes: classes}
	s := unit.NewSegmenter(classes, 7)
	var got []Request
	broken := int64(0)
	take := func(x *unit.Unit) {
		if r, ok := u.Take(x, broken); ok {
			got = append(got, r)
		}
	}
	add := func(e threadtrace.Event) {
		u.See(7, &e)
		s.Add(&e, take)
	}
	call := func(number int32, from, took int64) {
		add(threadtrace.Event{Kind: threadtrace.KindCall, Number: number, Time: from * ms, Duration: took * ms, Stack: at})
	}
	add(threadtrace.Event{Kind: threadtrace.KindBlocked, Number: read, Time: 5 * ms, Elapsed: 5 * ms, Duration: 200 * ms, Stack: at})
	call(read, 0, 10)
	call(futex, 12, 30) // amid the request, which has begun at 10
	call(fsync, 45, 1)
	call(read, 50, 50)
	if len(got) != 1 || got[0].Start != 10*ms || got[0].End != 50*ms || got[0].Part || got[0].Kind != "serve" {
		t.Fatalf("%+v", got)
	}
	waited := int64(0)
	for _, x := range got[0].Unit.Stacks {
		if x.Waiting && x.Number == futex {
			waited += x.Time
		}
	}
	if waited != 30*ms {
		t.Errorf("%d ms in the futex", waited/ms)
	}
	got = nil
	call(fsync, 105, 1)
	broken = 120 * ms
	s.Break(broken, take)
	if len(got) != 1 || !got[0].Part {
		t.Fatalf("cut by the end of the tracing: %+v", got)
	}
	got = nil
	call(futex, 130, 5) // of a request of which the beginning is not known
	call(fsync, 140, 1)
	call(read, 145, 5)
	if len(got) != 0 {
		t.Errorf("a request without a beginning: %+v", got)
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
		p.Add(Request{Kind: "serve", Start: 1000*second + i*60e6, End: 1000*second + i*60e6 + took, Unit: &unit.Unit{}})
	}
	p.Sweep(1020*second, Seen{Seconds: 1})
	was := p.kinds[0].of
	for _, took := range []int64{1e6, 40e6} {
		p.Add(Request{Kind: "serve", Start: 1021 * second, End: 1021*second + took, Unit: &unit.Unit{}, Part: true})
	}
	p.Sweep(1020*second+2*second, Seen{Seconds: 1})
	now := p.kinds[0].of
	if grown := now[isSlow].looked - was[isSlow].looked; grown < 30e6 || now[isFast].looked > was[isFast].looked || now[isSlow].n > was[isSlow].n {
		t.Errorf("was %+v, is %+v", was, now)
	}
}
