package chain

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxWakings, maxCalls and maxSights bound what a trace holds: 64, 40 and 16 bytes
	// each.
	maxWakings = 4096
	maxCalls   = 16384
	maxSights  = 16384
	// leastWait is the shortest wait that wakings tell, in nanoseconds.
	leastWait = int64(1e6)
	// leastCall is the shortest call kept, in nanoseconds. What is shorter counts as
	// computing, but for flushes that follow each other.
	leastCall = leastWait / 10
)

// Trace holds what threads of a service did over a while, to tell what those did who were
// waited for. The zero value is empty.
type Trace struct {
	wakings []waking
	threads map[int32]*activity
	calls   int
	sights  int
}

type waking struct {
	thread, by int32
	start, end int64
	from       Node
	kind       Kind
	name       string
	stack      uint32 // of the waker
	stored     bool   // the wait was for storage or a lock in the kernel
}

// began is which call of a thread.
type began struct {
	thread int32
	start  int64
}

// activity is what one thread did.
type activity struct {
	calls []call
	// samples are when it was seen on a CPU outside of long calls, looks when it was
	// seen waiting.
	samples, looks []sight
	// busiest is the stack with most of the samples, once they have all come.
	busiest uint32
	// lost is when the first of its calls ended that was not kept.
	lost int64
	// flush is its last flushes that followed each other as one call, kept at that place
	// in calls, or not yet when it is negative.
	flush call
	kept  int
}

type call struct {
	start, end int64
	delay      int64
	at         Node
}

type sight struct {
	at    int64
	stack uint32
}

func (t *Trace) of(thread int32) *activity {
	a := t.threads[thread]
	if a == nil {
		if t.threads == nil {
			t.threads = map[int32]*activity{}
		}
		a = &activity{}
		t.threads[thread] = a
	}
	return a
}

// Len is the number of entries held, for an estimate of the memory.
func (t *Trace) Len() int { return len(t.wakings) + t.calls + t.sights }

// Wake takes the end of a wait of a thread; the stacks of w are identifiers.
func (t *Trace) Wake(thread int32, w *threadtrace.Waking) {
	if len(t.wakings) >= maxWakings || w.Time <= w.Start {
		return
	}
	kind := Other
	switch {
	case w.By == threadtrace.WakerThread:
	case w.Uninterruptible:
		kind = Storage
	case w.By == threadtrace.WakerInterrupt:
		kind = Interrupt
	default:
		kind = Kernel
	}
	t.wakings = append(t.wakings, waking{
		thread: thread, by: w.Thread, start: w.Start, end: w.Time, kind: kind, name: w.Name, stack: w.WakerStack,
		from: Node{Kind: Waits, Stack: w.Stack, Number: w.Number}, stored: w.Uninterruptible,
	})
}

// Event takes what a thread was seen to do; its stack is an identifier, place that of a call
// as of a wait, class that of the call. One that flushes waits for storage and for nothing else, however short it
// is.
func (t *Trace) Event(thread int32, e *threadtrace.Event, place uint32, class threadtrace.Class) {
	switch e.Kind {
	case threadtrace.KindCall, threadtrace.KindInFlight:
		c := call{e.Time, e.End(), e.Delay, Node{Kind: Waits, Stack: place, Number: e.Number}}
		switch {
		case class&threadtrace.ClassSync != 0 && e.Duration < leastWait:
			t.flushed(t.of(thread), c)
		case e.Duration >= leastCall:
			t.keep(t.of(thread), c)
		}
	case threadtrace.KindSample:
		if t.sights < maxSights {
			t.sights++
			a := t.of(thread)
			a.samples = append(a.samples, sight{e.Time, e.Stack})
		}
	case threadtrace.KindBlocked:
		if t.sights < maxSights && e.Stack != 0 && !threadtrace.IsGoroutineWait(e.Number) {
			t.sights++
			a := t.of(thread)
			a.looks = append(a.looks, sight{e.Time, e.Stack})
		}
	}
}

func (t *Trace) keep(a *activity, c call) (at int) {
	if t.calls >= maxCalls {
		if a.lost == 0 {
			a.lost = c.end
		}
		return -1
	}
	t.calls++
	a.calls = append(a.calls, c)
	return len(a.calls) - 1
}

// flushed takes a flush that is shorter than the waits that are told. One that begins sooner
// after the one before than it takes goes on with it: both are one wait for storage, without
// the time between them.
func (t *Trace) flushed(a *activity, c call) {
	last := &a.flush
	if between := c.start - last.end; between >= 0 && between < c.end-c.start && last.at.maybe(c.at) {
		last.end, last.delay, last.at.Stack = c.end, last.delay+between+c.delay, cmp.Or(last.at.Stack, c.at.Stack)
	} else {
		a.flush, a.kept = c, -1
	}
	switch {
	case a.kept >= 0:
		a.calls[a.kept] = *last
	case last.end-last.start-last.delay >= leastCall:
		a.kept = t.keep(a, *last)
	}
}

// Flows says what each wait was spent on by those who ended it. Only what happened after
// from (nanoseconds since the epoch) is known of them. Of who is woken and has to wait on, as
// somebody else has the lock again, the one who wakes it then tells what came after.
func (t *Trace) Flows(from int64) Flows {
	if len(t.wakings) == 0 {
		return nil
	}
	t.place()
	flows := Flows{}
	inVain := map[began]int64{}
	slices.SortStableFunc(t.wakings, func(a, b waking) int { return cmp.Compare(a.end, b.end) })
	for i := range t.wakings {
		w := &t.wakings[i]
		since := max(w.start, inVain[began{w.thread, w.start}])
		inVain[began{w.thread, w.start}] = w.end
		length := float64(w.end - since)
		a := t.threads[w.by]
		switch {
		case w.kind != Other:
			flows.add(w.from, w.kind.named(w.name), length, 1)
		case a == nil && w.stored: // it only was on the processor that heard of the device
			flows.add(w.from, Node{Kind: Storage}, length, 1)
		case a == nil:
			flows.add(w.from, Node{Kind: Other, Name: general(w.name), Stack: w.stack}, length, 1)
		case a.lost == 0 || a.lost >= w.end:
			a.share(flows, w, max(from, since))
		}
	}
	return flows
}

// place gives calls without a stack that of the waking that ended them, or of a look.
func (t *Trace) place() {
	known := map[began]uint32{}
	for i := range t.wakings {
		if w := &t.wakings[i]; w.from.Stack != 0 {
			known[began{w.thread, w.start}] = w.from.Stack
		}
	}
	for id, a := range t.threads {
		// One that was told in flight comes once more when it has returned.
		slices.SortFunc(a.calls, func(x, y call) int { return cmp.Or(cmp.Compare(x.start, y.start), cmp.Compare(y.end, x.end)) })
		a.calls = slices.CompactFunc(a.calls, func(x, y call) bool { return x.start == y.start })
		byTime := func(x, y sight) int { return cmp.Compare(x.at, y.at) }
		slices.SortFunc(a.samples, byTime)
		slices.SortFunc(a.looks, byTime)
		a.busiest = busiest(a.samples)
		a.flush = call{} // calls have other places now
		for i := range a.calls {
			c := &a.calls[i]
			if stack, ok := known[began{id, c.start}]; ok {
				c.at.Stack = stack
			} else if within := between(a.looks, c.start, c.end); c.at.Stack == 0 && len(within) > 0 {
				c.at.Stack = within[0].stack
			}
		}
	}
	t.placeByOthers()
	for i := range t.wakings {
		w := &t.wakings[i]
		if a := t.threads[w.thread]; a != nil && w.from.Stack == 0 {
			if within := between(a.looks, w.start, w.end); len(within) > 0 {
				w.from.Stack = within[0].stack
			} else if at, ok := slices.BinarySearchFunc(a.calls, w.start, func(c call, s int64) int { return cmp.Compare(c.start, s) }); ok {
				w.from.Stack = a.calls[at].at.Stack
			}
		}
	}
}

// placeByOthers gives calls that are without a stack yet that of most such calls of the
// thread, or else of all threads, if it is one of which most that have a stack are at it.
func (t *Trace) placeByOthers() {
	all := places{}
	own := map[int32]places{}
	for id, a := range t.threads {
		own[id] = places{}
		for i := range a.calls {
			own[id].count(a.calls[i].at)
			all.count(a.calls[i].at)
		}
	}
	mostOfAll := all.most()
	for id, a := range t.threads {
		most := own[id].most()
		for i := range a.calls {
			at := &a.calls[i].at
			if at.Stack != 0 {
				continue
			}
			if stack, ok := most[at.Number]; ok {
				at.Stack = stack
			} else if len(own[id][at.Number]) == 0 {
				at.Stack = mostOfAll[at.Number]
			}
		}
	}
}

// places counts the stacks of calls by their number.
type places map[int32]map[uint32]int

func (p places) count(n Node) {
	if n.Stack == 0 {
		return
	}
	if p[n.Number] == nil {
		p[n.Number] = map[uint32]int{}
	}
	p[n.Number][n.Stack]++
}

// most are the stacks that most of the calls of their number have.
func (p places) most() map[int32]uint32 {
	out := map[int32]uint32{}
	for number, stacks := range p {
		all := 0
		for _, n := range stacks {
			all += n
		}
		for stack, n := range stacks {
			if 2*n > all {
				out[number] = stack
			}
		}
	}
	return out
}

// busiest is the stack that most sights have, the smaller of two that have as many; zero
// when none has one.
func busiest(samples []sight) (stack uint32) {
	counts, most := map[uint32]int{}, 0
	for _, s := range samples {
		if s.stack == 0 {
			continue
		}
		counts[s.stack]++
		if n := counts[s.stack]; n > most || n == most && s.stack < stack {
			stack, most = s.stack, n
		}
	}
	return stack
}

// between are the sights between two instants.
func between(sights []sight, from, to int64) []sight {
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(sights, t, func(s sight, t int64) int { return cmp.Compare(s.at, t) })
		return i
	}
	return sights[at(from):max(at(from), at(to))]
}

// share gives a wait, from an instant on, to what the thread that ended it did. Its calls are known exactly; of the rest, which it computed, the samples tell where.
// Where there are none it is where the thread computes most, or else on the stack on which
// it woke who waited.
func (a *activity) share(flows Flows, w *waking, from int64) {
	rest := w.end - from
	if rest <= 0 {
		return
	}
	waits := func(ns int64) float64 { return float64(ns) / float64(w.end-w.start) }
	first, _ := slices.BinarySearchFunc(a.calls, from, func(c call, t int64) int { return cmp.Compare(c.end, t) })
	at := from
	var computing []sight
	for _, c := range a.calls[first:] {
		if c.start >= w.end {
			break
		}
		took := min(c.end, w.end) - max(c.start, from)
		if took <= 0 {
			continue
		}
		computing = append(computing, between(a.samples, at, c.start)...)
		at = c.end
		waited := max(0, took-c.delay)
		flows.add(w.from, c.at, float64(waited), waits(waited))
		rest -= took
	}
	computing = append(computing, between(a.samples, at, w.end)...)
	if rest <= 0 {
		return
	}
	if len(computing) == 0 {
		computing = []sight{{}}
	}
	each := rest / int64(len(computing))
	for _, s := range computing {
		to := Node{Kind: Computes, Stack: s.stack}
		if s.stack == 0 {
			to = Node{Kind: Unknown, Stack: cmp.Or(a.busiest, w.stack)}
		}
		flows.add(w.from, to, float64(each), waits(each))
	}
}
