package baseline

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// callsTogether is how many calls of each measure of work come together, one after the
// other in the order of hop.WorkMeasures: their index of dispersion, the variance of how
// many a hop has over the mean (Cox and Lewis, The Statistical Analysis of Series of
// Events, 1966). A burst of fifty milliseconds sees hundreds of calls of a request or
// none, and then says little about the load. What CPU time goes along with is load, and no
// chance.
func (p *Past) callsTogether() []float64 {
	if p.together == nil {
		p.together = make([]float64, len(hop.WorkMeasures))
		for i, m := range hop.WorkMeasures {
			steady := p.dispersionOfCalls(m.Count, func(*hop.Closed) float64 { return 1 })
			followed := p.dispersionOfCalls(m.Count, func(c *hop.Closed) float64 { return c.CPUTotal })
			n := p.traced
			p.together[i] = max(1, (n*min(steady, followed)+criteria.PriorHops*criteria.CallsTogether)/(n+criteria.PriorHops))
		}
	}
	return p.together
}

// dispersionOfCalls is the index of dispersion of the calls of a column of the measures,
// of which a hop is expected to have as many as its traced time at a rate in proportion
// to a weight.
func (p *Past) dispersionOfCalls(column int, weight func(*hop.Closed) float64) float64 {
	calls, exposure := 0.0, 0.0
	for _, v := range p.hops {
		if v.Hop.Traced() {
			calls += v.Hop.Measures[column] * v.Hop.CallSeconds
			exposure += weight(v.Hop) * v.Hop.CallSeconds
		}
	}
	sum, largest := 0.0, 0.0
	for _, v := range p.hops {
		expected := share(calls*weight(v.Hop)*v.Hop.CallSeconds, exposure)
		if expected <= 0 {
			continue
		}
		d := v.Hop.Measures[column]*v.Hop.CallSeconds - expected
		x := d * d / expected
		sum += x
		largest = max(largest, x)
	}
	// One odd hop is no habit.
	return share(sum-largest, p.traced-1)
}
