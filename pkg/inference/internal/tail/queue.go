package tail

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
)

// jitter is how many times as long as until somebody who came later left it may take those
// before a request to leave: those that are let go together leave in any order.
const jitter = 1.25

// line is who stands in a line: when the first of those leaves that came later than the one
// that is looked at, and when those leave that came before and are under way.
type line struct {
	later int64
	ends  []int64
}

// lines are the lines of a service: each thread that worked for a request alone has its own,
// and all requests of which no thread is known are in one.
type lines struct {
	shared line
	of     map[int32]*line
}

func (l *lines) at(thread int32) *line {
	if thread == 0 {
		return &l.shared
	}
	own := l.of[thread]
	if own == nil {
		if l.of == nil {
			l.of = map[int32]*line{}
		}
		own = &line{later: math.MaxInt64}
		l.of[thread] = own
	}
	return own
}

// queue tells since when each span was served: not while it was in line. In a line who came
// first leaves first, and what a request takes from when the one before it left is its own
// (Lindley, Proc. Cambridge Philosophical Society 1952). Where requests are served beside one
// another those that come later leave before: until that happens one may have been in line, and
// not after. order is that of the pending requests by when they began.
func (p *Pool) queue(order []begin) {
	if p.last == 0 { // no span ever came
		return
	}
	all := lines{shared: line{later: math.MaxInt64}}
	p.leaves = slices.Grow(p.leaves[:0], len(order))[:len(order)]
	for i, b := range slices.Backward(order) {
		if r := &p.pending[b.request]; r.span() {
			l := all.at(r.Thread)
			p.leaves[i] = l.later
			l.later = min(l.later, r.End)
		}
	}
	for i, b := range order {
		if r := &p.pending[b.request]; r.span() {
			all.at(r.Thread).serve(r, p.leaves[i])
		}
	}
}

// serve tells of the next request in a line since when it was served; later is when the first
// of those leaves that came after it.
func (l *line) serve(r *Request, later int64) {
	until := r.End - 1
	if left := float64(later - r.Start); left < float64(r.End-r.Start)/jitter {
		until = r.Start + int64(jitter*left)
	}
	at, _ := slices.BinarySearch(l.ends, until+1)
	if at > 0 && l.ends[at-1] > r.Start {
		r.served = max(r.served, l.ends[at-1])
	}
	gone, _ := slices.BinarySearch(l.ends, r.Start+1)
	l.ends = l.ends[gone:]
	r.first = len(l.ends) == 0
	at, _ = slices.BinarySearch(l.ends, r.End)
	l.ends = slices.Insert(l.ends, at, r.End)
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
