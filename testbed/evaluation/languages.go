package evaluation

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// LanguageRow is one fault in testbed/out/languages.json.
type LanguageRow struct {
	Scenario string            `json:"scenario"`
	Language scenario.Language `json:"language"`
	Detected bool              `json:"detected"`
	// Rank is the place of the first true function; zero is not among the suspects.
	Rank int `json:"rank"`
	// Seconds is from the fault to the first anomaly; -1 when none came.
	Seconds float64 `json:"seconds"`
	// FalseAlarms came before the fault.
	FalseAlarms int `json:"false_alarms"`
	// Profiles is set when the collector had the samples of the eBPF profiler, too.
	Profiles bool `json:"profiles"`
	// First is the first suspect, Pattern the name that was given.
	First   string `json:"first_suspect"`
	Pattern string `json:"pattern"`
	// Error is why a run could not be judged.
	Error string `json:"error,omitempty"`
}

// NewLanguageRow sums up a run.
func NewLanguageRow(sc scenario.Scenario, r runner.Result, profiles bool, failed error) LanguageRow {
	row := LanguageRow{
		Scenario: sc.Name, Language: sc.Language, Detected: len(r.After) > 0, Rank: r.Rank, Seconds: r.SecondsToFirst,
		FalseAlarms: len(r.Before), Profiles: profiles, Pattern: r.Strongest.Pattern,
	}
	if len(r.Suspects) > 0 {
		row.First = r.Suspects[0].Function
	}
	if failed != nil {
		row.Error = failed.Error()
	}
	return row
}

// InOrder sorts rows as scenario.Languages has them.
func InOrder(rows []LanguageRow) []LanguageRow {
	place := map[string]int{}
	for i, sc := range scenario.Languages() {
		place[sc.Name] = i
	}
	slices.SortStableFunc(rows, func(a, b LanguageRow) int { return cmp.Compare(place[a.Scenario], place[b.Scenario]) })
	return rows
}

// The shares of the twelve faults that have to be found: all of them, the function
// in the first three places in ten, in the first in eight.
const languagesTop3, languagesFirst = 10, 8

// PrintLanguages writes the rows and their sums, and reports whether they are what is
// asked of all twelve.
func PrintLanguages(w io.Writer, rows []LanguageRow) bool {
	detected, top3, first, alarms := 0, 0, 0, 0
	fmt.Fprintf(w, "%-18s %-8s %5s %7s %6s  %s\n", "scenario", "language", "rank", "seconds", "alarms", "first suspect")
	for _, r := range rows {
		fmt.Fprintf(w, "%-18s %-8s %5s %7.1f %6d  %s", r.Scenario, r.Language, ordinal(r.Rank), r.Seconds, r.FalseAlarms, r.First)
		if r.Error != "" {
			fmt.Fprintf(w, " | %s", r.Error)
		}
		fmt.Fprintln(w)
		if r.Detected {
			detected++
		}
		if r.Rank >= 1 && r.Rank <= 3 {
			top3++
		}
		if r.Rank == 1 {
			first++
		}
		alarms += r.FalseAlarms
	}
	fmt.Fprintf(w, "\n%d of %d detected, the function in the first three places in %d, in the first in %d; %d alarms before a fault\n",
		detected, len(rows), top3, first, alarms)
	return detected == len(rows) && top3 >= languagesTop3 && first >= languagesFirst && alarms == 0
}
