// Command faults runs faults on real servers, one of each kind, and checks
// that the true function is among the first suspects. Names as arguments
// choose scenarios.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		chosen, err := choose(os.Args[1:])
		if err != nil {
			return false, err
		}
		var (
			results []runner.Result
			failed  error
		)
		for _, sc := range chosen {
			fmt.Printf("\n=== %s: %s\n\n", sc.Name, sc.Title)
			result, err := runner.Run(ctx, sc, o)
			if ctx.Err() != nil {
				return false, err
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %w", sc.Name, err))
			}
			results = append(results, result)
		}
		fmt.Println()
		ok := true
		for i, sc := range chosen {
			ok = runner.Verdict(sc, results[i]) && ok
		}
		return ok, errors.Join(failed, runner.WriteJSON(results, filepath.Join(o.Out, "faults.json")))
	})
}

func choose(names []string) ([]scenario.Scenario, error) {
	if len(names) == 0 {
		return scenario.Faults(), nil
	}
	var chosen []scenario.Scenario
	for _, name := range names {
		all := scenario.All()
		i := slices.IndexFunc(all, func(sc scenario.Scenario) bool { return sc.Name == name && sc.Fault != "" })
		if i < 0 {
			return nil, fmt.Errorf("no fault is named %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
