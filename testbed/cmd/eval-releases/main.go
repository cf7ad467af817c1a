// Command eval-releases runs builds of a service side by side and says what PerfScope
// finds of the difference. It writes testbed/out/releases.json.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/releases"
)

func main() {
	var o releases.Options
	flag.StringVar(&o.Binary, "collector", "bin/otelcol-perfscope", "the collector")
	flag.StringVar(&o.Config, "config", "config/agent.yaml", "its configuration")
	flag.StringVar(&o.Record, "record", "config/record.yaml", "what has it record")
	flag.StringVar(&o.Out, "out", "testbed/out/releases", "directory of recordings")
	flag.DurationVar(&o.Length, "length", 10*time.Minute, "for how long the builds of a pair run")
	flag.Float64Var(&o.Rate, "rate", 150, "requests per second of each build")
	flag.IntVar(&o.Frequency, "frequency", 0, "samples per second; 0 is the shipped one")
	atOnce := flag.Int("at-once", 3, "pairs that run at once")
	result := flag.String("result", "testbed/out/releases.json", "where the results are written; those of other pairs stay")
	only := flag.String("pairs", "", "names of pairs, with commas between; all without")
	prepare := flag.Bool("prepare", false, "only build and install what the pairs need")
	measure := flag.Bool("measure", false, "only measure what a request costs with each build, without the collector")
	judge := flag.String("judge", "", "judge a recording of these pairs again")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	pairs := releases.Pairs()
	if *only != "" {
		names := strings.Split(*only, ",")
		pairs = slices.DeleteFunc(pairs, func(p releases.Pair) bool { return !slices.Contains(names, p.Name) })
	}
	var err error
	switch {
	case *prepare:
		err = releases.Prepare(ctx, pairs)
	case *measure:
		err = measureOnly(ctx, pairs, o, *atOnce)
	default:
		err = run(ctx, pairs, o, *atOnce, *result, *judge)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func measureOnly(ctx context.Context, pairs []releases.Pair, o releases.Options, atOnce int) error {
	for part := range slices.Chunk(pairs, atOnce) {
		changes, err := releases.Measure(ctx, part, o.Rate, o.Length)
		if err != nil {
			return err
		}
		for i, p := range part {
			fmt.Printf("%-18s %-12s CPU time of a request %+.1f %%\n", p.Name, p.Kind, 100*changes[i])
		}
	}
	return nil
}

func run(ctx context.Context, pairs []releases.Pair, o releases.Options, atOnce int, path, recorded string) error {
	var all []releases.Result
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, &all); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	for part := range slices.Chunk(pairs, atOnce) {
		var results []releases.Result
		var err error
		if recorded != "" {
			results, err = releases.Judge(recorded, part)
		} else {
			results, err = releases.Run(ctx, part, o)
		}
		if err != nil {
			return err
		}
		for _, r := range results {
			fmt.Printf("%-18s %-12s found %-5v rank %d after %4.1f min, false %-5v %-10s %s (CPU %+.0f %%, measured %+.0f %%, smallest %.1f %%)\n",
				r.Pair, r.Kind, r.Found, r.Rank, r.Minutes, r.False, r.Verdict, r.First, 100*r.CPU, 100*r.Measured, 100*r.Smallest)
			all = slices.DeleteFunc(all, func(x releases.Result) bool {
				if x.Pair == r.Pair && recorded != "" {
					r.Measured = x.Measured // a recording does not have it
				}
				return x.Pair == r.Pair
			})
			all = append(all, r)
		}
		data, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
