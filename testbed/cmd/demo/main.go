// Command demo makes a real redis slow and shows which function PerfScope
// names. It exits with 0 only when the true function is first. With
// SIGNATURES=only in the environment it takes no stacks, and names functions by
// signatures that it extracts before.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/signatures"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		sc := scenario.Demo()
		o.Record = "" // the demo shows what a user gets
		o.Linger = look
		fmt.Printf("PerfScope demo: %s\n\n", sc.Title)
		switch way := os.Getenv("SIGNATURES"); way {
		case "":
		case "only":
			if err := withoutStacks(ctx, &o); err != nil {
				return false, err
			}
		default:
			return false, fmt.Errorf("SIGNATURES is %q; it must be only, or not set", way)
		}
		result, err := runner.Run(ctx, sc, o)
		if ctx.Err() != nil {
			return false, err
		}
		file := filepath.Join(o.Out, "demo.json")
		err = errors.Join(err, runner.WriteJSON(result, file))
		if err != nil {
			return false, err
		}
		ok := runner.Verdict(sc, result)
		fmt.Printf("\nResult: testbed/out/demo.json; the collector's log and anomalies: testbed/out/%s/\n", sc.Name)
		return ok, nil
	})
}

// extraction is how long the test load runs: several of its rounds.
const extraction = 40 * time.Second

// withoutStacks extracts the signatures of the server under a test load, and has
// the collector use them and take no stacks.
func withoutStacks(ctx context.Context, o *runner.Options) error {
	fmt.Printf("extracting signatures: the same server under a test load for %s, with a stack at every call\n", extraction)
	test := *o
	test.Out = filepath.Join(o.Out, "demo")
	x, err := signatures.Extract(ctx, signatures.Redis(), test, extraction, false)
	if err != nil {
		return fmt.Errorf("no signatures could be extracted: %w", err)
	}
	if err := show(x.Directory); err != nil {
		return err
	}
	config := filepath.Dir(o.Config)
	o.Overlays = []string{filepath.Join(config, "signatures.yaml"), filepath.Join(config, "..", "testbed", "signatures", "blind.yaml")}
	o.Env = []string{"PERFSCOPE_SIGNATURES=" + x.Directory}
	fmt.Printf("from here on no stack is taken: not at calls, not on the CPU, not of waits\n\n")
	return nil
}

// show prints the signatures.
func show(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.signatures"))
	if err != nil || len(files) == 0 {
		return errors.Join(err, fmt.Errorf("the collector wrote no signature file into %s", dir))
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Printf("\n%s:\n\n", filepath.Base(path))
		_, functions, _ := strings.Cut(string(data), "\nfunction ")
		for line := range strings.Lines("function " + functions) {
			fmt.Print("        ", line)
		}
		fmt.Println()
	}
	return nil
}
