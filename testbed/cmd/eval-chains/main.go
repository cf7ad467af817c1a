// Command eval-chains runs ten ways in which requests wait for others, and writes
// testbed/out/chains.json. Names as arguments choose cases.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/evaluation"
	"github.com/perfscope/perfscope/testbed/replay"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	recorded := flag.Bool("recorded", false, "judge the recordings of the last runs again instead of running the servers")
	flag.Parse()
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		chosen, err := choose(flag.Args())
		if err != nil {
			return false, err
		}
		return run(ctx, o, chosen, *recorded)
	})
}

func choose(names []string) ([]scenario.ChainCase, error) {
	all := scenario.Chains()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c scenario.ChainCase) bool { return c.Name == name }) {
			return nil, fmt.Errorf("no case is named %q", name)
		}
	}
	return slices.DeleteFunc(all, func(c scenario.ChainCase) bool {
		return len(names) > 0 && !slices.Contains(names, c.Name)
	}), nil
}

// run runs the cases one after the other; one that fails does not end it.
func run(ctx context.Context, o runner.Options, chosen []scenario.ChainCase, recorded bool) (bool, error) {
	file := filepath.Join(o.Out, "chains.json")
	rows, err := earlier(file)
	if err != nil {
		return false, err
	}
	for i, c := range chosen {
		fmt.Printf("\n=== %d of %d: %s: %s\n\n", i+1, len(chosen), c.Name, c.Title)
		result, err := one(ctx, o, c, recorded)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			fmt.Println("error:", err)
		}
		row := evaluation.NewChainRow(c, result, err)
		fmt.Println(row.Sentence)
		rows[c.Name] = row
		// So that a run that is ended early leaves what it had.
		if err := runner.WriteJSON(inOrder(rows), file); err != nil {
			return false, err
		}
	}
	fmt.Println()
	enough := evaluation.PrintChains(os.Stdout, inOrder(rows))
	fmt.Println("\nResult: testbed/out/chains.json")
	return enough, nil
}

func one(ctx context.Context, o runner.Options, c scenario.ChainCase, recorded bool) (runner.Result, error) {
	if !recorded {
		return runner.Run(ctx, c.Scenario, o)
	}
	labels, err := runner.LoadLabels(filepath.Join(o.Out, c.Name))
	if err != nil {
		return runner.Result{}, err
	}
	anomalies, err := replay.Run(ctx, labels.Recording, replay.Options{})
	return runner.Assess(c.Scenario, labels, anomalies), err
}

// earlier are the rows of an earlier run.
func earlier(file string) (map[string]evaluation.ChainRow, error) {
	rows := map[string]evaluation.ChainRow{}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return rows, nil
	}
	var list []evaluation.ChainRow
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	for _, r := range list {
		rows[r.Case] = r
	}
	return rows, err
}

func inOrder(rows map[string]evaluation.ChainRow) []evaluation.ChainRow {
	list := []evaluation.ChainRow{}
	for _, c := range scenario.Chains() {
		if r, ran := rows[c.Name]; ran {
			list = append(list, r)
		}
	}
	return list
}
