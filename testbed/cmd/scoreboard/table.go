package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/perfscope/perfscope/testbed/scoreboard"
)

func show(w io.Writer, b *scoreboard.Board, verbose bool) {
	if verbose {
		for _, r := range b.Rows {
			fmt.Fprintf(w, "%-24s %-6s +%.0fs rank %d (first %d) %5.1f s %-26s %v before %d  %s\n",
				r.Scenario, r.Split, r.Phase, r.Rank, r.FirstRank, r.Seconds, r.Pattern, r.Right, r.Before, strings.Join(r.First, ", "))
		}
	}
	for _, a := range b.Alarms {
		fmt.Fprintf(w, "ALARM %s %s %s at %.0f s, %.2f: %s\n", a.Recording, a.Service, a.Instance, a.Seconds, a.Score, a.Sentence)
	}
	fmt.Fprintln(w, "faults        n  detected  first   top3   top5   mean   median  pattern  onset")
	for _, group := range []map[string]scoreboard.Faults{b.Faults, b.ByLanguage} {
		for _, name := range slices.Sorted(maps.Keys(group)) {
			f := group[name]
			fmt.Fprintf(w, "%-10s %4d   %5.1f %%%5.0f %%%5.0f %%%5.0f %%%7.1f%7.1f s%7.0f %%%5.0f %%\n",
				name, f.N, 100*f.Detected, 100*f.First, 100*f.Top3, 100*f.Top5, f.Mean, f.MedianSeconds, 100*f.Pattern, 100*f.Onset)
		}
	}
	causes(w, b)
	fmt.Fprintln(w, "healthy    service-days  alarms  a day  at most (95 %)")
	for _, name := range slices.Sorted(maps.Keys(b.HealthyBySplit)) {
		healthy(w, name, b.HealthyBySplit[name])
	}
	healthy(w, "all", b.Healthy)
	for _, c := range b.Calibration {
		fmt.Fprintf(w, "asked for %.3g false alarms a day of a service, life gives %.3g\n", c.AskedPerDay, c.GotPerDay)
	}
}

func healthy(w io.Writer, name string, h scoreboard.Healthy) {
	fmt.Fprintf(w, "%-10s %12.3f %7d %6.1f %15.1f\n", name, h.ServiceDays, h.Alarms, h.PerDay, h.Upper95)
}

// causes prints how code and machine are told apart, if a recording has the machine's
// figures, and what is wrong.
func causes(w io.Writer, b *scoreboard.Board) {
	c := b.Causes
	if c.Code+c.External == 0 {
		return
	}
	for _, r := range b.Rows {
		if r.Innocent {
			fmt.Fprintf(w, "INNOCENT %s +%.0fs: %s\n", r.Scenario, r.Phase, r.Sentence)
		}
	}
	for _, r := range b.External {
		if r.Cause != r.Truth || len(r.First) > 0 {
			fmt.Fprintf(w, "EXTERNAL %s +%.0fs: %s, the truth is %s; %s\n", r.Scenario, r.Phase, r.Cause, r.Truth, r.Sentence)
		}
	}
	fmt.Fprintf(w, "causes     code: %d, no function named in %d (the true one was only hit in %d), another cause told first in %d\n", c.Code, c.Innocent, c.Hidden, c.Other)
	fmt.Fprintf(w, "           machine: %d, noticed %d, the cause right in %d, code blamed in %d, a function named in %d\n", c.External, c.Noticed, c.Kind, c.Blamed, c.Named)
}
