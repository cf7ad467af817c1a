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
	"sync"
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
	atOnce := flag.Int("at-once", 1, "how many servers run at a time, each of another kind")
	burst := flag.Duration("burst", 0, "judge the recordings as if each burst of recorded calls had ended after this `length`; nothing is written")
	dry := flag.Bool("dry", false, "write nothing")
	without := flag.String("without", "", fmt.Sprintf("judge the recordings without these `rules`, separated by commas, of %v; nothing is written", inference.Rules()))
	flag.Parse()
	if *burst > 0 {
		*again, *dry = true, true
	}
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
		shares, err := parse(*percents)
		if err != nil {
			return false, err
		}
		e := evaluation{ok: true}
		if !*dry {
			e.file = filepath.Join(o.Out, "tail.json")
		}
		var jobs []job
		for _, sc := range tail.Scenarios() {
			chosen := sc.Misconfiguration == *misconfigurations && !sc.Short
			if flag.NArg() > 0 {
				chosen = slices.Contains(flag.Args(), sc.Name)
			}
			for _, share := range shares {
				run := func(ctx context.Context) ([]tail.Result, error) { return tail.Run(ctx, sc, share, *length, o) }
				if *again {
					run = func(context.Context) ([]tail.Result, error) { return tail.Again(sc, share, cfg, *burst, o) }
				}
				if chosen {
					jobs = append(jobs, job{fmt.Sprintf("%s %g %%", sc.Name, 100*share), sc.Service, run})
				}
			}
		}
		e.run(ctx, jobs, max(1, *atOnce))
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return tail.Verdict(e.results) && e.ok, e.err
	})
}

func parse(percents string) (shares []float64, err error) {
	for _, p := range strings.Split(percents, ",") {
		percent, err := strconv.ParseFloat(p, 64)
		if err != nil {
			return nil, err
		}
		shares = append(shares, percent/100)
	}
	return shares, nil
}

// job is a scenario with a share of slow requests; two of one service are never run at a
// time, since a collector watches what has its name.
type job struct {
	name, service string
	run           func(context.Context) ([]tail.Result, error)
}

// evaluation has the results of jobs.
type evaluation struct {
	file string // empty when nothing is written

	mu      sync.Mutex
	results []tail.Result
	ok      bool
	err     error
}

// run does jobs, at most so many at a time.
func (e *evaluation) run(ctx context.Context, jobs []job, atOnce int) {
	over := make(chan string)
	running := map[string]bool{}
	for len(jobs) > 0 || len(running) > 0 {
		next := slices.IndexFunc(jobs, func(j job) bool { return !running[j.service] })
		if next < 0 || len(running) >= atOnce || ctx.Err() != nil {
			if len(running) == 0 {
				return
			}
			delete(running, <-over)
			continue
		}
		j := jobs[next]
		jobs = slices.Delete(jobs, next, next+1)
		running[j.service] = true
		go func() {
			e.take(ctx, j)
			over <- j.service
		}()
	}
}

func (e *evaluation) take(ctx context.Context, j job) {
	rows, err := j.run(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		fmt.Printf("%s: %v\n", j.name, err)
		e.ok = false
		return
	}
	for i := range rows {
		rows[i].Print()
	}
	e.results = append(e.results, rows...)
	if e.file != "" && e.err == nil {
		e.err = tail.Save(e.file, rows)
	}
}
