// Command healthy watches a healthy server through load steps and fails when
// PerfScope sees an anomaly.
package main

import (
	"context"
	"fmt"

	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		sc := scenario.Healthy()[0]
		fmt.Printf("%s\n\n", sc.Title)
		result, err := runner.Run(ctx, sc, o)
		if err != nil {
			return false, err
		}
		if n := len(result.Before); n > 0 {
			fmt.Printf("FAILED  %s: %d anomalies, and nothing was wrong\n", sc.Name, n)
			return false, nil
		}
		fmt.Printf("OK      %s: no anomaly\n", sc.Name)
		return true, nil
	})
}
