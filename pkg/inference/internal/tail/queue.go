package tail

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
)

// jitter is how many times as long as until somebody who came later left it may take those
// before a request to leave: those that are let go together leave in any order.
const jitter = 1.25

// queue tells since when each span was served: not while it was in line. In a line who came
// first leaves first, and what a request takes from when the one before it left is its own
// (Lindley, Proc. Cambridge Philosophical Society 1952). Where requests are served beside one
// another those that come later leave before: until that happens one may have been in line, and
// not after. order is that of the pending requests by when they began.
func (p *Pool) queue(order []begin) {
	later := int64(math.MaxInt64) // the first end of those that began later
	p.leaves = slices.Grow(p.leaves[:0], len(order))[:len(order)]
	for i, b := range slices.Backward(order) {
		p.leaves[i] = later
		if r := &p.pending[b.request]; r.span() {
			later = min(later, r.End)
		}
	}
	var ends []int64 // of those that began before, and are under way
	for i, b := range order {
		r := &p.pending[b.request]
		if !r.span() {
			continue
		}
		until := r.End - 1
		if left := float64(p.leaves[i] - r.Start); left < float64(r.End-r.Start)/jitter {
			until = r.Start + int64(jitter*left)
		}
		at, _ := slices.BinarySearch(ends, until+1)
		if at > 0 && ends[at-1] > r.Start {
			r.served = max(r.served, ends[at-1])
		}
		gone, _ := slices.BinarySearch(ends, r.Start+1)
		ends = ends[gone:]
		r.first = len(ends) == 0
		at, _ = slices.BinarySearch(ends, r.End)
		ends = slices.Insert(ends, at, r.End)
	}
}

// span reports whether a request is one, and neither a unit nor what a goroutine did.
func (r *Request) span() bool { return !r.Unit && !r.Goroutine }

// since is from when a request counts: from when it came, or was served.
func (r *Request) since(served bool) int64 {
	if served {
		return max(r.Start, r.served)
	}
	return r.Start
}

func (r *Request) took(served bool) float64 {
	took := r.End - r.since(served)
	if served {
		took -= r.waited
	}
	return float64(max(1, took))
}

// queued reads off a unit for how long it was in line: its thread waited for locks.
func (p *Pool) queued(r *Request) {
	for _, t := range r.Seen {
		if p.inLine(&t) {
			r.waited += t.Time
		}
	}
}

func (p *Pool) inLine(t *unit.StackTime) bool {
	return t.Waiting && p.locks(t.Stack)
}

func (p *Pool) locks(stack uint32) bool { return p.Lock != nil && p.Lock(stack) }
