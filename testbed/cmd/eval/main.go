// Command eval runs the scenarios, prints where the true function was ranked
// and where other means would have ranked it, and writes testbed/out/eval.json.
// Names as arguments choose scenarios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/baseline"
	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/replay"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	quick := flag.Bool("quick", false, "run the fixed third that stands for all")
	split := flag.String("split", "", "run only this half: tune or report")
	recorded := flag.Bool("recorded", false, "judge the recordings of the last runs again instead of running the servers")
	parallel := flag.Int("parallel", 1, "how many scenarios run side by side: they learn together, and their faults come one after the other")
	burst := flag.Duration("burst", 0, "with -recorded: as if calls had been recorded in bursts of this `length` only, one every two seconds")
	runs := flag.Int("runs", 1, "how often to run each scenario")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: eval [flags] [scenario ...]\n\nflags:\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		chosen, err := choose(flag.Args(), *quick, scenario.Split(*split))
		if err != nil {
			return false, err
		}
		if *burst != 0 && (!*recorded || *burst < 0 || *burst > replay.BurstPeriod) {
			return false, fmt.Errorf("-burst needs -recorded, and at most %v", replay.BurstPeriod)
		}
		e := eval{ctx: ctx, options: o, recorded: *recorded, burst: *burst, runs: max(*runs, 1), parallel: max(*parallel, 1)}
		return true, e.all(chosen)
	})
}

type eval struct {
	ctx            context.Context
	options        runner.Options
	recorded       bool
	burst          time.Duration
	runs, parallel int
}

// all runs the scenarios; one that fails does not end it.
func (e *eval) all(chosen []scenario.Scenario) error {
	if e.parallel > 1 {
		chosen = apart(chosen)
		e.options.Turn = make(chan struct{}, 1)
		e.options.Turn <- struct{}{}
	}
	var (
		mu     sync.Mutex
		next   int
		rows   = make([]*evaluation.Row, len(chosen))
		failed error
	)
	file := filepath.Join(e.options.Out, "eval.json")
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= len(chosen) && e.ctx.Err() == nil
	}
	put := func(i int, row evaluation.Row, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			row.Error = err.Error()
			failed = errors.Join(failed, fmt.Errorf("%s: %w", chosen[i].Name, err))
			fmt.Println("error:", err)
		}
		rows[i] = &row
		// So that a run that is ended early leaves what it had.
		failed = errors.Join(failed, runner.WriteJSON(done(rows), file))
	}
	var workers sync.WaitGroup
	for range e.parallel {
		workers.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				if !e.recorded {
					fmt.Printf("\n=== %d of %d: %s: %s\n\n", i+1, len(chosen), chosen[i].Name, chosen[i].Title)
				}
				row, err := e.one(chosen[i])
				if e.ctx.Err() == nil {
					put(i, row, err)
				}
			}
		})
	}
	workers.Wait()
	fmt.Println()
	evaluation.Print(os.Stdout, done(rows))
	if e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	fmt.Println("\nResult: testbed/out/eval.json")
	return failed
}

// apart orders scenarios so that those of one server do not follow each other:
// side by side, their processes would be one service.
func apart(in []scenario.Scenario) []scenario.Scenario {
	var out []scenario.Scenario
	half := (len(in) + 1) / 2
	for i := range half {
		out = append(out, in[i])
		if half+i < len(in) {
			out = append(out, in[half+i])
		}
	}
	return out
}

func done(rows []*evaluation.Row) []evaluation.Row {
	out := []evaluation.Row{}
	for _, row := range rows {
		if row != nil {
			out = append(out, *row)
		}
	}
	return out
}

func (e *eval) one(sc scenario.Scenario) (evaluation.Row, error) {
	var runs []evaluation.Run
	for range e.runs {
		run, err := e.run(sc)
		if err != nil {
			return evaluation.NewRow(sc, runs), err
		}
		runs = append(runs, run)
	}
	return evaluation.NewRow(sc, runs), nil
}

func (e *eval) run(sc scenario.Scenario) (evaluation.Run, error) {
	var run evaluation.Run
	if e.recorded {
		labels, err := runner.LoadLabels(filepath.Join(e.options.Out, sc.Name))
		if err != nil {
			return run, err
		}
		var how replay.Options
		if e.burst > 0 {
			how.Pick = replay.Bursts(e.burst, replay.BurstPeriod)
		}
		anomalies, err := replay.Run(e.ctx, labels.Recording, how)
		if err != nil {
			return run, err
		}
		run.Result = runner.Assess(sc, labels, anomalies)
	} else {
		result, err := runner.Run(e.ctx, sc, e.options)
		if err != nil {
			return run, err
		}
		runner.Verdict(sc, result)
		run.Result = result
	}
	var err error
	run.Baselines, err = baseline.Rank(run.Result.Labels.Recording, run.Result.Labels.Question(sc.Truth))
	return run, err
}

func choose(names []string, quick bool, split scenario.Split) ([]scenario.Scenario, error) {
	all := scenario.All()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(sc scenario.Scenario) bool { return sc.Name == name }) {
			return nil, fmt.Errorf("no scenario is named %q", name)
		}
	}
	return slices.DeleteFunc(all, func(sc scenario.Scenario) bool {
		return len(names) > 0 && !slices.Contains(names, sc.Name) ||
			quick && !sc.Quick || split != "" && sc.Split != split
	}), nil
}
