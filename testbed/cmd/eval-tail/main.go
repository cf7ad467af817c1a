// Command eval-tail has servers of which a few requests are slow from their first
// second on, and measures whether the function behind them is named, with spans and
// without. It writes testbed/out/tail.json. Names as arguments choose scenarios.
package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/tail"
)

func main() {
	length := flag.Duration("length", 75*time.Second, "for how long each server is watched")
	percents := flag.String("shares", "3", "how many of a hundred requests are slow, separated by commas")
	again := flag.Bool("again", false, "judge the recordings of an earlier run once more")
	misconfigurations := flag.Bool("misconfigurations", false, "only the servers whose configuration is the cause; without it, all others")
	dry := flag.Bool("dry", false, "write nothing")
	without := flag.String("without", "", fmt.Sprintf("judge the recordings without these `rules`, separated by commas, of %v; nothing is written", inference.Rules()))
	flag.Parse()
	cfg := inference.DefaultConfig()
	if *without != "" {
		*again, *dry = true, true
		for _, rule := range strings.Split(*without, ",") {
			cfg.Without = append(cfg.Without, inference.Rule(rule))
		}
	}
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		if err := cfg.Validate(); err != nil {
			return false, err
		}
		var results []tail.Result
		ok := true
		for _, sc := range tail.Scenarios() {
			chosen := sc.Misconfiguration == *misconfigurations
			if flag.NArg() > 0 {
				chosen = slices.Contains(flag.Args(), sc.Name)
			}
			if !chosen {
				continue
			}
			for _, p := range strings.Split(*percents, ",") {
				percent, err := strconv.ParseFloat(p, 64)
				if err != nil {
					return false, err
				}
				run := func() ([]tail.Result, error) { return tail.Run(ctx, sc, percent/100, *length, o) }
				if *again {
					run = func() ([]tail.Result, error) { return tail.Again(sc, percent/100, cfg, o) }
				}
				rows, err := run()
				if err != nil {
					if ctx.Err() != nil {
						return false, err
					}
					fmt.Printf("%-22s %g %%: %v\n", sc.Name, percent, err)
					ok = false
					continue
				}
				for i := range rows {
					rows[i].Print()
				}
				results = append(results, rows...)
				if *dry {
					continue
				}
				if err := tail.Save(filepath.Join(o.Out, "tail.json"), results); err != nil {
					return false, err
				}
			}
		}
		return tail.Verdict(results) && ok, nil
	})
}
