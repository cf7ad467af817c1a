package inference

import (
	"fmt"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// fewHops is how many hops there must be for execution units to have neighbours.
const fewHops = minPast / 2

// warmUp looks for units while there is no past that are many times as far from the others
// as nearly all of them are.
func (a *Analyzer) warmUp(c *hop.Closed) (Anomaly, bool) {
	if len(a.habit.hops) < fewHops {
		return Anomaly{}, false
	}
	d := a.cfg.decision()
	o := a.tail.Outliers(a.habit.hops, c, max(d.Least, d.Share*c.CPUTotal), criteria.ManyTimes)
	if o.Score < 1 {
		return Anomaly{}, false
	}
	e := a.warm
	if e == nil {
		e = &episode{id: fmt.Sprintf("%016x", uint64(c.Start)), onset: c.Start} //nolint:gosec // an identifier
		a.warm = e
	}
	e.until = c.End
	e.lost += o.Excess / 1e9 * c.Seconds
	found := Anomaly{
		ID: e.id, Onset: e.onset, Start: c.Start, End: c.End, Kind: KindOutlierUnit, Warmup: true,
		Score: Round(o.Score), Impact: Round(min(1, ratio(o.Excess, max(o.Excess, c.CPUTotal)))),
		Suspects: attribute.Rank(a.stacks, o.Times, attribute.Scale{}, a.cfg.MaxSuspects),
	}
	for _, u := range o.Units {
		found.Units = append(found.Units, Span{ThreadID: u.ThreadID, Start: u.Start, End: u.End})
	}
	if len(found.Suspects) > 0 {
		found.Path = attribute.PathTo(a.stacks, o.Times, found.Suspects[0])
	}
	found.Summary = sentence(&found, explain.Anomaly{Units: true})
	e.report(&found)
	return found, true
}

// endWarmUp clears what was said without a past, once there is one.
func (a *Analyzer) endWarmUp(c *hop.Closed) (Anomaly, bool) {
	e := a.warm
	if e == nil {
		return Anomaly{}, false
	}
	a.warm = nil
	return e.last.Clear(e.until, c.End, EndRecovered), true
}
