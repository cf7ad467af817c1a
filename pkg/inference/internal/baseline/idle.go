package baseline

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// MayIdle tells where a thread can be waiting for something to do: in a call that
// can mean that, without a lock above it.
type MayIdle struct {
	Classes *threadtrace.Classes
	Stacks  *frames.Table
}

// At reports it of a place.
func (m MayIdle) At(p hop.Place) bool {
	return m.Classes.Is(p.Number, threadtrace.ClassIdle|threadtrace.ClassReadLike) && !m.Stacks.Get(p.Stack).Lock
}

// Parks reports whether a runtime or library parks its own thread at a place: one
// without application code on its stack, waiting for other threads or for any of
// its descriptors. Where nothing is known of the stack, any wait that may be idle is.
func (m MayIdle) Parks(p hop.Place) bool {
	s := m.Stacks.Get(p.Stack)
	switch {
	case len(s.Frames) == 0:
		return m.At(p)
	case s.Lock || s.Tier != frames.Platform:
		return false
	}
	return m.Classes.Is(p.Number, threadtrace.ClassFutex|threadtrace.ClassPark) || s.Runtime && m.Classes.Is(p.Number, threadtrace.ClassSleep)
}

// Idling knows where the threads of a service wait for work.
type Idling struct {
	may    MayIdle
	shares map[hop.Place]float64
	// idle are the places where a thread idled more than anywhere else: what it
	// waits for amid its work is less.
	idle map[hop.Place]bool
	// homes has the threads that had a place to idle.
	homes map[int32]bool
	same  map[hop.Place]bool
	// interpreted is set when the sleeps of the runtime are those of the program.
	interpreted bool
}

// NewIdling reads it off past hops; interpreted says that the service is a program of
// an interpreter.
func NewIdling(hops []*hop.Closed, may MayIdle, interpreted bool) *Idling {
	w := &Idling{may: may, interpreted: interpreted, shares: map[hop.Place]float64{}, idle: map[hop.Place]bool{}, homes: map[int32]bool{}, same: map[hop.Place]bool{}}
	most, homes := map[hop.Place]*largest{}, map[hop.Place]*largest{}
	for _, h := range hops {
		for at, t := range h.Wait {
			add(most, at, t.Share())
		}
	}
	learnt := learntWaits(hops, may.Stacks, most)
	for _, h := range hops {
		for at, t := range h.Fresh {
			if learnt(at) {
				add(most, at, t.Share())
			}
		}
		for id, home := range h.Homes {
			w.homes[id] = true
			if learnt(home.Place) {
				add(homes, home.Place, home.Share)
			}
		}
	}
	for at, shares := range most {
		w.shares[at] = shares.comesBack()
	}
	for at, shares := range homes {
		if shares.comesBack() > 0 {
			w.idle[at] = true
		}
	}
	return w
}

// largest are the two largest shares that a place had in a hop, zero where it was in none.
type largest struct{ most, second float64 }

func add(to map[hop.Place]*largest, at hop.Place, share float64) {
	l := to[at]
	if l == nil {
		l = &largest{}
		to[at] = l
	}
	l.most, l.second = max(l.most, share), max(l.second, min(l.most, share))
}

// comesBack is the share that a place had or exceeded in two hops. One alone may
// have had a hiccup, unless it is all of the time: a place where threads idle is one
// they come back to, or stay at.
func (l *largest) comesBack() float64 {
	if l.most >= criteria.NearlyAll {
		return l.most
	}
	return l.second
}

// At reports whether threads at a place wait for something to do, or rest there all
// of their time: a main thread that joins the others.
func (w *Idling) At(p hop.Place) bool {
	if w.shares[p] >= criteria.NearlyAll || w.may.Parks(p) && !(w.interpreted && w.may.Classes.Is(p.Number, threadtrace.ClassSleep)) {
		return true
	}
	if !w.may.At(p) {
		return false
	}
	if w.idle[p] {
		return true
	}
	known, ok := w.same[p]
	if !ok {
		// The place may have had fewer names, or more, while it was learned. Who idles
		// until somebody connects does so in a child that is started later, too.
		accepts := w.may.Classes.Is(p.Number, threadtrace.ClassAccept)
		for was := range w.idle {
			if was.Number == p.Number && (accepts || w.may.Stacks.Same(p.Stack, was.Stack)) {
				known = true
				break
			}
		}
		w.same[p] = known
	}
	return known
}

// Unasked returns the places of a hop with less work at which threads that were
// always at work wait because there is less of it: places that are known, of
// threads that have no other place to idle.
func (w *Idling) Unasked(c *hop.Closed) func(hop.Place) bool {
	homeless := map[hop.Place]int{}
	for i := range c.Cells {
		cell := &c.Cells[i]
		if cell.Waiting && !w.homes[cell.Thread] {
			homeless[hop.Place{Stack: cell.Stack, Number: cell.Number}]++
		}
	}
	return func(p hop.Place) bool {
		return w.At(p) || w.may.At(p) && w.shares[p] >= criteria.Little && 2*homeless[p] >= c.Wait[p].Threads
	}
}

// learntWaits tells which waits of the past are the service's: those that are known, and others.
// A thread of a role that others have becomes known while it still waits, as soon as it was seen
// at work: its first wait is no habit before it has lasted.
func learntWaits(hops []*hop.Closed, stacks *frames.Table, known map[hop.Place]*largest) func(hop.Place) bool {
	roles := map[int32]bool{}
	for at := range known {
		if role, ok := stacks.Role(at.Stack); ok {
			roles[role] = true
		}
	}
	since := map[hop.Place]int{}
	for _, h := range hops {
		for at := range h.Fresh {
			since[at]++
		}
	}
	return func(p hop.Place) bool {
		if known[p] != nil {
			return true
		}
		role, ok := stacks.Role(p.Stack)
		return !ok || !roles[role] || since[p] >= criteria.MinPast
	}
}
