// Command healthy watches healthy servers through load steps, reloads, backups
// and what else belongs to their life, and fails when PerfScope sees an
// anomaly. Names as arguments choose scenarios, all runs every one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/life"
	"github.com/perfscope/perfscope/testbed/replay"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	recorded := flag.Bool("recorded", false, "judge the recordings of the last runs again instead of running the servers; of those side by side with the name together")
	together := flag.Duration("together", 0, "instead: a server of each kind side by side under one collector for this `length`, their loads going up and down")
	flag.Usage = usage
	flag.Parse()
	if *together > 0 {
		runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
			return runTogether(ctx, flag.Args(), *together, o)
		})
		return
	}
	if *recorded && slices.Equal(flag.Args(), []string{togetherName}) {
		runner.Main(judgeTogether)
		return
	}
	chosen, err := choose(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) { return runAll(ctx, chosen, o, *recorded) })
}

func usage() {
	out := flag.CommandLine.Output()
	fmt.Fprintf(out, "usage: healthy [flags] [all | scenario ...]\n\n"+
		"Watches servers with nothing wrong, each for about two minutes; no anomaly may\n"+
		"come. Without arguments the first scenario is run; with -together they are servers.\n"+
		"It needs root. The result is testbed/out/healthy.json.\n\nflags:\n")
	flag.PrintDefaults()
	fmt.Fprint(out, "\nscenarios:\n")
	for _, sc := range scenario.Healthy() {
		fmt.Fprintf(out, "  %-26s %s\n", sc.Name, sc.Title)
	}
}

func choose(names []string) ([]scenario.Scenario, error) {
	all := scenario.Healthy()
	switch {
	case len(names) == 0:
		return all[:1], nil
	case slices.Equal(names, []string{"all"}):
		return all, nil
	}
	var chosen []scenario.Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(sc scenario.Scenario) bool { return sc.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no healthy scenario is named %q: see healthy --help", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// runAll runs one scenario after the other; one that fails does not end it.
func runAll(ctx context.Context, chosen []scenario.Scenario, o runner.Options, recorded bool) (bool, error) {
	var (
		rows   []evaluation.HealthyRow
		failed error
	)
	for i, sc := range chosen {
		if !recorded {
			fmt.Printf("\n=== %d of %d: %s: %s\n\n", i+1, len(chosen), sc.Name, sc.Title)
		}
		started, result, err := run(ctx, sc, o, recorded)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", sc.Name, err)
			fmt.Println("error:", err)
			failed = errors.Join(failed, err)
			continue
		}
		rows = append(rows, newRow(sc, started, result.Before))
		if err := save(rows, filepath.Join(o.Out, "healthy.json")); err != nil {
			return false, err
		}
	}
	return printRows(rows) && failed == nil, failed
}

// togetherName is what the directory and the row of servers side by side are called.
const togetherName = "together"

// portion of the rate of a scenario's load is what each of so many servers gets: a
// processor bears what five of the scenarios ask for, and three tenths of one are enough
// to judge its server by.
func portion(servers int) float64 {
	const perCPU, most = 5, 0.3
	return min(most, perCPU*float64(runtime.NumCPU())/float64(max(1, servers)))
}

// runTogether runs the servers named, or all, side by side; nothing but their
// loads changes.
func runTogether(ctx context.Context, servers []string, length time.Duration, o runner.Options) (bool, error) {
	members, err := life.OneOfEach(servers)
	if err != nil {
		return false, err
	}
	for i := range members {
		members[i].Portion = portion(len(members))
	}
	seed := rand.Uint64() //nolint:gosec // no secret
	fmt.Printf("seed %d\n", seed)
	summary, err := life.Run(ctx, life.Options{
		Options: o, Name: togetherName, Seed: seed, Members: members,
		Plan: life.Steps(seed, members, scenario.DefaultLearn, length), Length: length,
	})
	if err != nil {
		return false, err
	}
	row := evaluation.HealthyRow{Scenario: togetherName, FalseAlarms: []evaluation.FalseAlarm{}, Seconds: summary.ServiceDays * 24 * 3600}
	for i, in := range summary.Instances {
		if i > 0 {
			row.Server += ", "
		}
		row.Server += in.Service
	}
	for _, a := range summary.Told {
		row.FalseAlarms = append(row.FalseAlarms, evaluation.FalseAlarm{Seconds: a.Seconds, Score: a.Score, Sentence: a.Sentence, Suspects: a.Suspects})
	}
	rows := []evaluation.HealthyRow{row}
	return printRows(rows) && len(summary.LeftOut) == 0, save(rows, filepath.Join(o.Out, "healthy.json"))
}

// judgeTogether judges what the last run of servers side by side recorded again.
func judgeTogether(ctx context.Context, o runner.Options) (bool, error) {
	labels, err := runner.LoadLabels(filepath.Join(o.Out, togetherName))
	if err != nil {
		return false, err
	}
	found, err := replay.Run(ctx, labels.Recording, replay.Options{})
	if err != nil {
		return false, err
	}
	alarms := slices.DeleteFunc(found, func(a agent.Anomaly) bool { return !a.Warn })
	row := newRow(scenario.Scenario{Name: togetherName}, labels.Start, alarms)
	file := filepath.Join(o.Out, "healthy.json")
	for _, was := range load(file) {
		if was.Scenario == row.Scenario {
			row.Server, row.Seconds = was.Server, was.Seconds
		}
	}
	rows := []evaluation.HealthyRow{row}
	return printRows(rows), save(rows, file)
}

// run runs a scenario, or judges the recording of its last run again; started is
// when that began.
func run(ctx context.Context, sc scenario.Scenario, o runner.Options, recorded bool) (started time.Time, result runner.Result, err error) {
	if !recorded {
		started = time.Now()
		result, err = runner.Run(ctx, sc, o)
		return started, result, err
	}
	labels, err := runner.LoadLabels(filepath.Join(o.Out, sc.Name))
	if err != nil {
		return started, result, err
	}
	anomalies, err := replay.Run(ctx, labels.Recording, replay.Options{})
	return labels.Start, runner.Assess(sc, labels, anomalies), err
}

func newRow(sc scenario.Scenario, started time.Time, alarms []agent.Anomaly) evaluation.HealthyRow {
	r := evaluation.HealthyRow{Scenario: sc.Name, Server: sc.Server, FalseAlarms: []evaluation.FalseAlarm{}}
	for _, step := range sc.Steps {
		r.Seconds += step.For.Seconds()
	}
	for _, a := range alarms {
		f := evaluation.FalseAlarm{Seconds: a.Seen.Sub(started).Seconds(), Score: a.Score, Sentence: a.Sentence, Suspects: []string{}}
		for _, s := range a.Suspects[:min(3, len(a.Suspects))] {
			f.Suspects = append(f.Suspects, s.Function)
		}
		r.FalseAlarms = append(r.FalseAlarms, f)
	}
	return r
}

// save writes the rows and keeps those that earlier runs left of other
// scenarios.
func save(rows []evaluation.HealthyRow, file string) error {
	before := load(file)
	var all []evaluation.HealthyRow
	for _, sc := range append(scenario.Healthy(), scenario.Scenario{Name: togetherName}) {
		named := func(r evaluation.HealthyRow) bool { return r.Scenario == sc.Name }
		if i := slices.IndexFunc(rows, named); i >= 0 {
			all = append(all, rows[i])
		} else if i := slices.IndexFunc(before, named); i >= 0 {
			all = append(all, before[i])
		}
	}
	return runner.WriteJSON(all, file)
}

// load gives the rows that earlier runs left; what can't be read is written anew.
func load(file string) (rows []evaluation.HealthyRow) {
	if data, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(data, &rows)
	}
	return rows
}

// printRows prints the summary and reports whether nothing was raised.
func printRows(rows []evaluation.HealthyRow) bool {
	ok := true
	fmt.Printf("\n%-7s %-26s %8s  %9s\n", "", "scenario", "seconds", "anomalies")
	for _, r := range rows {
		mark := "OK"
		if len(r.FalseAlarms) > 0 {
			mark, ok = "FAILED", false
		}
		fmt.Printf("%-7s %-26s %8.0f  %9d\n", mark, r.Scenario, r.Seconds, len(r.FalseAlarms))
		for _, f := range r.FalseAlarms {
			fmt.Printf("%8sat %.0f s, score %.2f: %s\n", "", f.Seconds, f.Score, f.Sentence)
		}
	}
	fmt.Println("\nResult: testbed/out/healthy.json")
	return ok
}
