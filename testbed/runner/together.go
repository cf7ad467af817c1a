package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

const (
	// portion of the rate of a scenario's load is what each server gets on
	// average: a dozen of them share the processors.
	portion = 0.3
	// steady is for how long a load stays as it is, at least; at most it is
	// three times that.
	steady = 20 * time.Second
)

// TogetherName is what Together's directory and result are called.
const TogetherName = "together"

// Together runs the normal life of servers side by side under one collector for
// a while, each under a load that goes up and down between a half and one and a
// half, and returns the warnings. None of them has a fault.
func Together(ctx context.Context, scenarios []scenario.Scenario, length time.Duration, o Options) (alarms []agent.Anomaly, err error) {
	out := filepath.Join(o.Out, TogetherName)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	begun := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%4.0fs] %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	var works []scenario.Workload
	defer func() {
		for _, w := range works {
			err = errors.Join(err, w.Server.Stop())
			if w.Stop != nil {
				w.Stop()
			}
		}
	}()
	var loads []*load.Load
	defer func() {
		for _, l := range loads {
			l.Stop()
		}
	}()
	for _, sc := range scenarios {
		w, err := sc.Start(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sc.Server, err)
		}
		works = append(works, w)
		cfg := w.Load
		cfg.Rate *= portion
		loads = append(loads, load.Start(ctx, cfg))
		say("%s, pid %d: %.0f requests per second", w.Server.Version, w.Server.PID(), cfg.Rate)
	}
	cfg, recording, err := o.collector(out)
	if err != nil {
		return nil, err
	}
	collector, err := agent.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	labels := Labels{Scenario: TogetherName, Recording: recording, Start: time.Now()}
	defer func() {
		labels.End = time.Now()
		err = errors.Join(err, collector.Stop(), labels.Save(out))
	}()
	defer saveMetrics(collector, filepath.Join(out, "metrics.txt"))
	say("collector started with %s, pid %d", filepath.Base(o.Config), collector.PID())

	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	seen, lost := make(chan agent.Anomaly, 256), make(chan error, 1)
	go func() {
		err := agent.Follow(reading, collector.AnomalyFile, func(a agent.Anomaly) {
			select {
			case seen <- a:
			case <-reading.Done():
			}
		})
		lost <- err
	}()
	// The loads are theirs to learn for a while, and then change one by one.
	over, change := time.After(length), time.NewTimer(scenario.DefaultLearn+steady)
	defer change.Stop()
	for {
		select {
		case <-ctx.Done():
			return alarms, ctx.Err()
		case <-over:
			return alarms, nil
		case <-collector.Done():
			return alarms, fmt.Errorf("the collector ended: %w (see %s)", collector.Err(), collector.Log)
		case err := <-lost:
			return alarms, fmt.Errorf("the collector's output can't be read: %w", err)
		case <-change.C:
			i := rand.IntN(len(loads)) //nolint:gosec // no secret
			if err := enough(loads[i].Take()); err != nil {
				return alarms, fmt.Errorf("%s: %w", scenarios[i].Server, err)
			}
			factor := 0.5 + rand.Float64() //nolint:gosec // no secret
			loads[i].SetRate(works[i].Load.Rate * portion * factor)
			say("%s at %.1fx", scenarios[i].Server, factor)
			change.Reset(time.Duration(float64(steady) * (1 + 2*rand.Float64()) / float64(len(loads)))) //nolint:gosec // no secret
		case a := <-seen:
			if a.Warn {
				alarms = append(alarms, a)
			}
			say("%s  %s (score %.2f): %s", a.Severity, a.Service, a.Score, a.Sentence)
		}
	}
}
