package evaluation

import (
	"fmt"
	"io"
	"strings"

	"github.com/perfscope/perfscope/testbed/scenario"
)

// Print writes the table and the summaries for a terminal.
func Print(w io.Writer, rows []Row) {
	fmt.Fprintf(w, "%-26s %-10s %-5s %-20s %-6s %5s %6s %5s  %-28s  %s\n",
		"scenario", "server", "lang", "kind", "split", "rank", "first", "alarm", "pattern", "self incl incr call | first suspect, if not the truth")
	for _, r := range rows {
		fmt.Fprintf(w, "%-26s %-10s %-5s %-20s %-6s %5s %6s %5d  %-28s  %4s %4s %4s %4s",
			r.Scenario, r.Server, r.Language, r.Kind, r.Split, ordinal(r.Rank), seconds(r), r.FalseAlarms, pattern(r),
			ordinal(r.Baselines.CPUSelf), ordinal(r.Baselines.CPUInclusive), ordinal(r.Baselines.CPUIncreaseNearest), ordinal(r.Baselines.SyscallTime))
		switch {
		case r.Error != "":
			fmt.Fprintf(w, " | %s", r.Error)
		case r.Innocent > 0:
			fmt.Fprintf(w, " | no function, but %s", r.Cause)
		case r.Rank != 1 && r.First != "":
			fmt.Fprintf(w, " | %s", r.First)
		}
		fmt.Fprintln(w)
	}
	for _, split := range []scenario.Split{scenario.Tune, scenario.Report} {
		if part := of(rows, split); len(part) > 0 {
			fmt.Fprintln(w)
			printSummary(w, string(split), Summarize(part))
		}
	}
}

func printSummary(w io.Writer, name string, s Summary) {
	fmt.Fprintf(w, "%-6s %d scenarios, %d detected, in %.1f s (median); pattern right in %d; %d false alarms before a fault\n",
		name, s.Scenarios, s.Detected, s.MedianSeconds, s.Patterns, s.FalseAlarms)
	if s.Innocent > 0 {
		fmt.Fprintf(w, "       no function named but the machine or a peer in %d, of which the true one was only hit in %d\n", s.Innocent, s.Hidden)
	}
	line := func(name string, top1, top3, top5 int, mean float64) {
		fmt.Fprintf(w, "       %-46s first %3.0f %%   top 3 %3.0f %%   top 5 %3.0f %%   mean rank %4.1f\n", name,
			percent(top1, s.Scenarios), percent(top3, s.Scenarios), percent(top5, s.Scenarios), mean)
	}
	line("PerfScope", s.Top1, s.Top3, s.Top5, s.MeanRank)
	for _, b := range s.Baselines {
		line(b.Name, b.Top1, b.Top3, b.Top5, b.MeanRank)
	}
}

// Markdown writes the part of docs/accuracy.md that has a line for each scenario.
func Markdown(w io.Writer, rows []Row) {
	fmt.Fprint(w, `# Accuracy

This page is made by `+"`make accuracy`"+` from the recordings of `+"`testbed/corpus`"+`, which it judges with the program as it is; do not edit it. Each scenario is a real server under load whose cause of slowness is turned on after 45 seconds of normal life (see `+"`testbed/scenario`"+`), recorded with `+"`config/agent.yaml`"+`, the same for all. Half of the scenarios (tune) guided the inference; the other half (report) is there to check it, though single runs of it were looked at, too, to see why something was not found. So neither half says how it does on a fault that it never met: [the last section](#out-of-sample-nine-faults-that-nothing-had-seen) and the [README](../README.md#how-good-it-is) have those.

A fault begins anywhere in a hop: each recording is judged at five phases of the hops, and ranks and seconds are the medians of those. A rank is the place of the first true function in the strongest anomaly; "-" is not among the suspects (at most ten) or not in the list, and counts as 20 in a mean. Beside it are the ranks that the same function has in the same recording by what people use today: CPU self time, CPU inclusive, the increase of CPU time credited to the nearest application frame (with both phases known to it, which PerfScope has to find out), and time waiting in system calls per function.

`)
	for _, split := range []scenario.Split{scenario.Report, scenario.Tune} {
		part := of(rows, split)
		if len(part) == 0 {
			continue
		}
		s := Summarize(part)
		fmt.Fprintf(w, "## %s: %d scenarios\n\n", strings.ToUpper(string(split[:1]))+string(split[1:]), s.Scenarios)
		fmt.Fprintf(w, "%d noticed at one phase or more, the first anomaly after %.1f s in the median, pattern right in %d of them, %d false alarms before a fault in all five judgements together.\n\n", s.Detected, s.MedianSeconds, s.Patterns, s.FalseAlarms)
		fmt.Fprint(w, "| ranking | first | top 3 | top 5 | mean rank |\n|---|---|---|---|---|\n")
		line := func(name string, top1, top3, top5 int, mean float64) {
			fmt.Fprintf(w, "| %s | %.0f %% | %.0f %% | %.0f %% | %.1f |\n", name,
				percent(top1, s.Scenarios), percent(top3, s.Scenarios), percent(top5, s.Scenarios), mean)
		}
		line("**PerfScope**", s.Top1, s.Top3, s.Top5, s.MeanRank)
		for _, b := range s.Baselines {
			line(b.Name, b.Top1, b.Top3, b.Top5, b.MeanRank)
		}
		fmt.Fprint(w, "\n| scenario | server | kind | rank | seconds | pattern | self | inclusive | increase | calls |\n|---|---|---|---|---|---|---|---|---|---|\n")
		for _, r := range part {
			fmt.Fprintf(w, "| %s | %s (%s) | %s | %s | %s | %s | %s | %s | %s | %s |\n",
				r.Scenario, r.Server, r.Language, r.Kind, ordinal(r.Rank), seconds(r), pattern(r),
				ordinal(r.Baselines.CPUSelf), ordinal(r.Baselines.CPUInclusive), ordinal(r.Baselines.CPUIncreaseNearest), ordinal(r.Baselines.SyscallTime))
		}
		fmt.Fprintln(w)
	}
}

func of(rows []Row, split scenario.Split) (part []Row) {
	for _, r := range rows {
		if r.Split == split {
			part = append(part, r)
		}
	}
	return part
}

func ordinal(rank int) string {
	if rank == 0 {
		return "-"
	}
	return fmt.Sprint(rank)
}

func seconds(r Row) string {
	if r.Detected == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", r.SecondsToFirst)
}

// pattern is the name that was given, with a mark when it is a wrong one.
func pattern(r Row) string {
	switch {
	case r.Detected == 0:
		return "-"
	case 2*r.PatternRight > r.Detected:
		return orNone(r.Pattern)
	}
	return orNone(r.Pattern) + " (wrong)"
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}
