package inference

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// unnamedWaits is how long threads waited in the past without a known stack, by call, in
// nanoseconds per second.
func (n *normal) unnamedWaits() map[int32]float64 {
	if n.unnamed == nil {
		n.unnamed = map[int32]float64{}
		for _, v := range n.past.Hops() {
			for _, waits := range []map[hop.Place]hop.Wait{v.Hop.Wait, v.Hop.Fresh} {
				for at, w := range waits {
					if at.Stack == 0 {
						n.unnamed[at.Number] += w.Time / float64(n.past.Len())
					}
				}
			}
		}
	}
	return n.unnamed
}

// usually is how long threads waited at a place in the past.
func (n *normal) usually(at hop.Place) (usual float64) {
	for _, v := range n.past.Hops() {
		usual += v.Hop.Wait[at].Time + v.Hop.Fresh[at].Time
	}
	return usual / float64(n.past.Len())
}

// asNamedBefore is a hop whose waits have no stack where they had none in the past: on a
// machine that is short of CPU the first stack of a thread that waits comes late, and the
// place that it tells is not where the thread has gone to. Of each call, waits in excess
// lose their stack as far as there are now fewer without one.
func (n *normal) asNamedBefore(c *hop.Closed) *hop.Closed {
	named := c
	for number, usual := range n.unnamedWaits() {
		now := c.Wait[hop.Place{Number: number}].And(c.Fresh[hop.Place{Number: number}])
		fewer := usual - now.Time
		if fewer <= 0 {
			continue
		}
		more, all, threads := n.moreThanUsual(c, number)
		if all == 0 {
			continue
		}
		if named == c {
			other := *c
			other.Wait, other.Fresh = maps.Clone(c.Wait), maps.Clone(c.Fresh)
			named = &other
		}
		fewer += float64(now.Threads+threads) * c.SnapshotPeriod // a hop may have a look more at each
		for _, at := range slices.SortedFunc(maps.Keys(more), comparePlaces) {
			unname(named, at, more[at]*min(1, fewer/all))
		}
	}
	return named
}

func comparePlaces(a, b hop.Place) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Stack, b.Stack))
}

// moreThanUsual are the places with a stack at which more is waited in a call than in the
// past, by how much, and that of all of them, in nanoseconds per second; threads are those
// that wait there.
func (n *normal) moreThanUsual(c *hop.Closed, number int32) (more map[hop.Place]float64, all float64, threads int) {
	more = map[hop.Place]float64{}
	for _, waits := range []map[hop.Place]hop.Wait{c.Wait, c.Fresh} {
		for at, w := range waits {
			if at.Number == number && at.Stack != 0 {
				more[at] += w.Time
			}
		}
	}
	for at, t := range more {
		if more[at] = t - n.usually(at); more[at] <= 0 {
			delete(more, at)
			continue
		}
		all += more[at]
		threads += c.Wait[at].Threads + c.Fresh[at].Threads
	}
	return more, all, threads
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
