package inference

import (
	"math/bits"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// sighting is when something was seen within a hop, and for how long.
type sighting struct {
	first, last int64
	moments     uint64
}

func (w sighting) and(t hop.Seen) sighting {
	if w.first == 0 {
		return sighting{t.First, t.Last, t.Moments}
	}
	return sighting{min(w.first, t.First), max(w.last, t.Last), w.moments | t.Moments}
}

// within is when, within a hop, it was abnormal. It may have begun or ended in the
// middle. What did the same before, only less, tells nothing of that; functions that
// are new do, if at least half of the excess is theirs: from when they were seen first
// to when last, and as long before and after as they were mostly not seen between.
func (a *Analyzer) within(v *verdict) (from, to int64) {
	fresh, theirs, all := map[baseline.Cell]bool{}, 0.0, 0.0
	for _, f := range v.Cells {
		all += f.Excess
		if v.past.Mean(f.ID) <= criteria.Little*f.Time {
			fresh[f.Cell] = true
			theirs += f.Excess
		}
	}
	var seen sighting
	hot := a.hot(v)
	for _, t := range v.hop.Cells {
		if fresh[baseline.CellOf(a.stacks, t.Stack, t.Number, t.Waiting)] && hot(t.Cell) {
			seen = seen.and(t.Seen)
		}
	}
	if seen.first == 0 || 2*theirs < all {
		return v.hop.Start, v.hop.End
	}
	gap := (seen.last - seen.first) / int64(max(1, bits.OnesCount64(seen.moments)))
	return max(v.hop.Start, seen.first-gap), min(v.hop.End, seen.last+gap)
}
