package baseline

import (
	"math"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Load is what a hop is relative to the usual one.
type Load struct {
	// Work is how much was asked of the service.
	Work float64
	// Waits is Work, or how many more threads there are, if that is more: more at a
	// time wait more.
	Waits float64
	// Busy is set when as much CPU time is used as ever with less work.
	Busy bool
	// Slow is by how much every function takes longer, as when others use the same
	// cores and caches; at least 1.
	Slow float64
}

// Less reports whether less is done than ever: more waiting at known places is expected then,
// and who asks may wait for what is not done.
func (l Load) Less() bool { return LessWork(l.Work) }

// LessWork is Load.Less of work alone.
func LessWork(work float64) bool { return work < criteria.NearlyAll }

// Load estimates the load of a hop as a median of ratios, so that a fault which
// moves a few figures does not move it (the size factor of Anders and Huber,
// Genome Biology 2010): the lower median over the measures of work. More work must
// be borne out by the CPU time of the functions, all but the one that grew most: a
// fault that repeats requests moves all measures of work.
//
// It is not safe for concurrent use.
func (p *Past) Load(v *Vector, index *Index) Load {
	work, all := p.work(v, index)
	return Load{
		Work: work, Slow: p.slowMachine(all, work),
		Waits: max(work, p.moreThreads(v)), Busy: work < 1 && p.cpuRatio(v, index) >= criteria.NearlyAll,
	}
}

// Work is that of Load.
func (p *Past) Work(v *Vector, index *Index) float64 {
	work, _ := p.work(v, index)
	return work
}

func (p *Past) work(v *Vector, index *Index) (work float64, all []pool) {
	all, grown := p.functions(v, index)
	sum := asOne(all, grown)
	most := sum.most()
	work, known := p.workRatio(v.Hop)
	if known && work >= 1 {
		return min(work, max(1, most)), all // whatever it is at least
	}
	pools := p.pooled(all, grown)
	least := p.least(pools, sum)
	if !known {
		// Of what chance may have made of the functions what is nearest to the usual.
		byFunctions := min(max(1, least), most)
		if len(pools) == 0 {
			// Less CPU time is less work; more may be what is looked for.
			byFunctions = min(1, p.cpuRatio(v, index))
		}
		work = max(work, byFunctions)
	}
	return min(max(work, min(1, least)), max(1, most)), all
}

// moreThreads is how many times as many threads there are as usual.
func (p *Past) moreThreads(v *Vector) float64 {
	usual := 0.0
	for _, h := range p.hops {
		usual += float64(h.Hop.Threads)
	}
	return share(float64(v.Hop.Threads)*float64(len(p.hops)), usual)
}

// cpuRatio is the exact CPU time of the service relative to the past.
func (p *Past) cpuRatio(v *Vector, index *Index) float64 {
	id, ok := index.Of(Cell{Function: Whole, State: OnCPU, Inclusive: true})
	if usual := p.PerLoad(id); ok && usual > 0 {
		return v.Time(id) / usual
	}
	return 1
}

// workRatio is the lower median of the measures of work relative to the past. Where
// all of them are too few to tell less work from chance it is not known, and what it
// is at least: more work, or nothing.
func (p *Past) workRatio(c *hop.Closed) (ratio float64, known bool) {
	if p.traced == 0 || !c.Traced() || c.Holey || p.load <= 0 {
		return 0, false
	}
	// The load of a hop without calls is not known by calls.
	usual := func(column int) float64 { return p.measures[column] / p.traced * float64(len(p.hops)) / p.load }
	var ratios, few []float64
	together := p.callsTogether()
	for i, m := range hop.WorkMeasures {
		expected := usual(m.Count)
		if expected <= 0 {
			continue
		}
		r := c.Measures[m.Count] / expected
		if m.Bytes >= 0 {
			if bytes := usual(m.Bytes); bytes > 0 {
				r = max(r, c.Measures[m.Bytes]/bytes)
			}
		}
		if expected*c.CallSeconds >= criteria.FewSightings*together[i] {
			ratios = append(ratios, r)
		} else {
			few = append(few, r)
		}
	}
	if len(ratios) > 0 {
		return middle(ratios), true
	}
	if len(few) > 0 {
		if more := middle(few); more > 1 {
			return more, false
		}
	}
	return 0, false
}

// usual is a function and the CPU time that it takes in a hop of load 1.
type usual struct {
	id   int32
	time float64
}

// scratch is what the estimate of a load works with: it is made for each hop of the
// past at every hop.
type scratch struct {
	all, pools []pool
	ratios     []float64
}

// usualFunctions are those of the past, by ID.
func (p *Past) usualFunctions(index *Index) []usual {
	if p.usual == nil && p.load > 0 {
		p.usual = make([]usual, 0, len(p.time))
		for id := range int32(min(len(p.time), index.Len())) { //nolint:gosec // bounded by MaxCells
			if c := index.Cell(id); p.time[id] > 0 && c.State == OnCPU && !c.Inclusive {
				p.usual = append(p.usual, usual{id, p.PerLoad(id)})
			}
		}
	}
	return p.usual
}

// pool is a function with enough CPU time to say something about the load, or
// several small ones together: what it has and what it usually has.
type pool struct{ now, usual, grain float64 }

// functions are those of the past with what they have now, and which of them grew
// most: it may be what is looked for.
func (p *Past) functions(v *Vector, index *Index) (all []pool, grown int) {
	grain := v.Hop.SamplePeriod
	if grain <= 0 || p.load <= 0 {
		return nil, -1
	}
	all = p.scratch.all[:0]
	grown, most := -1, 0.0
	for _, u := range p.usualFunctions(index) {
		f := pool{now: v.Time(u.id), usual: u.time, grain: grain}
		if by := f.now - f.usual; by > most {
			grown, most = len(all), by
		}
		all = append(all, f)
	}
	p.scratch.all = all
	return all, grown
}

// pooled puts small functions together until they say something, and leaves one out.
func (p *Past) pooled(functions []pool, without int) []pool {
	pools := p.scratch.pools[:0]
	var rest pool
	for i, f := range functions {
		if i == without {
			continue
		}
		rest = pool{now: rest.now + f.now, usual: rest.usual + f.usual, grain: f.grain}
		if rest.usual >= criteria.FewSightings*rest.grain {
			pools = append(pools, rest)
			rest = pool{}
		}
	}
	p.scratch.pools = pools
	return pools
}

// asOne are functions together, without one of them.
func asOne(functions []pool, without int) (all pool) {
	for i, f := range functions {
		if i != without {
			all = pool{now: all.now + f.now, usual: all.usual + f.usual, grain: f.grain}
		}
	}
	return all
}

// most is what the load is at most, by all functions but one together and what chance may
// have left out.
func (all pool) most() float64 {
	if all.usual == 0 {
		return math.Inf(1)
	}
	return (all.now + chance(all.now, all.grain)) / all.usual
}

// least is what the load is at least, by the lower median of the pools without what chance
// may have added.
func (p *Past) least(pools []pool, all pool) float64 {
	if all.usual == 0 || len(pools) == 0 {
		return 0
	}
	ratios := p.scratch.ratios[:0]
	for _, f := range pools {
		ratios = append(ratios, f.now/f.usual)
	}
	p.scratch.ratios = ratios
	// Standard errors of a median are 1.25 of those of a mean.
	return middle(ratios) * max(0, 1-criteria.StandardErrors*1.25*math.Sqrt(share(all.grain, all.now)))
}

// slowMachine is by how much nearly every function takes longer than the work
// lets expect: the lower quartile of their ratios, so that a fault which leaves a
// quarter of them alone is not taken for it.
func (p *Past) slowMachine(functions []pool, work float64) float64 {
	pools := p.pooled(functions, -1)
	if len(pools) < 3 || work <= 0 {
		return 1
	}
	ratios := p.scratch.ratios[:0]
	for _, f := range pools {
		ratios = append(ratios, f.now/(f.usual*max(work, criteria.Little)))
	}
	p.scratch.ratios = ratios
	return min(criteria.ManyTimes, max(1, ranked(ratios, len(ratios)/4)))
}
