package evaluation

import (
	"slices"

	"github.com/perfscope/perfscope/testbed/baseline"
)

// Summary is what a set of rows comes to. Shares are 0 to 1.
type Summary struct {
	Scenarios, Detected int
	// Top1, Top3 and Top5 are the scenarios with the truth in that place or
	// before.
	Top1, Top3, Top5 int
	// MeanRank counts 20 for a function that was not found.
	MeanRank float64
	// MedianSeconds is of the scenarios that were detected.
	MedianSeconds float64
	// Patterns are those of the detected whose pattern was right.
	Patterns, FalseAlarms int
	// Innocent are the rows of which a run named no function but another cause, Hidden
	// those of them with the true function among those that were hit.
	Innocent, Hidden int
	// Baselines is the same for what people use today.
	Baselines []BaselineSummary
}

// BaselineSummary is what another ranking comes to on the same rows.
type BaselineSummary struct {
	Name             string
	Top1, Top3, Top5 int
	MeanRank         float64
}

var baselines = []struct {
	name string
	rank func(baseline.Ranks) int
}{
	{"CPU self time", func(r baseline.Ranks) int { return r.CPUSelf }},
	{"CPU inclusive", func(r baseline.Ranks) int { return r.CPUInclusive }},
	{"CPU increase of the nearest application frame", func(r baseline.Ranks) int { return r.CPUIncreaseNearest }},
	{"time in system calls per function", func(r baseline.Ranks) int { return r.SyscallTime }},
}

// Summarize sums rows up. A row counts as its median run.
func Summarize(rows []Row) Summary {
	s := Summary{Scenarios: len(rows)}
	var seconds []float64
	for _, row := range rows {
		s.FalseAlarms += row.FalseAlarms
		if row.Innocent > 0 {
			s.Innocent++
		}
		if row.Hidden > 0 {
			s.Hidden++
		}
		if row.Detected == 0 {
			continue
		}
		s.Detected++
		seconds = append(seconds, row.SecondsToFirst)
		if 2*row.PatternRight > row.Detected {
			s.Patterns++
		}
	}
	if len(seconds) > 0 {
		slices.Sort(seconds)
		s.MedianSeconds = seconds[len(seconds)/2]
	}
	own := ranking("", rows, func(r Row) int { return r.Rank })
	s.Top1, s.Top3, s.Top5, s.MeanRank = own.Top1, own.Top3, own.Top5, own.MeanRank
	for _, b := range baselines {
		s.Baselines = append(s.Baselines, ranking(b.name, rows, func(r Row) int { return b.rank(r.Baselines) }))
	}
	return s
}

func ranking(name string, rows []Row, rank func(Row) int) BaselineSummary {
	b := BaselineSummary{Name: name}
	for _, row := range rows {
		at := place(rank(row))
		b.MeanRank += float64(at) / float64(len(rows))
		if at <= 1 {
			b.Top1++
		}
		if at <= 3 {
			b.Top3++
		}
		if at <= 5 {
			b.Top5++
		}
	}
	return b
}
