package bench

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
)

// Figures are those of one server in one mode.
type Figures struct {
	RPS float64 `json:"rps"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// CPU is that of the collector, in CPUs, of the CPUs there are; RSS its memory.
	CPU  float64 `json:"collector_cpus,omitempty"`
	CPUs int     `json:"cpus"`
	RSS  float64 `json:"collector_rss_mib,omitempty"`
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
	// Sampling is what the samples of the processors take in the kernel, in
	// CPUs; only measured without hooks, whose every run it would tax.
	Sampling float64 `json:"sampling_cpus,omitempty"`
	// Contexts is how many trace contexts it was told per second.
	Contexts float64 `json:"trace_contexts_per_s,omitempty"`
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
	f.CPUs = runtime.NumCPU()
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
	cpus := 0
	if len(all) > 0 {
		cpus = all[0].CPUs
	}
	return Figures{
		CPUs: cpus,
		RPS:  of(func(f Figures) float64 { return f.RPS }), P50: of(func(f Figures) float64 { return f.P50 }),
		P99: of(func(f Figures) float64 { return f.P99 }), CPU: of(func(f Figures) float64 { return f.CPU }),
		RSS: of(func(f Figures) float64 { return f.RSS }), Overhead: of(func(f Figures) float64 { return f.Overhead }),
		Traced: of(func(f Figures) float64 { return f.Traced }), Busy: of(func(f Figures) float64 { return f.Busy }), Lost: of(func(f Figures) float64 { return f.Lost }),
		Events: of(func(f Figures) float64 { return f.Events }), NSPerEvent: of(func(f Figures) float64 { return f.NSPerEvent }),
		Contexts: of(func(f Figures) float64 { return f.Contexts }), Sampling: of(func(f Figures) float64 { return f.Sampling }),
	}
}
