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
	"strconv"
	"strings"
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
	// windows of window each are measured: the load keeps only so many
	// latencies, and one that something else disturbs is seen.
	windows, window = 3, time.Second
	// comparisons is in how many rounds the mode is measured that is there to
	// compare with: its loss is several times the noise of one round.
	comparisons = 3
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

// Figures are those of one server in one mode.
type Figures struct {
	RPS float64 `json:"rps"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// CPU is that of the collector, in CPUs; RSS its memory.
	CPU float64 `json:"collector_cpus,omitempty"`
	RSS float64 `json:"collector_rss_mib,omitempty"`
	// Overhead is what the collector says it costs the host, Traced the share
	// of the time in which it recorded calls.
	Overhead float64 `json:"overhead_estimate,omitempty"`
	Traced   float64 `json:"traced,omitempty"`
	Lost     float64 `json:"events_dropped,omitempty"`
	// Busy is how many processors of the host were busy, whoever with.
	Busy float64 `json:"busy_cpus"`
	// Events is what it received per second, NSPerEvent its CPU time for each.
	Events     float64 `json:"events_per_s,omitempty"`
	NSPerEvent float64 `json:"ns_per_event,omitempty"`
	// Contexts is how many trace contexts it was told per second.
	Contexts float64 `json:"trace_contexts_per_s,omitempty"`
}

// Server is the result of one server: a median over the rounds for each mode,
// and what each lost of the bare throughput of the same round, in percent.
type Server struct {
	Name    string             `json:"name"`
	Version string             `json:"version"`
	Rounds  int                `json:"rounds"`
	Modes   map[Mode]Figures   `json:"modes"`
	Loss    map[Mode]float64   `json:"loss_percent"`
	All     map[Mode][]float64 `json:"rps_of_each_round"`
	// Half is under half of the load that the bare server could take, once.
	Half map[Mode]Figures `json:"half_load"`
}

// MeasureServer saturates a server in each of the modes, rounds times.
func MeasureServer(ctx context.Context, o runner.Options, name string, rounds int, modes []Mode, say func(string, ...any)) (result *Server, err error) {
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
	result = &Server{Name: name, Version: work.Server.Version, Rounds: rounds, Modes: map[Mode]Figures{}, Loss: map[Mode]float64{}, All: map[Mode][]float64{}}
	seen := map[Mode][]Figures{}
	losses := map[Mode][]float64{}
	for round := range rounds {
		for i := range modes {
			m := modes[(i+round)%len(modes)] // none is always the last
			if m == Continuous && round >= comparisons {
				continue
			}
			f, err := measure(ctx, o, l, m)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", name, m, err)
			}
			say("%s, round %d, %-10s %8.0f requests/s, p50 %.2f ms, p99 %.2f ms, collector %.3f CPUs, %.0f MiB, estimate %.4f, traced %.2f",
				name, round+1, m, f.RPS, f.P50, f.P99, f.CPU, f.RSS, f.Overhead, f.Traced)
			seen[m] = append(seen[m], f)
			result.All[m] = append(result.All[m], f.RPS)
		}
		bare := seen[Bare][round].RPS
		for _, m := range modes {
			if round < len(seen[m]) {
				losses[m] = append(losses[m], 100*(bare-seen[m][round].RPS)/bare)
			}
		}
	}
	for _, m := range modes {
		result.Modes[m] = medians(seen[m])
		result.Loss[m] = median(losses[m])
	}
	l.SetRate(result.Modes[Bare].RPS / 2)
	result.Half = map[Mode]Figures{}
	for _, m := range modes {
		if m == Watch {
			continue // what it adds is within the noise of one measurement
		}
		f, err := measure(ctx, o, l, m)
		if err != nil {
			return nil, fmt.Errorf("%s, %s, half load: %w", name, m, err)
		}
		say("%s, half load, %-10s %8.0f requests/s, p50 %.2f ms, p99 %.2f ms, %.2f CPUs busy, collector %.3f", name, m, f.RPS, f.P50, f.P99, f.Busy, f.CPU)
		result.Half[m] = f
	}
	return result, nil
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

func measure(ctx context.Context, o runner.Options, l *load.Load, m Mode, env ...string) (f Figures, err error) {
	var a *agent.Agent
	if m != Bare {
		if a, err = startAgent(ctx, o, m, env...); err != nil {
			return f, err
		}
		defer func() { err = errors.Join(err, a.Stop()) }()
	}
	if err := pause(ctx, m.warm()); err != nil {
		return f, err
	}
	begun, err := look(ctx, a)
	if err != nil {
		return f, err
	}
	var seen []Figures
	l.Take()
	for range windows {
		if err := pause(ctx, window); err != nil {
			return f, err
		}
		figures := l.Take()
		if figures.Failures > 0 {
			return f, fmt.Errorf("%d requests failed: %w", figures.Failures, figures.LastError)
		}
		seen = append(seen, Figures{RPS: figures.PerSecond, P50: ms(figures.Median), P99: ms(figures.P99)})
	}
	f = medians(seen)
	ended, err := look(ctx, a)
	f.between(begun, ended)
	return f, err
}

// startAgent starts the shipped agent in a mode.
func startAgent(ctx context.Context, o runner.Options, m Mode, env ...string) (*agent.Agent, error) {
	out := filepath.Join(o.Out, "bench")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	return agent.Start(ctx, agent.Config{Binary: o.Binary, File: o.Config, Out: out, Env: append(env, "PERFSCOPE_MODE="+string(m))})
}

// glance is the collector's metrics and the time the host's processors were
// busy, in seconds, at an instant.
type glance struct {
	at      time.Time
	metrics string
	busy    float64
}

// look takes a glance; without a collector when a is nil.
func look(ctx context.Context, a *agent.Agent) (g glance, err error) {
	if a != nil {
		g.metrics, err = a.Metrics(ctx)
	}
	stat, err2 := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(first) {
		// The label, and idle and iowait, of which guests' time is no part.
		if ticks, err := strconv.ParseFloat(field, 64); err == nil && i != 4 && i != 5 && i < 9 {
			g.busy += ticks / 100
		}
	}
	g.at = time.Now()
	return g, errors.Join(err, err2)
}

// between fills what the collector and the host say of the time between.
func (f *Figures) between(begun, ended glance) {
	took := ended.at.Sub(begun.at).Seconds()
	grown := func(name string) float64 {
		return (agent.Total(ended.metrics, name) - agent.Total(begun.metrics, name)) / took
	}
	f.Busy = (ended.busy - begun.busy) / took
	f.CPU = grown("process_cpu_seconds")
	f.Events = grown("receiver_syscall_events")
	if f.Events > 0 {
		f.NSPerEvent = f.CPU * 1e9 / f.Events
	}
	f.Contexts = grown("receiver_syscall_trace_contexts")
	f.RSS = agent.Total(ended.metrics, "process_memory_rss") / (1 << 20)
	f.Overhead = agent.Total(ended.metrics, "receiver_syscall_overhead")
	f.Traced = agent.Total(ended.metrics, "receiver_syscall_traced")
	f.Lost = grown("receiver_syscall_events_dropped") * took
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func medians(all []Figures) Figures {
	of := func(get func(Figures) float64) float64 {
		var values []float64
		for _, f := range all {
			values = append(values, get(f))
		}
		return median(values)
	}
	return Figures{
		RPS: of(func(f Figures) float64 { return f.RPS }), P50: of(func(f Figures) float64 { return f.P50 }),
		P99: of(func(f Figures) float64 { return f.P99 }), CPU: of(func(f Figures) float64 { return f.CPU }),
		RSS: of(func(f Figures) float64 { return f.RSS }), Overhead: of(func(f Figures) float64 { return f.Overhead }),
		Traced: of(func(f Figures) float64 { return f.Traced }), Busy: of(func(f Figures) float64 { return f.Busy }), Lost: of(func(f Figures) float64 { return f.Lost }),
		Events: of(func(f Figures) float64 { return f.Events }), NSPerEvent: of(func(f Figures) float64 { return f.NSPerEvent }),
		Contexts: of(func(f Figures) float64 { return f.Contexts }),
	}
}
