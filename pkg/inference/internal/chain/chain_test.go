package chain

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	futex = 202
	fsync = 74
	ms    = int64(1e6)
)

// stackOf is the identifier of a stack of functions, innermost first.
func stackOf(t *frames.Table, functions ...string) uint32 {
	s := threadtrace.Stack{Complete: true}
	for _, f := range functions {
		s.Frames = append(s.Frames, threadtrace.Frame{Function: f, Module: "server"})
	}
	return t.Intern(&s)
}

func (t *Trace) wait(thread int32, number int32, from, to int64, stack uint32, by int32, wakerStack uint32) {
	t.Event(thread, &threadtrace.Event{Kind: threadtrace.KindCall, Time: from, Duration: to - from, Number: number}, stack, 0)
	w := threadtrace.Waking{Time: to, Start: from, Number: number, By: threadtrace.WakerThread, Thread: by, Stack: stack, WakerStack: wakerStack}
	if by == 0 {
		w.By, w.Uninterruptible = threadtrace.WakerInterrupt, true
	}
	t.Wake(thread, &w)
}

func follow(t *frames.Table, flows Flows, excess map[Place]float64) []Link {
	return NewGraph(t, flows).Follow(excess)
}

func say(t *frames.Table, links []Link) (s string) {
	for _, l := range links {
		name := "?"
		if l.Function >= 0 {
			name = t.Function(l.Function).Name
		}
		s += fmt.Sprintf("%s/%d/%d/%.2f ", name, l.Kind, l.Number, l.Share)
	}
	return s
}

// A queue at a lock: each thread holds it in turn, and waits for the disk meanwhile. Who
// is woken was held up by all that were before it, who waited at the lock as well.
func TestAConvoyEndsAtTheDisk(t *testing.T) {
	table := frames.NewTable()
	lock, sync, unlock := stackOf(table, "store", "main"), stackOf(table, "flush", "store", "main"), stackOf(table, "store", "main")
	var trace Trace
	const threads, hold = 4, 5 * ms
	var begun [threads]int64
	now := int64(0)
	for turn := range 40 {
		id := turn % threads
		if turn >= threads {
			trace.wait(int32(id)+1, futex, begun[id], now, lock, int32((turn-1)%threads)+1, unlock)
		}
		trace.wait(int32(id)+1, fsync, now+ms/10, now+hold, sync, 0, 0)
		now += hold
		begun[id] = now + ms/20
	}
	links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: 1e9, {sync, fsync}: 1e8})
	got := say(table, links)
	if len(links) != 3 || table.Function(links[0].Function).Name != "store" || table.Function(links[1].Function).Name != "flush" ||
		links[1].Number != fsync || links[2].Kind != Storage || links[2].Share < 0.9 {
		t.Errorf("the chain is %s", got)
	}
	if shown := links[1].Waits; shown < 30 || shown > 36 {
		t.Errorf("%.1f waits have shown it, there were 36", shown)
	}
}

func TestAThreadThatComputesEndsIt(t *testing.T) {
	table := frames.NewTable()
	lock, unlock := stackOf(table, "lookup", "main"), stackOf(table, "rebuild", "main")
	var trace Trace
	for n := range int64(20) {
		at := n * 100 * ms
		trace.wait(1, futex, at, at+20*ms, lock, 2, unlock)
		for s := range int64(2) {
			trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 5*ms + s*10*ms}, 0, 0)
		}
	}
	flows := trace.Flows(0)
	if links := follow(table, flows, map[Place]float64{{lock, futex}: 1}); len(links) != 2 || links[1].Kind != Computes || table.Function(links[1].Function).Name != "rebuild" {
		t.Errorf("samples without a stack: %s", say(table, links))
	}
	trace = Trace{}
	inner := [...]uint32{stackOf(table, "hash", "rebuild", "main"), stackOf(table, "compare", "rebuild", "main"), stackOf(table, "copy", "rebuild", "main")}
	for n := range int64(20) {
		at := n * 100 * ms
		trace.wait(1, futex, at, at+20*ms, lock, 2, unlock)
		for s := range int64(3) {
			trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 2*ms + s*5*ms, Stack: inner[s]}, 0, 0)
			trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 30*ms + s*5*ms, Stack: stackOf(table, "other")}, 0, 0)
		}
	}
	links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: 1})
	if got := say(table, links); got != "lookup/0/202/1.00 rebuild/1/0/1.00 " {
		t.Errorf("the chain is %s", got)
	}
}

func TestWhoIsUnknownIsSaid(t *testing.T) {
	table := frames.NewTable()
	read, send := stackOf(table, "ask", "main"), stackOf(table, "answer")
	for _, c := range []struct {
		what string
		w    threadtrace.Waking
		want Kind
	}{
		{"another process", threadtrace.Waking{By: threadtrace.WakerThread, Thread: 9, Name: "postgres", WakerStack: send}, Other},
		{"the network", threadtrace.Waking{By: threadtrace.WakerInterrupt}, Interrupt},
		{"the kernel", threadtrace.Waking{By: threadtrace.WakerKernel, Name: "kworker/3:1"}, Kernel},
		{"a device", threadtrace.Waking{By: threadtrace.WakerKernel, Uninterruptible: true}, Storage},
		{"a thread without a stack", threadtrace.Waking{By: threadtrace.WakerThread, Thread: 2}, Unknown},
	} {
		var trace Trace
		trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: 1e12}, read, 0)
		for n := range int64(5) {
			w := c.w
			w.Start, w.Time, w.Number, w.Stack = n*100*ms, n*100*ms+10*ms, futex, read
			trace.Wake(1, &w)
		}
		links := follow(table, trace.Flows(0), map[Place]float64{{read, futex}: 1})
		if len(links) != 2 || links[1].Kind != c.want || math.Abs(links[1].Share-1) > 1e-9 {
			t.Errorf("%s: %s", c.what, say(table, links))
		}
		if c.want == Other && table.Function(links[1].Function).Name != "answer" || c.want == Kernel && links[1].Name != "kworker" {
			t.Errorf("%s: %+v", c.what, links[1])
		}
	}
}

// Two that wait for each other end nowhere.
func TestACycleEnds(t *testing.T) {
	table := frames.NewTable()
	a, b := stackOf(table, "ping"), stackOf(table, "pong")
	var trace Trace
	for n := range int64(20) {
		at := n * 20 * ms
		trace.wait(1, futex, at, at+10*ms, a, 2, a)
		trace.wait(2, futex, at-10*ms, at-ms/100, b, 1, b)
		trace.wait(2, futex, at, at+9*ms, b, 1, b)
		trace.wait(1, futex, at-10*ms, at-ms, a, 2, a)
	}
	if links := follow(table, trace.Flows(0), map[Place]float64{{a, futex}: 1}); len(links) == 0 || len(links) > maxLinks {
		t.Errorf("%d links: %s", len(links), say(table, links))
	}
}

// A chain is not made of a single wait, nor of waits that are not in excess.
func TestFewWaitsAreNoChain(t *testing.T) {
	table := frames.NewTable()
	lock := stackOf(table, "lookup")
	var trace Trace
	for n := range int64(criteria.FewSightings) - 1 {
		trace.wait(1, futex, n*100*ms, n*100*ms+20*ms, lock, 2, lock)
	}
	if links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: 1}); links != nil {
		t.Errorf("of two waits: %s", say(table, links))
	}
	for n := range int64(9) {
		trace.wait(1, futex, n*100*ms, n*100*ms+20*ms, lock, 2, lock)
	}
	if links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: -1}); links != nil {
		t.Errorf("of waits that became less: %s", say(table, links))
	}
}

// What was not kept is not taken for computing.
func TestATraceIsBounded(t *testing.T) {
	table := frames.NewTable()
	lock := stackOf(table, "lookup")
	var trace Trace
	for n := range int64(maxCalls + 10) {
		trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindCall, Time: n * ms, Duration: ms, Number: fsync}, lock, 0)
		trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: n * ms}, lock, 0)
		trace.Wake(1, &threadtrace.Waking{Time: n*ms + ms, Start: n * ms, Number: futex, By: threadtrace.WakerThread, Thread: int32(n), Stack: uint32(n)})
	}
	if got, most := trace.Len(), maxCalls+maxSights+maxWakings; got > most {
		t.Errorf("%d entries, at most %d", got, most)
	}
	if flows := trace.Flows(0); len(flows) > maxFlows {
		t.Errorf("%d flows", len(flows))
	}
	trace.wakings = trace.wakings[:0]
	trace.Wake(1, &threadtrace.Waking{Time: (maxCalls + 9) * ms, Start: (maxCalls + 5) * ms, Number: futex, By: threadtrace.WakerThread, Thread: 2, Stack: lock})
	if flows := trace.Flows(0); len(flows) != 0 {
		t.Errorf("of a wait whose waker's calls are lost: %v", flows)
	}
}

// Of a wait that began in the hop before, only what is known of this one counts.
func TestWhatIsNotKnownOfAWaitDoesNotCount(t *testing.T) {
	table := frames.NewTable()
	lock, unlock := stackOf(table, "lookup"), stackOf(table, "rebuild")
	var trace Trace
	trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindSample, Time: 101 * ms, Stack: unlock}, 0, 0)
	trace.wait(1, futex, 2*ms, 102*ms, lock, 2, unlock)
	total := 0.0
	for _, s := range trace.Flows(100 * ms) {
		total += s.Time
	}
	if got := int64(total); got != 2*ms {
		t.Errorf("%d ms of a wait of which 2 are known", got/ms)
	}
}

// A waker that waits itself when the tracing ends has a call that has not returned; one
// that is told in flight and returns is one call.
func TestACallInFlightCounts(t *testing.T) {
	table := frames.NewTable()
	lock, disk := stackOf(table, "lookup"), stackOf(table, "flush")
	for _, returns := range []bool{false, true} {
		var trace Trace
		for n := range int64(10) {
			at := n * 100 * ms
			trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindInFlight, Time: at, Duration: 50 * ms, Number: fsync}, disk, 0)
			if returns {
				trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: 60 * ms, Number: fsync}, disk, 0)
			}
			trace.wait(1, futex, at+10*ms, at+50*ms, lock, 2, lock)
		}
		links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: 1})
		if got := say(table, links); got != "lookup/0/202/1.00 flush/0/74/1.00 " {
			t.Errorf("returned %v: the chain is %s", returns, got)
		}
		for f, s := range trace.Flows(0) {
			if f.To.Number == fsync && int64(s.Time) != 400*ms {
				t.Errorf("returned %v: %.0f ms in the call, want 400", returns, s.Time/1e6)
			}
		}
	}
}

// Most calls have no stack: they are at the place of those that have one, if most are there.
func TestACallWithoutAStackIsWhereMostAre(t *testing.T) {
	table := frames.NewTable()
	lock, here, there := stackOf(table, "lookup"), stackOf(table, "flush"), stackOf(table, "copy")
	for _, c := range []struct {
		places []uint32
		want   string
	}{
		{[]uint32{here, 0, 0, 0, here, there}, "flush"},
		{[]uint32{here, 0, 0, 0, there, 0}, "?"},
	} {
		var trace Trace
		for n := range int64(12) {
			at := n * 100 * ms
			trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindCall, Time: at, Duration: 40 * ms, Number: fsync}, c.places[n%6], 0)
			trace.wait(1, futex, at, at+40*ms, lock, 2, lock)
		}
		links := follow(table, trace.Flows(0), map[Place]float64{{lock, futex}: 1})
		name := "?"
		if len(links) == 2 && links[1].Function >= 0 {
			name = table.Function(links[1].Function).Name
		}
		if len(links) != 2 || name != c.want {
			t.Errorf("%v: the chain is %s", c.places, say(table, links))
		}
	}
}

// A stranger that ends a wait for storage only was on the processor that a device told.
func TestAStrangerEndsNoWaitForStorage(t *testing.T) {
	table := frames.NewTable()
	disk := stackOf(table, "flush")
	var trace Trace
	for n := range int64(10) {
		trace.Wake(1, &threadtrace.Waking{
			Time: n*100*ms + 5*ms, Start: n * 100 * ms, Number: fsync, Stack: disk, By: threadtrace.WakerThread, Thread: 99, Name: "vim", Uninterruptible: true,
		})
	}
	links := follow(table, trace.Flows(0), map[Place]float64{{disk, fsync}: 1})
	if len(links) != 2 || links[1].Kind != Storage {
		t.Errorf("the chain is %s", say(table, links))
	}
}

// Who holds a lock that goroutines wait for is beyond taking it; of a lock below whose
// function nothing is seen the holder is not known.
func TestWhoHoldsALockIsBelowWhoTakesIt(t *testing.T) {
	table := frames.NewTable()
	enter, other := stackOf(table, "enter", "serve"), stackOf(table, "leave", "serve")
	count, ask, idle := stackOf(table, "count", "enter", "serve"), stackOf(table, "ask", "enter", "serve"), stackOf(table, "serve")
	mutex := threadtrace.WaitMutex
	flows := Held(table, map[Place]float64{{enter, mutex}: 100, {other, mutex}: 50}, map[Node]Sum{
		{Kind: Computes, Stack: count}: {30, 15}, {Kind: Waits, Stack: ask, Number: fsync}: {10, 5}, {Kind: Computes, Stack: idle}: {1000, 500},
	})
	from := Node{Kind: Waits, Stack: enter, Number: mutex}
	want := Flows{{from, Node{Kind: Computes, Stack: count}}: {75, 15}, {from, Node{Kind: Waits, Stack: ask, Number: fsync}}: {25, 5}}
	if !maps.Equal(flows, want) {
		t.Errorf("%v, want %v", flows, want)
	}
}

// A wait is for a function by all ways that lead to it: what it computes itself, what it
// waits for, and who waits for it.
func TestTheShareOfAFunctionIsThatOfAllWays(t *testing.T) {
	table := frames.NewTable()
	ask, flush, sync, other := stackOf(table, "ask"), stackOf(table, "flush", "serve"), stackOf(table, "store", "flush", "serve"), stackOf(table, "other")
	relay := stackOf(table, "relay")
	waits := func(stack uint32, number int32) Node { return Node{Kind: Waits, Stack: stack, Number: number} }
	flows := Flows{
		{waits(ask, futex), waits(ask, futex)}:                  {900, 90}, // the queue
		{waits(ask, futex), Node{Kind: Unknown, Stack: flush}}:  {20, 4},
		{waits(ask, futex), waits(sync, fsync)}:                 {30, 6},
		{waits(ask, futex), waits(relay, futex)}:                {30, 6},
		{waits(ask, futex), Node{Kind: Computes, Stack: other}}: {20, 4},
		{waits(relay, futex), waits(sync, fsync)}:               {10, 5},
		{waits(relay, futex), waits(ask, futex)}:                {10, 5},
		{waits(sync, fsync), Node{Kind: Storage}}:               {50, 9},
		{waits(other, futex), waits(sync, fsync)}:               {50, 2},
	}
	function := func(name string) func(uint32) bool {
		return func(stack uint32) bool {
			for _, f := range table.Get(stack).Frames {
				if table.Function(f).Name == name {
					return true
				}
			}
			return false
		}
	}
	// Of 100: 20 and 30 at once, 30 by way of who waits half of the time for the one who asks.
	all := 0.5 / (1 - 0.3*0.5)
	all += 0.3 * 0.5 / (1 - 0.3*0.5)
	for _, c := range []struct {
		function string
		at       uint32
		want     float64
	}{{"flush", ask, all}, {"other", ask, 0.2 / (1 - 0.3*0.5)}, {"flush", other, 0}, {"nobody", ask, 0}} {
		if got := NewGraph(table, flows).ShareFor(function(c.function))(Place{c.at, futex}); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%s: %.3f of the waits are for it, want %.3f", c.function, got, c.want)
		}
	}
}

// Who is woken at a lock that another one has taken meanwhile waits on in the same call: what
// came before is told by who woke it in vain, not by who was elsewhere then.
func TestWhoIsWokenInVainWaitsOn(t *testing.T) {
	table := frames.NewTable()
	lock, hold, idle := stackOf(table, "enter"), stackOf(table, "store", "enter"), stackOf(table, "receive")
	const flock, recv = 73, 45
	var trace Trace
	for n := range int64(10) {
		at := n * 100 * ms
		trace.wait(2, fsync, at-ms, at+39*ms, hold, 0, 0)
		trace.Event(3, &threadtrace.Event{Kind: threadtrace.KindCall, Time: at - 50*ms, Duration: 91 * ms, Number: recv}, idle, 0)
		trace.wait(3, fsync, at+41*ms, at+44*ms, hold, 0, 0)
		in := threadtrace.Waking{Start: at, Number: flock, By: threadtrace.WakerThread, Stack: lock}
		last := in
		in.Time, in.Thread = at+40*ms, 2
		last.Time, last.Thread = at+45*ms, 3
		trace.Wake(1, &last) // they come by processor, not in order
		trace.Wake(1, &in)
	}
	flows := trace.Flows(-1e9)
	links := follow(table, flows, map[Place]float64{{lock, flock}: 1})
	if len(links) < 2 || table.Function(links[1].Function).Name != "store" || links[1].Share < 0.9 {
		t.Errorf("the chain is %s", say(table, links))
	}
	if idly := flows[Flow{Node{Kind: Waits, Stack: lock, Number: flock}, Node{Kind: Waits, Stack: idle, Number: recv}}].Time; idly > float64(11*ms) {
		t.Errorf("%.0f ms of who holds nothing, want the 1 ms from the waking to the end of its wait each", idly/1e6)
	}
}

// A holder that flushes one small record after the other waits for the disk, although none of
// its waits is as long as the shortest that is told; one that computes longer than it flushes
// does not.
func TestManyShortFlushesAreAWaitForTheDisk(t *testing.T) {
	table := frames.NewTable()
	lock, sync, unlock := stackOf(table, "enter"), stackOf(table, "append", "enter"), stackOf(table, "enter")
	for _, c := range []struct {
		name     string
		took     int64
		place    func(n int64) uint32
		class    threadtrace.Class
		disk     float64
		function string
	}{
		{"each has a stack", 50_000, func(int64) uint32 { return sync }, threadtrace.ClassSync, 0.8, "append"},
		{"few have a stack", 50_000, func(n int64) uint32 { return uint32(n%7/6) * sync }, threadtrace.ClassSync, 0.8, "append"},
		{"mostly computing", 5_000, func(int64) uint32 { return sync }, threadtrace.ClassSync, 0, ""},
		{"no flushes", 50_000, func(int64) uint32 { return sync }, threadtrace.ClassFile, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trace Trace
			for n := range int64(12) {
				at := n * 100 * ms
				for i := range 200 * int64(50_000) / (c.took + 10_000) {
					trace.Event(2, &threadtrace.Event{Kind: threadtrace.KindCall, Time: at + i*(c.took+10_000), Duration: c.took, Number: fsync}, c.place(i), c.class)
				}
				trace.wait(1, futex, at, at+10*ms, lock, 2, unlock)
			}
			if kept := trace.Len(); kept > 40 {
				t.Errorf("%d entries are kept of it", kept)
			}
			flows := trace.Flows(0)
			disk, all := 0.0, 0.0
			for f, s := range flows {
				if all += s.Time; f.To.Kind == Waits && f.To.Number == fsync {
					disk += s.Time
				}
			}
			if part := disk / (12 * 10e6); math.Abs(part-c.disk) > 0.05 {
				t.Errorf("%.2f of the wait is for the disk, want %.2f", part, c.disk)
			}
			links := follow(table, flows, map[Place]float64{{lock, futex}: 1})
			if c.function != "" && (len(links) != 2 || table.Function(links[1].Function).Name != c.function || links[1].Number != fsync) {
				t.Errorf("the chain is %s", say(table, links))
			}
		})
	}
}
