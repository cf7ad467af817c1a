package runner

import (
	"cmp"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Result is what came of a run. Its JSON form is testbed/out/demo.json.
type Result struct {
	Service string   `json:"service"`
	Truth   []string `json:"truth"`
	// Rank is the place of the first true function, counted from one; zero
	// when it is not among the suspects.
	Rank int `json:"rank"`
	// SecondsToFirst is from the fault to the first anomaly; -1 when none
	// came.
	SecondsToFirst float64 `json:"seconds_to_first"`
	// Suspects are those of the strongest anomaly.
	Suspects []agent.Suspect `json:"suspects"`

	// FirstRank is the rank in the first anomaly.
	FirstRank int `json:"-"`
	// Strongest is the anomaly that Rank and Suspects are of.
	Strongest agent.Anomaly `json:"-"`
	// Last is the last warning of the anomaly that Strongest is of: what who follows it
	// knows in the end, as what is known comes with updates.
	Last agent.Anomaly `json:"-"`
	// Before and After are the anomalies at WARN before and after the fault.
	Before, After []agent.Anomaly `json:"-"`
	// Normal and Slow are what the load saw before and after the fault.
	Normal, Slow load.Figures `json:"-"`
	// Labels say what the recording of the run shows, if there is one.
	Labels Labels `json:"-"`
}

func newResult(sc scenario.Scenario) Result {
	return Result{Truth: sc.Truth, SecondsToFirst: -1, Suspects: []agent.Suspect{}}
}

// Assess makes the result of anomalies that were found in a recording.
func Assess(sc scenario.Scenario, labels Labels, anomalies []agent.Anomaly) Result {
	r := newResult(sc)
	r.Labels = labels
	for _, a := range anomalies {
		if labels.about(sc, a) {
			r.add(a, labels.Onset)
		}
	}
	r.judge()
	return r
}

// add takes an anomaly in, and reports whether it is a warning.
func (r *Result) add(a agent.Anomaly, onset time.Time) bool {
	if !a.Warn {
		return false
	}
	r.Service = a.Service
	if onset.IsZero() || a.End.Before(onset) {
		r.Before = append(r.Before, a)
		return true
	}
	if len(r.After) == 0 {
		r.SecondsToFirst = a.Seen.Sub(onset).Seconds()
	}
	r.After = append(r.After, a)
	return true
}

// judge takes the strongest anomaly after the fault: the first one comes when
// the hop in which the fault began has ended, which may hold little of it.
func (r *Result) judge() {
	if len(r.After) == 0 {
		return
	}
	r.Strongest = slices.MaxFunc(r.After, func(a, b agent.Anomaly) int {
		return cmp.Compare(a.Score, b.Score)
	})
	for i := range r.After {
		if r.After[i].ID == r.Strongest.ID {
			r.Last = r.After[i]
		}
	}
	r.Rank = r.Strongest.Rank(r.Truth)
	r.Suspects = r.Strongest.Suspects
	r.FirstRank = r.After[0].Rank(r.Truth)
}
