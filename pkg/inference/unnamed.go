package inference

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// restsUnnamed has the threads that rested in the past without a known stack, in at least
// two hops and half of those in which they rested, and the call in which they did.
func (n *normal) restsUnnamed() map[int32]int32 {
	if n.resting != nil {
		return n.resting
	}
	type rest struct{ thread, number int32 }
	unnamed := map[rest]int{}
	for _, v := range n.past.Hops() {
		for thread, home := range v.Hop.Homes {
			if home.Stack == 0 {
				unnamed[rest{thread, home.Number}]++
			}
		}
	}
	rested := func(thread int32) (hops int) {
		for _, v := range n.past.Hops() {
			if _, ok := v.Hop.Homes[thread]; ok {
				hops++
			}
		}
		return hops
	}
	n.resting = map[int32]int32{}
	for r, count := range unnamed {
		if count >= 2 && 2*count > rested(r.thread) {
			n.resting[r.thread] = r.number
		}
	}
	return n.resting
}

// asRestedBefore is a hop in which threads that rested in a call without a known stack, and
// do so where it is known now, have none: on a machine that is short of CPU the first stack
// of a thread that waits comes late, and the place that it tells is not where the thread has
// gone to. Where that is most of a place's time it is where threads rest, and others rest
// there, too: a cached thread that was given a connection.
func (n *normal) asRestedBefore(c *hop.Closed, mayIdle func(hop.Place) bool) *hop.Closed {
	resting := n.restsUnnamed()
	if len(resting) == 0 {
		return c
	}
	named := map[hop.Place]int64{}
	for _, cell := range c.Cells {
		at := hop.Place{Stack: cell.Stack, Number: cell.Number}
		if number, ok := resting[cell.Thread]; ok && cell.Waiting && at.Stack != 0 && number == at.Number && mayIdle(at) {
			named[at] += cell.Time
		}
	}
	if len(named) == 0 {
		return c
	}
	rested := *c
	rested.Wait, rested.Fresh = maps.Clone(c.Wait), maps.Clone(c.Fresh)
	// In an order that does not change: the sum of the waits is rounded.
	for _, at := range slices.SortedFunc(maps.Keys(named), func(a, b hop.Place) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Stack, b.Stack))
	}) {
		by, all := float64(named[at])/c.Seconds, c.Wait[at].Time+c.Fresh[at].Time
		if 2*by > all {
			by = all
		}
		unname(&rested, at, by)
	}
	return &rested
}

// unname takes a part of the waits at a place for such without a stack, those of threads
// without a past first.
func unname(c *hop.Closed, at hop.Place, by float64) {
	for _, waits := range []map[hop.Place]hop.Wait{c.Fresh, c.Wait} {
		w, ok := waits[at]
		if !ok || by <= 0 {
			continue
		}
		gone := w
		gone.Time = min(w.Time, by)
		without := hop.Place{Number: at.Number}
		c.Wait[without] = c.Wait[without].And(gone)
		by -= gone.Time
		if w.Time -= gone.Time; w.Time > 0 {
			waits[at] = w
		} else {
			delete(waits, at)
		}
	}
}
