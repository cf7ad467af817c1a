// Command eval-languages runs the twelve faults in languages with a runtime of their
// own and writes testbed/out/languages.json. With -profiles the collector has the
// samples of the OpenTelemetry eBPF profiler, too. Names as arguments choose faults.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	profiles := flag.Bool("profiles", false, "with the eBPF profiler in the same collector: the full distribution, config/profiles.yaml")
	flag.Parse()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		chosen, err := choose(flag.Args())
		if err != nil {
			return false, err
		}
		if *profiles {
			o.UseProfiles()
			for i := range chosen {
				chosen[i].Learn = cmp.Or(chosen[i].Learn, scenario.DefaultLearn) + settle
			}
		}
		return run(ctx, o, chosen, *profiles)
	})
}

// settle is until it is known that profiles name more: a service learns anew then.
const settle = 30 * time.Second

func choose(names []string) ([]scenario.Scenario, error) {
	all := scenario.Languages()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(sc scenario.Scenario) bool { return sc.Name == name }) {
			return nil, fmt.Errorf("no fault is named %q", name)
		}
	}
	return slices.DeleteFunc(all, func(sc scenario.Scenario) bool {
		return len(names) > 0 && !slices.Contains(names, sc.Name)
	}), nil
}

// run runs the faults one after the other; one that fails does not end it. It reports
// whether all that is asked of the twelve is there, or each of some is named.
func run(ctx context.Context, o runner.Options, chosen []scenario.Scenario, profiles bool) (bool, error) {
	file := filepath.Join(o.Out, "languages.json")
	good := true
	rows, err := earlier(file, chosen)
	if err != nil {
		return false, err
	}
	for i, sc := range chosen {
		fmt.Printf("\n=== %d of %d: %s: %s\n\n", i+1, len(chosen), sc.Name, sc.Title)
		result, err := runner.Run(ctx, sc, o)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			fmt.Println("error:", err)
		}
		good = runner.Verdict(sc, result) && err == nil && good
		rows = evaluation.InOrder(append(rows, evaluation.NewLanguageRow(sc, result, profiles, err)))
		if err := runner.WriteJSON(rows, file); err != nil { // so that a run that is ended early leaves what it had
			return false, err
		}
	}
	fmt.Println()
	enough := evaluation.PrintLanguages(os.Stdout, rows)
	fmt.Println("\nResult: testbed/out/languages.json")
	if len(chosen) < len(scenario.Languages()) {
		return good, nil
	}
	return enough, nil
}

// earlier are the rows of an earlier run that are not of the chosen faults.
func earlier(file string, chosen []scenario.Scenario) ([]evaluation.LanguageRow, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []evaluation.LanguageRow
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return slices.DeleteFunc(rows, func(r evaluation.LanguageRow) bool {
		return slices.ContainsFunc(chosen, func(sc scenario.Scenario) bool { return sc.Name == r.Scenario })
	}), nil
}
