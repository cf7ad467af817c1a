package window

import (
	"math/bits"

	"gonum.org/v1/gonum/floats"
)

// novel is the share of what a function takes now below which what it took in
// the past makes it a new one: not a habit, and hardly seen by chance.
const novel = 0.1

// within is when, within a hop, it was abnormal. It may have begun or ended in the
// middle. What did the same before, only less, tells nothing of that; functions
// that are new do, if at least half of the excess is theirs: from when they were
// seen first to when last, and as long before and after as they were mostly not
// seen between.
func (s *Service) within(p *past, c *closedHop, v verdict) (from, to int64) {
	if p == nil {
		return c.start, c.end
	}
	type seen struct {
		time, first, last int64
		slices            uint64
	}
	groups, all := map[groupAt]seen{}, int64(0)
	for cell, t := range c.spans {
		cell.thread = 0
		if !v.hot[cell] {
			continue
		}
		g, _ := s.innermost(cell.stack, cell.number)
		at := groupAt{g, cell.waiting}
		w, known := groups[at]
		if !known {
			w.first, w.last = t.first, t.last
		}
		groups[at] = seen{w.time + t.time, min(w.first, t.first), max(w.last, t.last), w.slices | t.slices}
		all += t.time
	}
	sum := seen{first: c.end, last: c.start}
	for at, w := range groups {
		was := p.cpu[at.group]
		if at.waiting {
			was = p.wait[at.group]
		}
		if floats.Sum(was) > novel*float64(w.time)/c.seconds*float64(len(was)) {
			continue
		}
		sum = seen{sum.time + w.time, min(sum.first, w.first), max(sum.last, w.last), sum.slices | w.slices}
	}
	if 2*sum.time < all || sum.last < sum.first {
		return c.start, c.end
	}
	gap := (sum.last - sum.first) / int64(max(1, bits.OnesCount64(sum.slices)))
	return max(c.start, sum.first-gap), min(c.end, sum.last+gap)
}

// groupAt is a group on CPU or waiting.
type groupAt struct {
	group
	waiting bool
}
