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
	// leastCall is the shortest call kept, in nanoseconds: a tenth of the shortest wait
	// that wakings tell. What is shorter counts as computing.
	leastCall = int64(100e3)
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
}

// activity is what one thread did.
type activity struct {
	calls []call
	// samples are when it was seen on a CPU outside of long calls, looks when it was
	// seen waiting.
	samples, looks []sight
	// lost is when the first of its calls ended that was not kept.
	lost int64
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
		from: Node{Kind: Waits, Stack: w.Stack, Number: w.Number},
	})
}

// Event takes what a thread was seen to do; its stack is an identifier, of a call that
// of the place.
func (t *Trace) Event(thread int32, e *threadtrace.Event, place uint32) {
	switch e.Kind {
	case threadtrace.KindCall:
		if e.Duration < leastCall {
			return
		}
		a := t.of(thread)
		if t.calls >= maxCalls {
			if a.lost == 0 {
				a.lost = e.End()
			}
			return
		}
		t.calls++
		a.calls = append(a.calls, call{e.Time, e.End(), e.Delay, Node{Kind: Waits, Stack: place, Number: e.Number}})
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

// Flows says what each wait was spent on by those who ended it. Only what happened after
// from (nanoseconds since the epoch) is known of them.
func (t *Trace) Flows(from int64) Flows {
	if len(t.wakings) == 0 {
		return nil
	}
	t.place()
	flows := Flows{}
	for i := range t.wakings {
		w := &t.wakings[i]
		length := float64(w.end - w.start)
		a := t.threads[w.by]
		switch {
		case w.kind != Other:
			flows.add(w.from, w.kind.named(w.name), length, 1)
		case a == nil:
			flows.add(w.from, Node{Kind: Other, Name: general(w.name), Stack: w.stack}, length, 1)
		case a.lost == 0 || a.lost >= w.end:
			a.share(flows, w, max(from, w.start))
		}
	}
	return flows
}

// place gives calls without a stack that of the waking that ended them, or of a look.
func (t *Trace) place() {
	type began struct {
		thread int32
		start  int64
	}
	known := map[began]uint32{}
	for i := range t.wakings {
		if w := &t.wakings[i]; w.from.Stack != 0 {
			known[began{w.thread, w.start}] = w.from.Stack
		}
	}
	for id, a := range t.threads {
		slices.SortFunc(a.calls, func(x, y call) int { return cmp.Compare(x.start, y.start) })
		byTime := func(x, y sight) int { return cmp.Compare(x.at, y.at) }
		slices.SortFunc(a.samples, byTime)
		slices.SortFunc(a.looks, byTime)
		for i := range a.calls {
			c := &a.calls[i]
			if stack, ok := known[began{id, c.start}]; ok {
				c.at.Stack = stack
			} else if within := between(a.looks, c.start, c.end); c.at.Stack == 0 && len(within) > 0 {
				c.at.Stack = within[0].stack
			}
		}
	}
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

// between are the sights between two instants.
func between(sights []sight, from, to int64) []sight {
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(sights, t, func(s sight, t int64) int { return cmp.Compare(s.at, t) })
		return i
	}
	return sights[at(from):max(at(from), at(to))]
}

// share gives the length of a wait to what the thread that ended it did from an instant
// on. Its calls are known exactly; of the rest, which it computed, the samples tell where.
// Where there are none it is known only on which stack it woke who waited.
func (a *activity) share(flows Flows, w *waking, from int64) {
	length := float64(w.end - w.start)
	rest := w.end - from
	if rest <= 0 {
		return
	}
	part := func(ns int64) float64 { return length * float64(ns) / float64(w.end-from) }
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
		flows.add(w.from, c.at, part(waited), float64(waited)/float64(w.end-from))
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
			to = Node{Kind: Unknown, Stack: w.stack}
		}
		flows.add(w.from, to, part(each), float64(each)/float64(w.end-from))
	}
}
