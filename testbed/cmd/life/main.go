// Command life runs many healthy servers side by side under one collector while
// ordinary things happen to them, and records it all.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perfscope/perfscope/testbed/life"
	"github.com/perfscope/perfscope/testbed/runner"
)

func main() {
	length := flag.Duration("length", 75*time.Minute, "`time` under the collector, once all servers run")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "seed of the fleet and of what happens to it; the present time by default")
	servers := flag.Int("servers", 66, "how many servers; at least one of each kind first")
	most := flag.Int64("most", 3<<30, "`bytes` of the recording at which the run ends")
	collector := flag.String("collector", "", "the collector's `program` (default bin/otelcol-perfscope)")
	config := flag.String("config", "", "the collector's configuration `file` (default config/agent.yaml)")
	record := flag.String("record", "", "the `file` that adds the recording (default config/record.yaml)")
	plan := flag.Bool("plan", false, "only print who would run and what would happen")
	flag.Parse()
	members := life.Fleet(*seed, *servers)
	happenings := life.Plan(*seed, members, *length)
	if *plan {
		printPlan(members, happenings)
		return
	}
	runner.Main(func(ctx context.Context, o runner.Options) (bool, error) {
		for from, to := range map[*string]*string{collector: &o.Binary, config: &o.Config, record: &o.Record} {
			if *from != "" {
				*to = *from
			}
		}
		summary, err := life.Run(ctx, life.Options{
			Options: o, Name: fmt.Sprintf("life-%d", *seed), Seed: *seed,
			Members: members, Plan: happenings, Length: *length, Most: *most,
		})
		if summary.Servers > 0 {
			summary.Print(os.Stdout)
			fmt.Printf("Result: testbed/out/life-%d/summary.json\n", *seed)
		}
		return err == nil, err
	})
}

func printPlan(members []life.Member, plan []life.Happening) {
	for _, m := range members {
		fmt.Printf("%-16s %-24s %.3f of its load; %v\n", m.Name, m.Scenario.Name, m.Portion, m.Kinds)
	}
	for _, h := range plan {
		fmt.Printf("%7.1f s  %5.1f s  %-10s %-16s %.2f\n", h.At.Seconds(), h.For.Seconds(), h.Kind, h.Instance, h.Factor)
	}
}
