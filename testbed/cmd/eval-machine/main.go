// Command eval-machine runs twelve causes of slowness that are nobody's code and twelve
// that are, and writes testbed/out/machine.json. Names as arguments choose cases.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/evaluation"
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

func choose(names []string) ([]scenario.MachineCase, error) {
	all := scenario.Machine()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c scenario.MachineCase) bool { return c.Name == name }) {
			return nil, fmt.Errorf("no case is named %q", name)
		}
	}
	return slices.DeleteFunc(all, func(c scenario.MachineCase) bool {
		return len(names) > 0 && !slices.Contains(names, c.Name)
	}), nil
}

// run runs the cases one after the other; one that fails does not end it.
func run(ctx context.Context, o runner.Options, chosen []scenario.MachineCase, recorded bool) (bool, error) {
	file := filepath.Join(o.Out, "machine.json")
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
		row := evaluation.NewMachineRow(c, result, err)
		fmt.Printf("%s: %s\n", row.Kind, row.Sentence)
		rows[c.Name] = row
		// So that a run that is ended early leaves what it had.
		if err := runner.WriteJSON(inOrder(rows), file); err != nil {
			return false, err
		}
	}
	fmt.Println()
	enough := evaluation.PrintMachine(os.Stdout, inOrder(rows))
	fmt.Println("\nResult: testbed/out/machine.json")
	return enough, nil
}

func one(ctx context.Context, o runner.Options, c scenario.MachineCase, recorded bool) (runner.Result, error) {
	if !recorded {
		return runner.Run(ctx, c.Scenario, o)
	}
	return runner.Again(ctx, c.Scenario, o)
}

// earlier are the rows of an earlier run.
func earlier(file string) (map[string]evaluation.MachineRow, error) {
	rows := map[string]evaluation.MachineRow{}
	var list []evaluation.MachineRow
	err := runner.ReadJSON(file, &list)
	for _, r := range list {
		rows[r.Case] = r
	}
	return rows, err
}

func inOrder(rows map[string]evaluation.MachineRow) []evaluation.MachineRow {
	list := []evaluation.MachineRow{}
	for _, c := range scenario.Machine() {
		if r, ran := rows[c.Name]; ran {
			list = append(list, r)
		}
	}
	return list
}
