package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/perfscope/perfscope/testbed/runner"
)

// Scale is what the collector takes for so many calls of so many threads.
type Scale struct {
	// Services share the Threads and Calls (per second) evenly.
	Services int  `json:"services"`
	Threads  int  `json:"threads"`
	Calls    int  `json:"calls_per_s"`
	Mode     Mode `json:"mode"`
	// GC is the share of the collector's CPU time that went into garbage
	// collection.
	GC float64 `json:"gc_share"`
	Figures
}

// scales are the cases of user space's cost, and those of many services.
func scales() []Scale {
	return []Scale{
		{Services: 1, Threads: 16, Calls: 100_000, Mode: Continuous},
		{Services: 1, Threads: 16, Calls: 300_000, Mode: Continuous},
		{Services: 1, Threads: 16, Calls: 1_000_000, Mode: Continuous},
		{Services: 1, Threads: 2000, Calls: 300_000, Mode: Continuous},
		{Services: 100, Threads: 2000, Calls: 100_000, Mode: Watch},
		{Services: 100, Threads: 2000, Calls: 100_000, Mode: Burst},
		{Services: 100, Threads: 2000, Calls: 100_000, Mode: Continuous},
	}
}

const (
	// scaleWarm is the time until the memory has its level: two hops.
	scaleWarm = 11 * time.Second
	// scaleFor is measured.
	scaleFor = 10 * time.Second
)

// MeasureScales measures all cases: services that do nothing but make cheap
// calls at a set pace, with the shipped collector beside them.
func MeasureScales(ctx context.Context, o runner.Options, say func(string, ...any)) ([]Scale, error) {
	all := scales()
	for i := range all {
		s := &all[i]
		if err := s.measure(ctx, o); err != nil {
			return nil, fmt.Errorf("%d services, %d threads, %d calls/s: %w", s.Services, s.Threads, s.Calls, err)
		}
		say("%3d services, %4d threads, %7d calls/s, %-10s %8.0f events/s, %5.0f ns each, collector %.3f CPUs, %.0f MiB, GC %.0f %%, %.0f lost",
			s.Services, s.Threads, s.Calls, s.Mode, s.Events, s.NSPerEvent, s.CPU, s.RSS, 100*s.GC, s.Lost)
	}
	return all, nil
}

func (s *Scale) measure(ctx context.Context, o runner.Options) (err error) {
	for i := range s.Services {
		l, err := startPaced(fmt.Sprintf("bench-%d", i), s.Calls/s.Services, s.Threads/s.Services)
		if err != nil {
			return err
		}
		defer l.stop()
	}
	launched := time.Now()
	a, err := startAgent(ctx, o, s.Mode, "GODEBUG=gctrace=1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	if err := pause(ctx, max(scaleWarm, s.Mode.warm())); err != nil {
		return err
	}
	begun, err := look(ctx, a)
	if err != nil {
		return err
	}
	if err := pause(ctx, scaleFor); err != nil {
		return err
	}
	ended, err := look(ctx, a)
	if err != nil {
		return err
	}
	s.between(begun, ended)
	log, err := os.ReadFile(a.Log)
	if err != nil {
		return err
	}
	collecting := gcTime(string(log), begun.at.Sub(launched), ended.at.Sub(launched))
	s.GC = collecting.Seconds() / (s.CPU * ended.at.Sub(begun.at).Seconds())
	return nil
}

// gcLine is what GODEBUG=gctrace=1 prints of a collection: when it was, since
// the program began, and the CPU time of its phases, in milliseconds.
var gcLine = regexp.MustCompile(`(?m)^gc \d+ @([\d.]+)s \d+%: \S+ ms clock, ([\d.]+)\+([\d.]+)/([\d.]+)/([\d.]+)\+([\d.]+) ms cpu`)

// gcTime sums the CPU time of the collections between two times of the
// program's life.
func gcTime(log string, from, to time.Duration) time.Duration {
	sum := 0.0
	for _, m := range gcLine.FindAllStringSubmatch(log, -1) {
		at, _ := strconv.ParseFloat(m[1], 64)
		if at < from.Seconds() || at >= to.Seconds() {
			continue
		}
		for _, phase := range m[2:] {
			ms, _ := strconv.ParseFloat(phase, 64)
			sum += ms
		}
	}
	return time.Duration(sum * 1e6)
}
