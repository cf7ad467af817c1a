// Command demo makes a real redis slow and shows which function PerfScope
// names. It exits with 0 only when the true function is first.
package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		sc := scenario.Demo()
		o.Record = "" // the demo shows what a user gets
		fmt.Printf("PerfScope demo: %s\n\n", sc.Title)
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
