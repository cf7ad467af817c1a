// Package runner runs a scenario: server, load and collector up, learn, fault
// on, watch what the collector says, everything down. What it reports comes
// from the collector's output only.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
	"github.com/perfscope/perfscope/testbed/server"
)

// Options are the same for every scenario.
type Options struct {
	// Binary is the collector, Config its configuration.
	Binary, Config string
	// Record is a configuration that adds a recording of the raw records;
	// empty for none.
	Record string
	// Overlays are further configurations, Env further variables of the
	// collector.
	Overlays, Env []string
	// Args are further arguments of the collector.
	Args []string
	// Wrapper is a command that executes the collector in its place; empty for none.
	Wrapper []string
	// Turn, if not nil, holds one token: who has it may turn its fault on.
	// Scenarios that run side by side learn together and fail in turn.
	Turn chan struct{}
	// Out is where each scenario gets a directory for the collector's log,
	// its anomalies and its own metrics.
	Out string
	// Linger, if not nil, is called when all was watched and the collector still runs;
	// out is the scenario's directory.
	Linger func(ctx context.Context, a *agent.Agent, out string) error
}

// Agent is the configuration of the collector whose files are in a directory,
// and the recording it makes, empty for none. That of an earlier run is removed.
func (o Options) Agent(out string) (cfg agent.Config, recording string, err error) {
	cfg = agent.Config{Binary: o.Binary, File: o.Config, Out: out, Overlays: slices.Clone(o.Overlays), Env: slices.Clone(o.Env), Args: o.Args, Wrapper: o.Wrapper}
	file := filepath.Join(out, "records.bin")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return cfg, "", err
	}
	if o.Record == "" {
		return cfg, "", nil
	}
	cfg.Overlays = append(cfg.Overlays, o.Record)
	cfg.Env = append(cfg.Env, "PERFSCOPE_RECORD_FILE="+file)
	return cfg, file, nil
}

// Run runs one scenario. Whatever happens, everything it started has ended
// when it returns.
func Run(ctx context.Context, sc scenario.Scenario, o Options) (Result, error) {
	r := &run{sc: sc, started: time.Now(), result: newResult(sc), named: o.Turn != nil}
	err := r.run(ctx, o)
	return r.result, err
}

type run struct {
	sc      scenario.Scenario
	started time.Time
	result  Result

	work      scenario.Workload
	load      *load.Load
	anomalies chan agent.Anomaly
	lost      chan error
	onset     time.Time // zero before the fault
	labels    Labels
	// named is set when other runs print, too.
	named bool
}

func (r *run) run(ctx context.Context, o Options) (err error) {
	out := filepath.Join(o.Out, r.sc.Name)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	r.say("starting the server")
	if r.work, err = r.sc.Start(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, r.work.Server.Stop())
		if r.work.Stop != nil {
			r.work.Stop()
		}
	}()
	r.say("%s, pid %d, on %s: %s", r.work.Server.Version, r.work.Server.PID(), r.work.Server.Addr, r.sc.Normal)

	r.load = load.Start(ctx, r.work.Load)
	defer r.load.Stop()
	r.say("load: %.0f requests per second over %d connections", r.work.Load.Rate, r.work.Load.Workers)

	cfg, recording, err := o.Agent(out)
	if err != nil {
		return err
	}
	r.labels.Recording = recording
	collector, err := agent.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, collector.Stop()) }()
	r.say("collector started with %s, pid %d", filepath.Base(o.Config), collector.PID())
	defer saveMetrics(collector, filepath.Join(out, "metrics.txt"))
	r.labels.Scenario, r.labels.Start = r.sc.Name, time.Now()
	for _, s := range append([]*server.Server{r.work.Server}, r.work.Beside...) {
		r.labels.Ports = append(r.labels.Ports, port(s.Addr))
	}
	defer func() {
		r.labels.End, r.labels.Onset = time.Now(), r.onset
		r.result.Labels = r.labels
		err = errors.Join(err, r.labels.Save(out))
	}()

	reading, stopReading := context.WithCancel(ctx)
	r.anomalies, r.lost = make(chan agent.Anomaly, 256), make(chan error, 1)
	go func() {
		r.lost <- agent.Follow(reading, collector.AnomalyFile, func(a agent.Anomaly) { r.anomalies <- a })
		close(r.anomalies)
	}()
	defer func() {
		stopReading()
		for range r.anomalies {
		}
	}()
	r.load.Take()

	if len(r.sc.Steps) > 0 {
		return r.steps(ctx, collector)
	}
	if err := r.faulty(ctx, collector, o.Turn); err != nil || o.Linger == nil {
		return err
	}
	return o.Linger(ctx, collector, out)
}

// faulty learns, turns the fault on and watches.
func (r *run) faulty(ctx context.Context, collector *agent.Agent, turn chan struct{}) error {
	learn := cmp.Or(r.sc.Learn, scenario.DefaultLearn)
	r.say("learning what is normal for %.0f s", learn.Seconds())
	if err := r.watch(ctx, collector, learn); err != nil {
		return err
	}
	if turn != nil {
		if err := watchUntil(ctx, r, collector, turn); err != nil {
			return err
		}
		defer func() { turn <- struct{}{} }()
	}
	r.result.Normal = r.load.Take()
	if err := enough(r.result.Normal); err != nil {
		return err
	}
	r.say("normal: %s", describe(r.result.Normal))

	r.say("FAULT  %s", r.sc.Fault)
	r.onset = time.Now()
	end, err := r.work.Fault(ctx)
	if err != nil {
		return fmt.Errorf("the fault could not be turned on: %w", err)
	}
	defer end()
	if err := r.watch(ctx, collector, cmp.Or(r.sc.Observe, scenario.DefaultObserve)); err != nil {
		return err
	}
	r.result.Slow = r.load.Take()
	r.say("now: %s", describe(r.result.Slow))
	r.result.judge()
	return nil
}

// steps changes the load and watches.
func (r *run) steps(ctx context.Context, collector *agent.Agent) error {
	for _, step := range r.sc.Steps {
		if err := r.step(ctx, collector, step); err != nil {
			return err
		}
		figures := r.load.Take()
		if err := enough(figures); err != nil {
			return err
		}
		r.say("       %s", describe(figures))
	}
	return nil
}

func (r *run) step(ctx context.Context, collector *agent.Agent, step scenario.Step) error {
	if step.Factor > 0 {
		r.load.SetRate(r.work.Load.Rate * step.Factor)
		r.say("load at %gx for %.0f s", step.Factor, step.For.Seconds())
	}
	if step.Say != "" {
		r.say("%s, for %.0f s", step.Say, step.For.Seconds())
	}
	if step.Do != nil {
		end, err := step.Do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", step.Say, err)
		}
		if end != nil {
			defer end()
		}
	}
	return r.watch(ctx, collector, step.For)
}

// watch takes note of anomalies for a while.
func (r *run) watch(ctx context.Context, collector *agent.Agent, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	return watchUntil(ctx, r, collector, timer.C)
}

// watchUntil takes note of anomalies until something is received. It ends
// early when something that has to run does not.
func watchUntil[T any](ctx context.Context, r *run, collector *agent.Agent, until <-chan T) error {
	progress := time.NewTicker(20 * time.Second)
	defer progress.Stop()
	census := time.NewTicker(time.Second)
	defer census.Stop()
	for {
		r.labels.note(server.Descendants(r.work.Server.PID()))
		for _, s := range r.work.Beside {
			r.labels.note(server.Descendants(s.PID()))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-until:
			return nil
		case <-collector.Done():
			return fmt.Errorf("the collector ended: %w (see %s)", collector.Err(), collector.Log)
		case <-r.work.Server.Done():
			return fmt.Errorf("the server ended: %w", r.work.Server.Err())
		case <-census.C: // a child that ended has no parent to be known by
		case <-progress.C:
			r.progress(ctx, collector)
		case err := <-r.lost:
			return fmt.Errorf("the collector's output can't be read: %w", err)
		case a := <-r.anomalies:
			r.note(a)
		}
	}
}

// note prints an anomaly and keeps it, if it is about the server under test:
// the machine may run others.
func (r *run) note(a agent.Anomaly) {
	if !r.labels.about(r.sc, a) {
		return
	}
	switch first := len(r.result.After) == 0; {
	case !r.result.add(a, r.onset):
		r.say("%s  %s (score %.2f): %s", a.Severity, a.Kind, a.Score, a.Sentence)
		return
	case len(r.result.After) == 0:
		r.say("ANOMALY while nothing is wrong")
	case first:
		r.say("ANOMALY, the first, %.1f s after the fault", r.result.SecondsToFirst)
	default:
		r.say("ANOMALY")
	}
	a.Print(os.Stdout, r.sc.Truth)
}

// enough refuses to judge a collector by a load that did not run.
func enough(f load.Figures) error {
	if f.Requests == 0 || f.Failures > f.Requests/10 {
		return fmt.Errorf("the load failed: %d requests answered, %d failed: %w", f.Requests, f.Failures, f.LastError)
	}
	return nil
}

// progress says what the collector has seen so far.
func (r *run) progress(ctx context.Context, collector *agent.Agent) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	metrics, err := collector.Metrics(ctx)
	if err != nil {
		return // only words are missing
	}
	r.say("       seen so far: %.0f events in %.0f execution units",
		agent.Total(metrics, "processor_perfscope_events"), agent.Total(metrics, "processor_perfscope_units"))
}

func saveMetrics(collector *agent.Agent, file string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if text, err := collector.Metrics(ctx); err == nil {
		_ = os.WriteFile(file, []byte(text), 0o644) // nice to have
	}
}
