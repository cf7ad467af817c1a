package window

import (
	"math/bits"

	"gonum.org/v1/gonum/floats"

	"github.com/perfscope/perfscope/internal/suspect"
)

// novel is the share of what a function takes now below which what it took in
// the past makes it a new one: not a habit, and hardly seen by chance.
const novel = 0.1

// groupAt is a group on CPU or waiting.
type groupAt struct {
	group
	waiting bool
}

// sighting is when something was seen within a hop, and for how long.
type sighting struct {
	time, first, last int64
	slices            uint64
}

func (w sighting) and(t sighting) sighting {
	if w.first == 0 {
		return t
	}
	return sighting{w.time + t.time, min(w.first, t.first), max(w.last, t.last), w.slices | t.slices}
}

// within is when, within a hop, it was abnormal. It may have begun or ended in the
// middle. What did the same before, only less, tells nothing of that; functions
// that are new do, if at least half of the excess is theirs: from when they were
// seen first to when last, and as long before and after as they were mostly not
// seen between.
func (s *Service) within(p *past, c *closedHop, v verdict) (from, to int64) {
	if p == nil {
		return c.start, c.end
	}
	groups, excess, all := map[groupAt]sighting{}, map[groupAt]float64{}, 0.0
	at := func(stack uint32, number int32, waiting bool) groupAt {
		g, _ := s.innermost(stack, number)
		return groupAt{g, waiting}
	}
	for cell, t := range c.spans {
		cell.thread = 0
		if v.hot[cell] {
			g := at(cell.stack, cell.number, cell.waiting)
			groups[g] = groups[g].and(sighting{t.time, t.first, t.last, t.slices})
		}
	}
	for _, t := range v.times {
		if t.Excess > 0 {
			excess[at(t.Stack, t.Call, t.Kind == suspect.EvidenceBlocked)] += t.Excess
			all += t.Excess
		}
	}
	var fresh sighting
	theirs := 0.0
	for g, w := range groups {
		was := p.cpu[g.group]
		if g.waiting {
			was = p.wait[g.group]
		}
		if floats.Sum(was) <= novel*float64(w.time)/c.seconds*float64(len(was)) {
			fresh = fresh.and(w)
			theirs += excess[g]
		}
	}
	if theirs == 0 || 2*theirs < all {
		return c.start, c.end
	}
	gap := (fresh.last - fresh.first) / int64(max(1, bits.OnesCount64(fresh.slices)))
	return max(c.start, fresh.first-gap), min(c.end, fresh.last+gap)
}
