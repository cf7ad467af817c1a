package release

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

const (
	// blockHops is how many hops are one piece of evidence.
	blockHops = 2
	// leastHops is how many of each build there must be.
	leastHops = 8
	// sure is how many standard errors make a difference certain: some hundred
	// functions are looked at, several times.
	sure = 4.0
	// surely is the same of the caller of what is new or gone, of which there is one.
	surely = 3.0
	// matters is the share of a service's time that a change must be.
	matters = 0.01
	// instead is the part of a growth that must be left below a caller for it to be
	// more than moved code; shiftErrors is how sure that must be.
	instead, shiftErrors = 0.5, 1.5
	// gone is what is left of a function that is no more, as a part of what it was.
	gone         = 0.05
	maxFunctions = 10
)

// Cost is what a unit of work costs before and after, in seconds (of calls, their
// number), and Error the standard error of After/Before.
type Cost struct{ Before, After, Error float64 }

// Change is the relative change; zero when there was nothing before.
func (c Cost) Change() float64 {
	if c.Before <= 0 {
		return 0
	}
	return c.After/c.Before - 1
}

// Function is one that became dearer or cheaper. Before and After are seconds per unit
// of work with it on the stack, Share the change as a share of what the service cost
// before.
type Function struct {
	attribute.Suspect
	Before, After, Share float64
}

// Call is how often a call is made per unit of work.
type Call struct {
	Number        int32
	Before, After float64
}

// Result is what a release changed.
type Result struct {
	// Unit is what work is counted in: read, connection, write, or second when no work
	// is seen.
	Unit string
	// Hops are how many of the old and the new build were compared.
	Before, After int
	// CPU and Waiting are per unit of work.
	CPU, Waiting Cost
	Calls        []Call
	// Dearer and Cheaper are certain, the largest first.
	Dearer, Cheaper []Function
	// Smallest is the change of the service's time that would have been seen in any of
	// its functions, as a share of that time.
	Smallest float64
	// Strength is by how many standard errors the largest change is one.
	Strength float64
}

// Compare compares the hops of a new build with those of an old one, with stacks of one
// table; idle tells where threads wait for work. It is false while there are too few.
func Compare(stacks *frames.Table, idle func(hop.Place) bool, before, after []*hop.Closed) (r Result, ok bool) {
	if len(before) < leastHops || len(after) < leastHops {
		return r, false
	}
	in := unitOf(before, after)
	c := comparison{stacks: stacks, old: newSide(before, stacks, idle, in), new: newSide(after, stacks, idle, in)}
	r = Result{Unit: unitNames[in], Before: len(before), After: len(after)}
	r.CPU = c.cost(c.old.cpu, c.new.cpu)
	r.Waiting = c.cost(c.old.waiting, c.new.waiting)
	for _, waiting := range []bool{false, true} {
		c.kind(&r, waiting)
	}
	for _, list := range []*[]Function{&r.Dearer, &r.Cheaper} {
		slices.SortStableFunc(*list, func(a, b Function) int { return cmp.Compare(math.Abs(b.Share)*b.Score, math.Abs(a.Share)*a.Score) })
		*list = (*list)[:min(len(*list), maxFunctions)]
	}
	r.Calls = c.calls()
	return r, true
}

type comparison struct {
	stacks   *frames.Table
	old, new *side
}

func (c *comparison) cost(before, after []float64) Cost {
	a, b := ratioOf(before, c.old.work), ratioOf(after, c.new.work)
	cost := Cost{Before: a.mean, After: b.mean}
	if a.mean > 0 {
		cost.Error = b.mean / a.mean * math.Hypot(a.err/a.mean, b.err/max(1e-12, b.mean))
	}
	return cost
}

// calls are those that are made at least once in a hundred units of work.
func (c *comparison) calls() (list []Call) {
	rate := func(s *side) float64 { return sum(s.work) / max(1e-9, sum(s.seconds)) }
	numbers := maps.Clone(c.old.calls)
	maps.Copy(numbers, c.new.calls)
	for _, nr := range slices.Sorted(maps.Keys(numbers)) {
		x := Call{nr, c.old.calls[nr] / max(1e-9, rate(c.old)), c.new.calls[nr] / max(1e-9, rate(c.new))}
		if max(x.Before, x.After) >= 0.01 {
			list = append(list, x)
		}
	}
	return list
}

// change is that of a function, in shares of what the service cost before.
type change struct {
	cell
	before, after, err float64
}

func (x *change) by() float64       { return x.after - x.before }
func (x *change) strength() float64 { return math.Abs(x.by()) / max(1e-12, x.err) }

// kind compares the time on CPU, or waiting, function by function.
func (c *comparison) kind(r *Result, waiting bool) {
	oldTotal, newTotal := c.old.total(waiting), c.new.total(waiting)
	all := sum(oldTotal) / max(1e-9, sum(c.old.seconds))
	if all <= 0 && sum(newTotal) <= 0 || waiting && c.rarelyWaits() {
		return
	}
	scale := c.scale(r, waiting, oldTotal, newTotal)
	measure := func(of func(*side) map[cell][]float64, x cell) change {
		a, b := c.old.share(of(c.old), x, oldTotal), c.new.share(of(c.new), x, newTotal)
		return change{x, a.mean, b.mean * scale, math.Hypot(a.err, b.err*scale)}
	}
	own := func(s *side) map[cell][]float64 { return s.own }
	inclusive := func(s *side) map[cell][]float64 { return s.inclusive }
	var certain []change
	smallest := matters
	for _, x := range c.cells(waiting) {
		ch := measure(own, x)
		if max(ch.before, ch.after) >= matters {
			smallest = max(smallest, sure*ch.err)
		}
		if ch.strength() >= sure && math.Abs(ch.by()) >= matters {
			certain = append(certain, ch)
		}
	}
	if !waiting {
		r.Smallest = smallest
	}
	whole := scale - 1
	left := certain[:0:0]
	for _, ch := range certain {
		if c.moved(&ch, certain, whole, func(f int32) change { return measure(inclusive, cell{f, waiting}) }) {
			continue
		}
		left = append(left, ch)
		r.Strength = max(r.Strength, ch.strength())
	}
	unit := c.unitCost(r, waiting)
	r.Dearer = append(r.Dearer, c.ranked(left, 1, scale, waiting, unit)...)
	r.Cheaper = append(r.Cheaper, c.ranked(left, -1, scale, waiting, unit)...)
}

// rarelyWaits reports whether what waits amid work is less than a hundredth of the time
// on CPU in both builds.
func (c *comparison) rarelyWaits() bool {
	return sum(c.old.waiting) < 0.01*sum(c.old.cpu) && sum(c.new.waiting) < 0.01*sum(c.new.cpu)
}

func (c *comparison) unitCost(r *Result, waiting bool) float64 {
	if waiting {
		return r.Waiting.Before
	}
	return r.CPU.Before
}

func (c *comparison) cells(waiting bool) (list []cell) {
	seen := map[cell]bool{}
	for _, s := range []*side{c.old, c.new} {
		for x := range s.own {
			if x.waiting == waiting && !seen[x] {
				seen[x] = true
				list = append(list, x)
			}
		}
	}
	slices.SortFunc(list, func(a, b cell) int { return cmp.Compare(a.function, b.function) })
	return list
}

// scale makes of a share of the new build's time one of the old build's, by the
// functions that did not change: half of the time is theirs (the size factor of Anders
// and Huber, Genome Biology 2010). A machine that is slower than it was is taken out by
// that, and so is noise in the count of work. Where it contradicts what the work says by
// far, one function takes most of the time, and the work decides.
func (c *comparison) scale(r *Result, waiting bool, oldTotal, newTotal []float64) float64 {
	var ratios, weights []float64
	for _, x := range c.cells(waiting) {
		a, b := c.old.share(c.old.own, x, oldTotal), c.new.share(c.new.own, x, newTotal)
		if a.mean > 0 && b.mean > 0 {
			ratios, weights = append(ratios, a.mean/b.mean), append(weights, min(a.mean, b.mean))
		}
	}
	byFunctions := middle(ratios, weights)
	cost := r.CPU
	if waiting {
		cost = r.Waiting
	}
	if r.Unit == unitNames[seconds] || cost.Before <= 0 || cost.After <= 0 {
		return byFunctions
	}
	byWork := cost.After / cost.Before
	if off := math.Abs(math.Log(byWork / byFunctions)); len(ratios) > 0 && off <= max(criteria.Little, 3*cost.Error/byWork) {
		return byFunctions
	}
	return byWork
}

// moved reports whether a change is of code that was renamed, inlined or moved: below
// some caller there is no such change, or another function is gone, or new, instead.
func (c *comparison) moved(x *change, certain []change, whole float64, inclusive func(int32) change) bool {
	sign := 1.0
	if x.by() < 0 {
		sign = -1
	}
	nearest := true
	for _, f := range c.callers(x.cell) {
		node := inclusive(f)
		if sign*node.by()+shiftErrors*node.err < instead*math.Abs(x.by()) {
			return true
		}
		// What is new, or gone, counts by what the nearest that is neither has more, or less.
		if nearest && node.before > gone*node.after && node.after > gone*node.before {
			nearest = false
			if sign*node.by() < instead*math.Abs(x.by()) || node.strength() < surely {
				return true
			}
		}
	}
	// A function without a caller that is the program's own: another one of the kind.
	if x.before > gone*x.after && x.after > gone*x.before {
		return false
	}
	others := 0.0
	for _, o := range certain {
		if o.function != x.function && sign*o.by() < 0 && (o.after < gone*o.before || o.before < gone*o.after) {
			others += math.Abs(o.by())
		}
	}
	return others >= instead*math.Abs(x.by()) && sign*whole < instead*math.Abs(x.by())
}

// callers are the functions on most of the stacks of a function, it first.
func (c *comparison) callers(x cell) []int32 {
	times, all, order := map[int32]float64{}, 0.0, []int32{}
	for _, s := range []*side{c.new, c.old} {
		for at, t := range s.stacks {
			on := c.stacks.Get(at.stack).Frames
			if at.waiting != x.waiting || len(on) == 0 || on[0] != x.function {
				continue
			}
			all += t
			for _, f := range on {
				if _, ok := times[f]; !ok {
					order = append(order, f)
				}
				times[f] += t
			}
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(times[b], times[a]), cmp.Compare(a, b)) })
	return slices.DeleteFunc(order, func(f int32) bool { return 2*times[f] < all || f == baseline.Whole })
}
