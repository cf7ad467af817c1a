// Package bench measures what recording costs: single calls beside what other
// tools add to them, and real servers under all the load they can take.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// Mode is how a server is watched while it is measured.
type Mode string

// The modes; Bare is without a collector.
const (
	Bare       Mode = "bare"
	Watch      Mode = "watch"
	Burst      Mode = "burst"
	Continuous Mode = "continuous"
)

// Modes are all of them, in the order of the table.
func Modes() []Mode { return []Mode{Bare, Watch, Burst, Continuous} }

// Servers are the servers measured, and the scenarios whose normal life they
// are put under, as fast as they can.
func Servers() []struct{ Name, Scenario string } {
	return []struct{ Name, Scenario string }{
		{"redis", "redis-keys"}, {"nginx", "nginx-regex"}, {"postgres", "postgres-index"},
		{"memcached", "memcached-dump"}, {"go-http", "shelf-uploads"},
	}
}

const (
	// saturate is more than any of them can take, in requests per second.
	saturate = 1e7
	// warm is what a mode gets before it is measured: the collector reads the
	// server's symbols. In bursts the budget has to find its level first.
	warm, warmBurst = 4 * time.Second, 14 * time.Second
	// windows of window each are measured in a mode, bareWindows before and after
	// it: the load keeps only so many latencies, and one that something else
	// disturbs is seen.
	windows, bareWindows, window = 10, 5, time.Second
	// comparisons is in how many rounds the mode is measured that is there to
	// compare with: its loss is several times the noise of one round.
	comparisons = 1
)

func (m Mode) warm() time.Duration {
	switch m {
	case Bare:
		return time.Second
	case Burst:
		return warmBurst
	default:
		return warm
	}
}

// Server is the result of one server: medians over the rounds for each mode, and
// what each lost.
type Server struct {
	Name    string             `json:"name"`
	Version string             `json:"version"`
	Rounds  int                `json:"rounds"`
	Modes   map[Mode]Figures   `json:"modes"`
	Loss    map[Mode]Loss      `json:"loss"`
	All     map[Mode][]float64 `json:"rps_of_each_round"`
	// Attached is what it loses while its calls are recorded.
	Attached *Attached `json:"attached"`
	// Half is under half of the load that the bare server could take, once.
	Half map[Mode]Figures `json:"half_load"`
}

// MeasureServer saturates one server with one load all the time, and watches it
// in each of the modes, rounds times, with a bare phase before and after each.
func MeasureServer(ctx context.Context, o runner.Options, name string, rounds int, say func(string, ...any)) (result *Server, err error) {
	sc, err := scenarioOf(name)
	if err != nil {
		return nil, err
	}
	work, err := sc.Start(ctx)
	if work.Stop != nil {
		defer work.Stop()
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.Server.Stop()) }()
	cfg := work.Load
	cfg.Rate = saturate
	l := load.Start(ctx, cfg)
	defer l.Stop()
	result = &Server{Name: name, Version: work.Server.Version, Rounds: rounds, Half: map[Mode]Figures{}}
	if err := result.saturated(ctx, o, l, say); err != nil {
		return nil, fmt.Errorf("%s, %w", name, err)
	}
	if result.Attached, err = measureAttached(ctx, l, work.Server.PID()); err != nil {
		return nil, fmt.Errorf("%s, recorded without a collector: %w", name, err)
	}
	say("%s, %.0f calls/s while attached: %.1f %% less throughput (%.1f to %.1f), the budget reckons with %.1f %%", name,
		result.Attached.Calls, result.Attached.Mid, result.Attached.Low, result.Attached.High, result.Attached.Reckoned)
	l.SetRate(result.Modes[Bare].RPS / 2)
	for _, m := range []Mode{Bare, Burst, Continuous} { // what the watch adds is within the noise of one measurement
		p, err := measure(ctx, o, l, m)
		if err != nil {
			return nil, fmt.Errorf("%s, %s, half load: %w", name, m, err)
		}
		f := p.Figures
		say("%s, half load, %-10s %8.0f requests/s, p50 %.2f ms, p99 %.2f ms, %.2f CPUs busy, collector %.3f", name, m, f.RPS, f.P50, f.P99, f.Busy, f.CPU)
		result.Half[m] = f
	}
	return result, nil
}

// saturated alternates between the bare server and the modes.
func (s *Server) saturated(ctx context.Context, o runner.Options, l *load.Load, say func(string, ...any)) error {
	seen, losses := map[Mode][]Figures{}, map[Mode][]float64{}
	one := func(round int, m Mode) (p phase, err error) {
		if p, err = measure(ctx, o, l, m); err != nil {
			return p, fmt.Errorf("%s: %w", m, err)
		}
		f := p.Figures
		seen[m] = append(seen[m], f)
		say("%s, round %d, %-10s %8.0f requests/s, p50 %.2f ms, p99 %.2f ms, collector %.3f CPUs, %.0f MiB, estimate %.4f, traced %.2f",
			s.Name, round+1, m, f.RPS, f.P50, f.P99, f.CPU, f.RSS, f.Overhead, f.Traced)
		return p, nil
	}
	before, err := one(0, Bare)
	if err != nil {
		return err
	}
	for round := range s.Rounds {
		modes := []Mode{Watch, Burst}
		if round%2 == 1 {
			slices.Reverse(modes)
		}
		if round < comparisons {
			modes = append(modes, Continuous)
		}
		for _, m := range modes {
			watched, err := one(round, m)
			if err != nil {
				return err
			}
			after, err := one(round, Bare)
			if err != nil {
				return err
			}
			losses[m] = append(losses[m], lost(before, watched, after)...)
			before = after
		}
	}
	s.Modes, s.Loss, s.All = map[Mode]Figures{}, map[Mode]Loss{}, map[Mode][]float64{}
	for m, figures := range seen {
		s.Modes[m] = medians(figures)
		for _, f := range figures {
			s.All[m] = append(s.All[m], f.RPS)
		}
	}
	for m, values := range losses {
		s.Loss[m] = newLoss(values)
	}
	return nil
}

func scenarioOf(name string) (scenario.Scenario, error) {
	for _, s := range Servers() {
		if s.Name != name {
			continue
		}
		all := scenario.All()
		if i := slices.IndexFunc(all, func(sc scenario.Scenario) bool { return sc.Name == s.Scenario }); i >= 0 {
			return all[i], nil
		}
	}
	return scenario.Scenario{}, fmt.Errorf("no server is named %q", name)
}

// phase is one time in one mode.
type phase struct {
	Figures
	windows []float64 // requests per second of each
}

func measure(ctx context.Context, o runner.Options, l *load.Load, m Mode, env ...string) (p phase, err error) {
	if m == Bare {
		return measureWith(ctx, nil, l, m)
	}
	a, err := startAgent(ctx, o, m, env...)
	if err != nil {
		return p, err
	}
	p, err = measureWith(ctx, a, l, m)
	return p, errors.Join(err, a.Stop())
}

// measureWith measures beside an agent that runs already, or none.
func measureWith(ctx context.Context, a *agent.Agent, l *load.Load, m Mode) (p phase, err error) {
	n := bareWindows
	if a != nil {
		n = windows
	}
	if err := pause(ctx, m.warm()); err != nil {
		return p, err
	}
	samples := func() (float64, error) { return 0, nil }
	if m == Watch {
		var stop func() error
		if samples, stop, err = timeSamples(); err != nil {
			return p, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	begun, err := look(ctx, a)
	if err != nil {
		return p, err
	}
	var seen []Figures
	l.Take()
	for range n {
		if err := pause(ctx, window); err != nil {
			return p, err
		}
		figures := l.Take()
		if figures.Failures > 0 {
			return p, fmt.Errorf("%d requests failed: %w", figures.Failures, figures.LastError)
		}
		seen = append(seen, Figures{RPS: figures.PerSecond, P50: ms(figures.Median), P99: ms(figures.P99)})
		p.windows = append(p.windows, figures.PerSecond)
	}
	p.Figures = medians(seen)
	ended, err := look(ctx, a)
	p.between(begun, ended)
	took, err2 := samples()
	p.Sampling = took / ended.at.Sub(begun.at).Seconds()
	return p, errors.Join(err, err2)
}

// startAgent starts the shipped agent in a mode.
func startAgent(ctx context.Context, o runner.Options, m Mode, env ...string) (*agent.Agent, error) {
	out := filepath.Join(o.Out, "bench")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	return agent.Start(ctx, agent.Config{Binary: o.Binary, File: o.Config, Overlays: o.Overlays, Out: out, Env: append(env, "PERFSCOPE_MODE="+string(m))})
}
