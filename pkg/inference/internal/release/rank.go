package release

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

// ranked are the functions behind the changes in one direction.
func (c *comparison) ranked(changes []change, sign, scale float64, waiting bool, unit float64) (list []Function) {
	grown := map[int32]float64{}
	for _, x := range changes {
		if sign*x.by() > 0 {
			grown[x.function] = math.Abs(x.by())
		}
	}
	if len(grown) == 0 {
		return nil
	}
	times := c.times(grown, sign, scale, waiting)
	total := 0.0
	for i := range times {
		total += times[i].Excess
	}
	oldTotal, newTotal := c.old.total(waiting), c.new.total(waiting)
	for _, s := range attribute.Rank(c.stacks, times, attribute.Scale{}, maxFunctions) {
		id, ok := c.stacks.Lookup(s.Function, s.Module)
		if !ok {
			continue
		}
		x := cell{id, waiting}
		a, b := c.old.share(c.old.inclusive, x, oldTotal), c.new.share(c.new.inclusive, x, newTotal)
		f := Function{Suspect: s, Before: a.mean * unit, After: b.mean * scale * unit, Share: b.mean*scale - a.mean}
		f.Score = s.Score * total
		list = append(list, f)
	}
	return list
}

// times are the stacks of both builds as one looks for what is behind an excess.
func (c *comparison) times(grown map[int32]float64, sign, scale float64, waiting bool) []attribute.Time {
	kind := attribute.EvidenceOnCPU
	if waiting {
		kind = attribute.EvidenceBlocked
	}
	allOld, allNew := 0.0, 0.0
	places := map[place]bool{}
	for _, s := range []*side{c.old, c.new} {
		for at, t := range s.stacks {
			if at.waiting == waiting {
				places[at] = true
				if s == c.old {
					allOld += t
				} else {
					allNew += t
				}
			}
		}
	}
	more, times := map[int32]float64{}, make([]attribute.Time, 0, len(places))
	for _, at := range slices.SortedFunc(maps.Keys(places), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.stack, b.stack), cmp.Compare(a.number, b.number))
	}) {
		before, after := c.old.stacks[at]/max(1e-9, allOld)*1e9, c.new.stacks[at]/max(1e-9, allNew)*scale*1e9
		if sign < 0 {
			before, after = after, before
		}
		t := attribute.Time{Stack: at.stack, Kind: kind, Call: at.number, Now: after, Past: before}
		if f := c.inner(at.stack); grown[f] > 0 {
			t.Excess = max(0, after-before)
			more[f] += t.Excess
		}
		times = append(times, t)
	}
	for i := range times {
		t := &times[i]
		if f := c.inner(t.Stack); more[f] > 0 {
			t.Excess *= grown[f] / more[f]
		}
		t.Beyond = t.Excess
	}
	c.withoutRuntime(times)
	return times
}

// withoutRuntime takes the excess from what a runtime does by itself, unless nearly all is there,
// since functions of the program are the better place to look.
func (c *comparison) withoutRuntime(times []attribute.Time) {
	runtime, others := 0.0, 0.0
	for i := range times {
		if t := &times[i]; c.stacks.Get(t.Stack).Runtime {
			runtime += t.Excess
		} else {
			others += t.Excess
		}
	}
	if others >= criteria.Little*runtime {
		for i := range times {
			if c.stacks.Get(times[i].Stack).Runtime {
				times[i].Excess, times[i].Beyond = 0, 0
			}
		}
	}
}

func (c *comparison) inner(stack uint32) int32 {
	if f, ok := c.stacks.Leaf(stack); ok {
		return f
	}
	return baseline.Whole
}
