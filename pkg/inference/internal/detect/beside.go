package detect

import "github.com/perfscope/perfscope/pkg/inference/internal/baseline"

// Beside is what is abnormal in a hop beside a state that the service may be in: what is
// beyond the past and beyond what it was like in that state, by the lesser of either's
// evidence and excess. It is given the verdicts by the past and by the state, and has the
// load of the latter, and the tests of the former.
func (d *Detector) Beside(past, state *Verdict) Verdict {
	out := d.least(past, state.doubts, d.cfg.Evidence)
	out.doubts = new(Verdict)
	*out.doubts = d.least(past.doubts, state.doubts, 0)
	out.Doubt, out.sums = out.doubts.Score(), past.sums
	return out
}

// least has the findings that are those of both verdicts, with enough evidence.
func (d *Detector) least(past, state *Verdict, evidence float64) Verdict {
	out := Verdict{Vector: past.Vector, Load: state.Load, CPU: past.CPU, Active: past.Active, beyond: past.beyond}
	known := map[int32]Finding{}
	for _, list := range [][]Finding{state.Cells, state.Nodes, state.Refused} {
		for _, f := range list {
			known[f.ID] = f
		}
	}
	for _, list := range [][]Finding{past.Cells, past.Nodes, past.Refused} {
		for _, f := range list {
			s, beyond := known[f.ID]
			if !beyond {
				continue
			}
			if s.Excess < f.Excess {
				f.Excess, f.Expected = s.Excess, s.Expected
			}
			f.Evidence, f.Since = min(f.Evidence, s.Evidence), max(f.Since, s.Since)
			if f.Evidence >= evidence {
				out.add(f)
			}
		}
	}
	d.weigh(&out, map[baseline.State]float64{
		baseline.OnCPU:   past.excessOf(baseline.OnCPU) - out.excessAs(past, baseline.OnCPU),
		baseline.Waiting: past.excessOf(baseline.Waiting) - out.excessAs(past, baseline.Waiting),
	})
	return out
}

// excessOf is the excess of the cells of a state that were found, or of the node with most
// of it when no cell was.
func (v *Verdict) excessOf(state baseline.State) float64 { return v.excessAs(v, state) }

// excessAs is the excess of cells, or of nodes, as another verdict has it.
func (v *Verdict) excessAs(other *Verdict, state baseline.State) (excess float64) {
	cells := false
	for _, f := range other.Cells {
		cells = cells || f.Cell.State == state
	}
	if !cells {
		for _, f := range v.Nodes {
			if f.Cell.State == state {
				excess = max(excess, f.Excess)
			}
		}
		return excess
	}
	for _, f := range v.Cells {
		if f.Cell.State == state {
			excess += f.Excess
		}
	}
	return excess
}
