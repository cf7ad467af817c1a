package attribute

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Package is the function of a package that has most of what a suspect of the program, which
// calls it, has in excess.
type Package struct {
	Suspect
	// Costlier is set when it takes longer, not when the suspect calls it more often.
	Costlier bool
	// Part is how much of the suspect's excess is its own, 0 to 1.
	Part float64
	// Path is the functions of packages from the suspect to it.
	Path []string
}

// PackageBelow finds the function of a package in which most excess of a suspect is, false
// when the suspect calls none, or has hardly any in what it calls. Scores are shares of all
// excess of the times.
func (c *Case) PackageBelow(s Suspect, packages *frames.Packages, times []Time, scale Scale) (Package, bool) {
	below := c.below(s, times)
	ranked := Rank(&packages.Table, below, scale, 1)
	if len(ranked) == 0 || (frames.Function{Name: ranked[0].Function, Module: ranked[0].Module}).Unknown() {
		return Package{}, false
	}
	all, named := 0.0, 0.0
	for i := range times {
		if len(c.Stacks.Get(times[i].Stack).Frames) > 0 {
			all += times[i].Excess
		}
	}
	for i := range below {
		if below[i].Stack != 0 {
			named += below[i].Excess
		}
	}
	p := Package{Suspect: ranked[0], Path: PathTo(&packages.Table, below, ranked[0])}
	p.Score = Round(p.Score * ratio(named, all))
	p.Costlier, p.Part = costlier(packages, below, p.Suspect, scale)
	return p, p.Score >= passes
}

// below is the times with a suspect on the stack by what is called of packages there; those
// of the program itself have no stack. What a cell has in excess is shared out among all that
// was seen of it, by how much each is beyond its past.
func (c *Case) below(s Suspect, times []Time) []Time {
	callees := c.callees()
	type sum struct{ excess, more float64 }
	sums := map[baseline.Cell]sum{}
	var parts []Time
	var cells []baseline.Cell
	for i := range times {
		t := &times[i]
		if t.Kind != EvidenceOnCPU && t.Kind != EvidenceBlocked || t.Idle || Find(c.Stacks, t.Stack, s) < 0 {
			continue
		}
		at := placeIn(t)
		cell := baseline.CellOf(c.Stacks, at.Stack, at.Number, at.Waiting)
		of := sums[cell]
		of.excess += t.Excess
		for _, part := range c.split(t, callees[at]) {
			of.more += part.Beyond
			parts, cells = append(parts, part), append(cells, cell)
		}
		sums[cell] = of
	}
	for i := range parts {
		p, of := &parts[i], sums[cells[i]]
		p.Excess = math.Round(of.excess * ratio(p.Beyond, of.more))
		p.Beyond = p.Excess
	}
	return parts
}

// placeIn is the place of a time, as the packages below it are kept.
func placeIn(t *Time) hop.Below {
	if t.Kind == EvidenceBlocked {
		return hop.Below{Place: placeOf(*t), Waiting: true}
	}
	return hop.Below{Place: hop.Place{Stack: t.Stack}}
}

// callees are what is called of packages by place, in an order that does not change.
func (c *Case) callees() map[hop.Below][]hop.Below {
	callees := map[hop.Below][]hop.Below{}
	add := func(at hop.Below) {
		place := at
		place.Packages = 0
		callees[place] = append(callees[place], at)
	}
	for at := range c.Hop.Below {
		add(at)
	}
	for at := range c.Past.Below {
		if _, ok := c.Hop.Below[at]; !ok {
			add(at)
		}
	}
	for _, of := range callees {
		slices.SortFunc(of, hop.Below.Compare)
	}
	return callees
}

// split parts a time by the packages that are called there; Beyond is how much of each is
// beyond its past. What is waited for in a place where packages wait is theirs.
func (c *Case) split(t *Time, callees []hop.Below) []Time {
	load := c.Verdict.Load.Work * c.Verdict.Load.Slow
	if t.Kind == EvidenceBlocked {
		load = c.Verdict.Load.Waits
	}
	own := *t
	own.Stack, own.Excess = 0, 0
	parts := make([]Time, 0, len(callees)+1)
	for _, at := range callees {
		part := own
		part.Stack, part.Now, part.Past = at.Packages, c.Hop.Below[at], c.Past.Below[at]
		parts = append(parts, part)
	}
	if t.Kind == EvidenceOnCPU || len(callees) == 0 {
		for i := range parts {
			own.Now, own.Past = max(0, own.Now-parts[i].Now), max(0, own.Past-parts[i].Past)
		}
		parts = append(parts, own)
	}
	for i := range parts {
		parts[i].Beyond = max(0, parts[i].Now-load*parts[i].Past)
	}
	return parts
}

// costlier reports whether a function of a package that was installed takes longer for what is
// asked of it now, and has not more to do: it has nearly all that is in excess below its
// caller, as its own computing, while what else the packages do for the caller grew much less,
// and the caller neither computes more itself nor came to the package by another function
// before. That is the test by which a caller decides (see tree.decides), the other way round.
// It also returns its own part of the excess.
func costlier(packages *frames.Packages, below []Time, p Suspect, scale Scale) (bool, float64) {
	var all, rest, own, caller node
	most, entry, installed := 0.0, int32(-1), false
	entered := map[int32]node{}
	f, _ := packages.Lookup(p.Function, p.Module)
	for i := range below {
		t, on := &below[i], packages.Get(below[i].Stack).Frames
		all = all.and(t, scale.Load, false)
		if len(on) == 0 {
			caller = caller.and(t, scale.Load, false)
			continue
		}
		outermost := on[len(on)-1]
		entered[outermost] = entered[outermost].and(t, scale.Load, false)
		if on[0] != f {
			rest = rest.and(t, scale.Load, false)
			continue
		}
		own = own.and(t, scale.Load, false)
		installed = installed || !packages.Get(t.Stack).Runtime
		if t.Excess > most {
			most, entry = t.Excess, outermost
		}
	}
	part := ratio(own.excess, all.excess)
	least := max(criteria.FewSightings*scale.Grain/2, passes*own.excess)
	loops := caller.computes-caller.computed >= least && caller.computes >= 2*caller.computed
	seen := func(past float64) bool { return scale.sightings(past) >= criteria.FewSightings }
	if !installed || part < criteria.Mostly || 2*own.computes < own.now || loops || !seen(rest.computed) || !seen(entered[entry].past) {
		return false, part
	}
	return rest.computes/rest.computed-1 < half*(own.computes/max(own.computed, scale.least())-1), part
}

// belowMean is the past's mean of what was called of packages, over the hops that know it.
func belowMean(p *baseline.Past) map[hop.Below]float64 {
	mean, n := map[hop.Below]float64{}, 0.0
	for _, v := range p.Hops() {
		if v.Hop.Below != nil {
			n++
		}
	}
	for _, v := range p.Hops() {
		for at, t := range v.Hop.Below {
			mean[at] += t / n
		}
	}
	return mean
}
