// Command traces runs a distributed application on three hosts, makes one
// service after the other slow, and measures what the anomalies on its spans
// are worth. It writes testbed/out/traces.json. Names as arguments choose
// faults.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/market"
	"github.com/perfscope/perfscope/testbed/runner"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (ok bool, err error) {
		faults, err := choose(os.Args[1:])
		if err != nil {
			return false, err
		}
		out := filepath.Join(o.Out, "traces")
		if err := os.MkdirAll(out, 0o755); err != nil {
			return false, err
		}
		began := time.Now()
		say := func(format string, args ...any) {
			fmt.Printf("[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
		}
		say("starting three hosts, three services, redis, postgres, three agents and a gateway")
		m, err := market.Start(ctx, market.Config{
			Agent: o.Binary + "-full", Gateway: o.Binary, Configs: filepath.Dir(o.Config), Out: out,
		})
		if err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, m.Stop()) }()
		windows, err := m.Run(ctx, faults, say)
		if err != nil {
			return false, err
		}
		spans, err := agent.ReadSpans(m.Spans)
		if err != nil {
			return false, err
		}
		incidents, err := agent.ReadIncidents(m.Anomalies)
		if err != nil {
			return false, err
		}
		rows := market.Judge(windows, spans, incidents)
		return market.Print(rows), runner.WriteJSON(rows, filepath.Join(o.Out, "traces.json"))
	})
}

func choose(names []string) ([]market.Fault, error) {
	all := market.Faults()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []market.Fault
	for _, name := range names {
		i := slices.IndexFunc(all, func(f market.Fault) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no fault is named %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
