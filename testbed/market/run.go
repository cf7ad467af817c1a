package market

import (
	"context"
	"fmt"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
)

// Long enough for the hops that a past needs, for a fault to fill hops of its
// own, and for all services to be back to their habit.
const (
	Learn   = 45 * time.Second
	Observe = 20 * time.Second
	Recover = 16 * time.Second
	// drain is for how long spans are under way: held by the SDK, the agent
	// and the gateway.
	drain = 24 * time.Second
)

// Window is when a fault was on.
type Window struct {
	Fault   Fault
	On, Off time.Time
	// Busy is when, meanwhile, a database served nobody else; empty when each
	// call is slow.
	Busy []stretch
}

type stretch struct{ from, to time.Time }

// Run puts the market under load, learns, and turns the faults on, one after
// the other. Spans and incidents are complete when it returns.
func (m *Market) Run(ctx context.Context, faults []Fault, say func(format string, args ...any)) ([]Window, error) {
	l := load.Start(ctx, m.Load())
	defer l.Stop()
	wait := func(d time.Duration) error { return m.wait(ctx, d) }
	say("learning what is normal for %.0f s", Learn.Seconds())
	if err := wait(Learn); err != nil {
		return nil, err
	}
	if err := report(l, say); err != nil {
		return nil, err
	}
	var windows []Window
	for _, f := range faults {
		say("FAULT  %s: %s", f.Name, f.Say)
		if err := f.Switch(m, true); err != nil {
			return nil, fmt.Errorf("%s could not be turned on: %w", f.Name, err)
		}
		w := Window{Fault: f, On: time.Now()}
		err := wait(Observe)
		w.Off = time.Now()
		if err := f.Switch(m, false); err != nil {
			return nil, fmt.Errorf("%s could not be turned off: %w", f.Name, err)
		}
		if err != nil {
			return nil, err
		}
		w.Busy, m.busy = m.busy, nil
		windows = append(windows, w)
		if err := report(l, say); err != nil {
			return nil, err
		}
		if err := wait(Recover); err != nil {
			return nil, err
		}
		l.Take()
	}
	l.Stop()
	say("waiting for the last spans for %.0f s", drain.Seconds())
	if err := wait(drain); err != nil {
		return nil, err
	}
	return windows, m.StopCollectors()
}

func report(l *load.Load, say func(format string, args ...any)) error {
	f := l.Take()
	if f.Requests == 0 || f.Failures > f.Requests/10 {
		return fmt.Errorf("the load failed: %d requests answered, %d failed: %w", f.Requests, f.Failures, f.LastError)
	}
	say("       %.0f requests per second, a request takes %s in the median, %s at the 99th percentile",
		f.PerSecond, f.Median.Round(10*time.Microsecond), f.P99.Round(10*time.Microsecond))
	return nil
}

// wait waits; something that ends meanwhile is an error.
func (m *Market) wait(ctx context.Context, d time.Duration) error {
	deadline := time.Now().Add(d)
	for {
		if err := m.Alive(); err != nil {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(left, time.Second)):
		}
	}
}
