package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/runner"
)

// Profiled is a saturated server under the full distribution: PerfScope, the
// OpenTelemetry eBPF profiler, or both in one collector.
type Profiled struct {
	Server string           `json:"server"`
	Modes  map[Mode]Figures `json:"modes"`
	Loss   map[Mode]Loss    `json:"loss"`
}

// The modes, beside Bare.
const (
	OnlyPerfScope Mode = "PerfScope"
	OnlyProfiler  Mode = "profiler"
	Both          Mode = "both"
)

func profiledModes() []Mode { return []Mode{OnlyPerfScope, OnlyProfiler, Both} }

// profiledServers are those measured: one that makes many calls, and one that computes.
func profiledServers() []string { return []string{"redis", "go-http"} }

// noReceiver is a configuration in which PerfScope's own receiver has no part.
const noReceiver = "yaml:service::pipelines::logs/syscalls::receivers: [otlp]"

// MeasureProfiled measures what the profiler costs, alone and with PerfScope.
func MeasureProfiled(ctx context.Context, o runner.Options, rounds int, say func(string, ...any)) (all []Profiled, err error) {
	for _, name := range profiledServers() {
		p := Profiled{Server: name}
		if err := p.measure(ctx, o, rounds, say); err != nil {
			return nil, fmt.Errorf("%s with the profiler: %w", name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func (r *Profiled) measure(ctx context.Context, o runner.Options, rounds int, say func(string, ...any)) (err error) {
	sc, err := scenarioOf(r.Server)
	if err != nil {
		return err
	}
	work, err := sc.Start(ctx)
	if work.Stop != nil {
		defer work.Stop()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, work.Server.Stop()) }()
	cfg := work.Load
	cfg.Rate = saturate
	l := load.Start(ctx, cfg)
	defer l.Stop()
	seen, losses := map[Mode][]Figures{}, map[Mode][]float64{}
	one := func(m Mode) (phase, error) {
		p, err := measureProfiled(ctx, o, l, m)
		if err != nil {
			return p, fmt.Errorf("%s: %w", m, err)
		}
		seen[m] = append(seen[m], p.Figures)
		say("%s, %-10s %8.0f requests/s, collector %.3f CPUs, %.0f MiB", r.Server, m, p.RPS, p.CPU, p.RSS)
		return p, nil
	}
	before, err := one(Bare)
	if err != nil {
		return err
	}
	for round := range rounds {
		modes := profiledModes()
		if round%2 == 1 {
			slices.Reverse(modes)
		}
		for _, m := range modes {
			watched, err := one(m)
			if err != nil {
				return err
			}
			after, err := one(Bare)
			if err != nil {
				return err
			}
			losses[m] = append(losses[m], lost(before, watched, after)...)
			before = after
		}
	}
	r.Modes, r.Loss = map[Mode]Figures{}, map[Mode]Loss{}
	for m, figures := range seen {
		r.Modes[m] = medians(figures)
	}
	for m, values := range losses {
		r.Loss[m] = newLoss(values)
	}
	return nil
}

// measureProfiled measures one time in one mode.
func measureProfiled(ctx context.Context, o runner.Options, l *load.Load, m Mode) (phase, error) {
	if m == Bare {
		return measureWith(ctx, nil, l, Bare)
	}
	out := filepath.Join(o.Out, "bench")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return phase{}, err
	}
	with := o
	with.UseProfiles()
	cfg := agent.Config{
		Binary: with.Binary, File: with.Config, Overlays: with.Overlays, Args: with.Args, Wrapper: with.Wrapper, Out: out,
		Env: []string{"PERFSCOPE_MODE=" + string(Default)},
	}
	switch m {
	case OnlyPerfScope:
		cfg.Overlays = o.Overlays
	case OnlyProfiler:
		cfg.Overlays = append(slices.Clone(cfg.Overlays), noReceiver)
	}
	a, err := agent.Start(ctx, cfg)
	if err != nil {
		return phase{}, err
	}
	p, err := measureWith(ctx, a, l, Default)
	return p, errors.Join(err, a.Stop())
}

// profiled is the table of the profiler's cost.
func (r *Report) profiled(p printer) {
	if len(r.Profiled) == 0 {
		return
	}
	p("\n## Beside the OpenTelemetry eBPF profiler\n")
	p("The full distribution on saturated servers as above: PerfScope alone (the default")
	p("mode), the profiler of `config/profiles.yaml` alone (20 samples a second and CPU of all")
	p("processes; no other receiver runs), and both in one collector.\n")
	p("| server | what runs | requests/s | loss | 95 %% | collector, CPUs | MiB |\n|---|---|---|---|---|---|---|")
	for _, s := range r.Profiled {
		p("| %s | bare | %.0f | | | | |", s.Server, s.Modes[Bare].RPS)
		for _, m := range profiledModes() {
			f, l := s.Modes[m], s.Loss[m]
			p("| %s | %s | %.0f | %.1f %% | %.1f to %.1f | %.3f | %.0f |", s.Server, m, f.RPS, l.Mid, l.Low, l.High, f.CPU, f.RSS)
		}
	}
}
