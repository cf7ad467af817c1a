// Package evaluation sums up what the scenarios showed: a row each, and the
// figures the project is held to, beside what people use today.
package evaluation

import (
	"slices"

	"github.com/perfscope/perfscope/testbed/baseline"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Row is one scenario in testbed/out/eval.json.
type Row struct {
	Scenario string            `json:"scenario"`
	Server   string            `json:"server"`
	Language scenario.Language `json:"language"`
	Kind     scenario.Kind     `json:"kind"`
	Source   scenario.Source   `json:"source"`
	Split    scenario.Split    `json:"split"`
	// Runs is how often it ran, Detected how often an anomaly came after the
	// fault.
	Runs     int `json:"runs"`
	Detected int `json:"detected"`
	// SecondsToFirst is from the fault to the first anomaly, the median of
	// the runs that had one; -1 when none had.
	SecondsToFirst float64 `json:"seconds_to_first"`
	// Rank is the place of the first true function, the median of the runs
	// (the later of the middle two); zero is not among the suspects.
	Rank int `json:"rank"`
	// Scope is the share of the program's functions that were named.
	Scope float64 `json:"scope"`
	// FalseAlarms came before the fault, in all runs together.
	FalseAlarms int `json:"false_alarms"`
	// Baselines are the places of the true function by other means, medians.
	Baselines baseline.Ranks `json:"baselines"`

	Truth []string `json:"truth"`
	// First is the first suspect of the last run, Pattern the name it gave,
	// PatternRight how many of the runs named a right one.
	First        string `json:"first_suspect"`
	Pattern      string `json:"pattern"`
	PatternRight int    `json:"pattern_right"`
	// Cause is what the last run was told to lose its time to, Innocent how many of the
	// runs named no function for it, Hidden how many of those had the true one among
	// the functions that were hit.
	Cause    string `json:"cause"`
	Innocent int    `json:"innocent"`
	Hidden   int    `json:"hidden"`
	// Error is why a run could not be judged.
	Error string `json:"error,omitempty"`
}

// Run is one run of a scenario with the baselines of the same run.
type Run struct {
	Result    runner.Result
	Baselines baseline.Ranks
}

// NewRow sums up the runs of a scenario.
func NewRow(sc scenario.Scenario, runs []Run) Row {
	row := Row{
		Scenario: sc.Name, Server: sc.Server, Language: sc.Language, Kind: sc.Kind, Source: sc.Source, Split: sc.Split,
		Runs: len(runs), SecondsToFirst: -1, Truth: sc.Truth,
	}
	var seconds []float64
	var ranks, self, inclusive, increase, calls []int
	for _, r := range runs {
		row.FalseAlarms += len(r.Result.Before)
		ranks = append(ranks, r.Result.Rank)
		self = append(self, r.Baselines.CPUSelf)
		inclusive = append(inclusive, r.Baselines.CPUInclusive)
		increase = append(increase, r.Baselines.CPUIncreaseNearest)
		calls = append(calls, r.Baselines.SyscallTime)
		if len(r.Result.After) == 0 {
			continue
		}
		row.Detected++
		seconds = append(seconds, r.Result.SecondsToFirst)
		strongest := r.Result.Strongest
		row.Scope, row.Pattern, row.First = strongest.Scope, strongest.Pattern, ""
		if len(strongest.Suspects) > 0 {
			row.First = strongest.Suspects[0].Function
		}
		row.Cause = strongest.Cause
		if innocent, hit := strongest.Innocent(sc.Truth); innocent {
			row.Innocent++
			if hit {
				row.Hidden++
			}
		}
		if right(sc, strongest.Pattern) {
			row.PatternRight++
		}
	}
	if len(seconds) > 0 {
		slices.Sort(seconds)
		row.SecondsToFirst = seconds[len(seconds)/2]
	}
	row.Rank = Median(ranks)
	row.Baselines = baseline.Ranks{
		CPUSelf: Median(self), CPUInclusive: Median(inclusive),
		CPUIncreaseNearest: Median(increase), SyscallTime: Median(calls),
	}
	return row
}

// right reports whether a pattern is a right name; none is right when nothing
// fits.
func right(sc scenario.Scenario, pattern string) bool {
	if len(sc.Patterns) == 0 {
		return pattern == ""
	}
	return slices.Contains(sc.Patterns, pattern)
}

// notFound stands for a rank of zero where ranks are compared and averaged:
// twice the longest list of suspects, so that missing is worse than last.
const notFound = 20

// place is a rank for comparison.
func place(rank int) int {
	if rank == 0 || rank > notFound {
		return notFound
	}
	return rank
}

// Median is the median rank, of two the worse; zero, which is not found, is the worst.
func Median(ranks []int) int {
	if len(ranks) == 0 {
		return 0
	}
	slices.SortFunc(ranks, func(a, b int) int { return place(a) - place(b) })
	return ranks[len(ranks)/2]
}
