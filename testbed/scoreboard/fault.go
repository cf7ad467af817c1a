package scoreboard

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/baseline"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// FaultRow is what a judge made of one fault at one phase of the hops.
type FaultRow struct {
	Scenario string  `json:"scenario"`
	Language string  `json:"language"`
	Split    string  `json:"split"`
	Phase    float64 `json:"phase_seconds"`
	Detected bool    `json:"detected"`
	// Rank is the place of the first true function in the anomaly with the highest
	// score, FirstRank in the first one; zero when it is not among them.
	Rank      int `json:"rank"`
	FirstRank int `json:"first_rank"`
	// Seconds from the fault to the first anomaly.
	Seconds float64 `json:"seconds"`
	// OnsetError is when that says that it began, in seconds after the fault.
	OnsetError float64 `json:"onset_error_seconds"`
	Pattern    string  `json:"pattern"`
	Right      bool    `json:"pattern_right"`
	// Before counts the anomalies before the fault, over HealthySeconds.
	Before         int      `json:"before"`
	HealthySeconds float64  `json:"healthy_seconds"`
	First          []string `json:"suspects"`
	Sentence       string   `json:"sentence"`
	// Cause is the first that the strongest anomaly tells, empty without figures of
	// the machine. Innocent is set when it names no function for it, Hidden when the
	// true one is among those that were hit then.
	Cause    string `json:"cause,omitempty"`
	Innocent bool   `json:"innocent,omitempty"`
	Hidden   bool   `json:"hidden,omitempty"`
	// Baselines are the places of the true function by other means, in the first phase
	// of a thin recording.
	Baselines *baseline.Ranks `json:"baselines,omitempty"`
}

// Fault judges the recording of a scenario in a directory at several phases.
func Fault(sc scenario.Scenario, dir string, phases []time.Duration, newJudge func(arch string) Judge) ([]FaultRow, error) {
	labels, err := runner.LoadLabels(filepath.Join(dir, sc.Name))
	if err != nil {
		return nil, err
	}
	services, err := Read(labels.Recording, underTest(sc, &labels))
	if err != nil {
		return nil, err
	}
	var rows []FaultRow
	for _, phase := range phases {
		row := FaultRow{Scenario: sc.Name, Language: string(sc.Language), Split: string(sc.Split), Phase: phase.Seconds(), Seconds: -1}
		var after []Told
		for _, s := range services {
			s.Shift(phase)
			onset := labels.Onset.Add(phase).UnixNano()
			for _, t := range Play(s, newJudge(s.Arch)) {
				switch {
				case t.End > onset:
					after = append(after, t)
				case t.State == inference.StateRaised: // one anomaly, however often it is updated
					row.Before++
				}
			}
			if begun, _, ok := s.span(); ok {
				row.HealthySeconds += max(0, float64(onset-begun)/1e9)
			}
			s.Shift(-phase)
		}
		row.assess(sc, after, labels.Onset.Add(phase).UnixNano())
		rows = append(rows, row)
	}
	if IsThin(labels.Recording) && len(rows) > 0 {
		var intervals [][]*thin.Interval
		for _, s := range services {
			intervals = append(intervals, s.Intervals)
		}
		ranks := baseline.RankThin(intervals, labels.Question(sc.Truth))
		rows[0].Baselines = &ranks
	}
	return rows, nil
}

// underTest accepts the services that a scenario is about.
func underTest(sc scenario.Scenario, labels *runner.Labels) func(name string, pid int64) bool {
	return func(name string, pid int64) bool {
		return pid == 0 && name == sc.Server || slices.Contains(labels.PIDs, int(pid))
	}
}

// assess takes the strongest anomaly after the fault: the first one comes when the
// hop in which the fault began has ended, which may hold little of it.
func (r *FaultRow) assess(sc scenario.Scenario, after []Told, onset int64) {
	if len(after) == 0 {
		return
	}
	r.Detected = true
	first := slices.MinFunc(after, func(a, b Told) int { return cmp.Compare(a.At, b.At) })
	r.Seconds = float64(first.At-onset) / 1e9
	r.OnsetError = float64(first.Onset-onset) / 1e9
	r.FirstRank = rank(first, sc.Truth)
	strongest := slices.MaxFunc(after, func(a, b Told) int { return cmp.Compare(a.Score, b.Score) })
	r.Rank = rank(strongest, sc.Truth)
	r.blames(strongest, sc.Truth)
	r.Pattern, r.Sentence = strongest.Pattern, strongest.Summary
	r.Right = slices.Contains(sc.Patterns, r.Pattern) || len(sc.Patterns) == 0 && r.Pattern == ""
	for _, s := range strongest.Suspects[:min(5, len(strongest.Suspects))] {
		r.First = append(r.First, s.Function)
	}
}

func rank(t Told, truth []string) int {
	for i, s := range t.Suspects {
		if named(s, truth) {
			return i + 1
		}
	}
	return 0
}

func named(s inference.Suspect, truth []string) bool { return agent.Named(s.Function, truth) }
