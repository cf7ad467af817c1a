package window

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/perfscope/perfscope/internal/outlier"
)

const (
	// onePercent of a CPU, in nanoseconds per second: the least that a
	// function must use for its samples to say something about it.
	onePercent = 1e7
	// enoughCPU is as much for a measure of the load, which all figures are
	// divided by: five samples in a hop of five seconds at 49 Hz, ten at 97.
	enoughCPU = 2 * onePercent
)

// batching is by how much the cost of a request falls at the most when more
// come at a time.
const batching = 2.0

// loads are the load of a hop, 1 is the past's median: by what calls moved, as
// far as the CPU time bears it out, since a bug that repeats whole requests, or
// moves the same bytes through more calls, moves all measures of work but not
// the functions that serve the others. cpu is what to expect of CPU times, load
// of all else: a request may cost less when more come at a time.
func (p *past) loadsOf(s *Service, c *closedHop) (load, cpu float64) {
	_, byFunctions, least, most := p.functionLoads(s, c)
	_, work, known := p.workLoads(c)
	if !known || c.holey {
		return byFunctions, byFunctions
	}
	if work <= 1 {
		return work, work
	}
	borneOut := max(1, min(most, max(least, p.explained(s.cpuGroups(c), s.libraryCPU(c.cpu), c, work))))
	return min(work, batching*borneOut), min(work, borneOut)
}

// explained is the largest load, at most the given one, whose share of the CPU
// time is not more than what it leaves unexplained of single functions takes
// away from the total.
func (p *past) explained(now map[group]float64, libraries map[int32]float64, c *closedHop, load float64) float64 {
	usual, total := p.cpuTotal.Median(), c.knownCPU()
	if usual == 0 {
		return load
	}
	load = min(load, total/usual)
	const (
		rounds  = 16
		settled = 0.99
	)
	for range rounds {
		beyond := 0.0
		for g, t := range now {
			expected := load * p.cpuMeanOf(g)
			beyond += max(0, t-expected-noise(expected, c.period.sample))
		}
		for library, t := range libraries {
			expected := load * meanOf(p.library[library])
			beyond += max(0, t-expected-noise(expected, c.period.sample))
		}
		// What was sampled may be more than the exact total.
		next := max(0, total-beyond) / usual
		if next > settled*load {
			break
		}
		load = next
	}
	return load
}

// workLoads measures load by what calls moved; nil when they are not traced.
func (p *past) workLoads(c *closedHop) (loads []float64, now float64, ok bool) {
	if !traced(p.hops) || c != nil && !c.traced {
		return nil, 1, false
	}
	rows := make([][]float64, len(p.hops))
	for i, h := range p.hops {
		rows[i] = h.measures
	}
	row := rows[len(rows)-1]
	least := p.hops[len(rows)-1]
	if c != nil {
		row, least = c.measures, c
	}
	for _, h := range p.hops {
		if h.callSeconds*least.seconds < least.callSeconds*h.seconds {
			least = h
		}
	}
	// As many calls must have been seen, however little of the time was traced.
	return outlier.Loads(rows, row, workMeasures, fewPerSecond*least.seconds/least.callSeconds)
}

// functionLoads measures load by the CPU time of the functions: a load moves
// all of them, a bug a few. now is the load of a hop, by the lower median of
// them, least what it is at the least, without what chance may have added: half
// of the functions do not grow by what a few are to blame for. most is what it is
// at most, by all of them together and what chance may have left out. The function that grew by most is not asked: it may be what is
// looked for. They are 1, 0 and infinite when too little CPU is used to tell.
func (p *past) functionLoads(s *Service, c *closedHop) (loads []float64, now, least, most float64) {
	pools := p.functionPools(nil)
	loads = make([]float64, len(p.hops))
	for i := range loads {
		loads[i] = 1
		if r := ratios(pools, func(g group) float64 { return p.cpu[g][i] }); len(r) > 0 {
			loads[i] = r[(len(r)-1)/2]
		}
	}
	if c == nil {
		return loads, 1, 0, math.Inf(1)
	}
	sums := s.cpuGroups(c)
	if pools = p.functionPools(p.grownMost(sums)); len(pools) == 0 {
		return loads, 1, 0, math.Inf(1)
	}
	r := ratios(pools, func(g group) float64 { return sums[g] })
	all, typical := 0.0, 0.0
	for _, pool := range pools {
		typical += pool.typical
		for _, g := range pool.groups {
			all += sums[g]
		}
	}
	now = r[(len(r)-1)/2]
	// Two standard errors of a median, which are 1.25 of those of a mean.
	least = now * max(0, 1-2*1.25*math.Sqrt(share(c.period.sample, all)))
	return loads, now, least, (all + noise(all, c.period.sample)) / typical
}

// ratios are those of the pools' times to their typical ones, in ascending order.
func ratios(pools []functionPool, of func(group) float64) []float64 {
	r := make([]float64, 0, len(pools))
	for _, pool := range pools {
		sum := 0.0
		for _, g := range pool.groups {
			sum += of(g)
		}
		r = append(r, sum/pool.typical)
	}
	slices.Sort(r)
	return r
}

// grownMost is the function whose CPU time grew by most, nil when none did.
func (p *past) grownMost(now map[group]float64) *group {
	var grown *group
	most := 0.0
	for _, g := range p.functions() {
		if by := now[g] - p.cpuMeanOf(g); by > most {
			grown, most = &g, by
		}
	}
	return grown
}

// cpuMeanOf is the mean CPU time of a function, zero when it is new.
func (p *past) cpuMeanOf(g group) float64 { return meanOf(p.cpu[g]) }

func meanOf(values []float64) float64 {
	if values == nil {
		return 0
	}
	return stat.Mean(values, nil)
}

// functions are those of the past, in an order that does not change.
func (p *past) functions() []group {
	return slices.SortedFunc(maps.Keys(p.cpu), func(a, b group) int { return cmp.Compare(a.function, b.function) })
}

// functionPool is a function with enough CPU time to say something about the
// load, or several small ones together.
type functionPool struct {
	groups []group
	// typical is the time of the median hop.
	typical float64
}

// functionPools are the functions of the past but one, in pools of at least
// enoughCPU, or in one when there are not so many.
func (p *past) functionPools(without *group) []functionPool {
	var pools []functionPool
	var pool functionPool
	sums := make([]float64, len(p.hops))
	for _, g := range p.functions() {
		if without != nil && g == *without {
			continue
		}
		pool.groups = append(pool.groups, g)
		// What only one hop has is left out of that hop: it is no measure for
		// a hop that was not there when the functions were chosen.
		if hopsWith(p.cpu[g]) > 1 {
			for i, t := range p.cpu[g] {
				sums[i] += t
			}
		}
		if pool.typical = outlier.Median(slices.Clone(sums)); pool.typical >= enoughCPU {
			pools = append(pools, pool)
			pool = functionPool{}
			clear(sums)
		}
	}
	if len(pools) == 0 && pool.typical > 0 {
		return []functionPool{pool} // better a rough measure than none
	}
	return pools
}

func traced(hops []*closedHop) bool {
	for _, h := range hops {
		if !h.traced {
			return false
		}
	}
	return true
}
