package bench

import (
	"context"
	"errors"
	"time"

	"github.com/perfscope/perfscope/testbed/runner"
)

// Tick is the time of a call in one tenth of a second.
type Tick struct {
	At float64 `json:"at_s"`
	NS float64 `json:"ns"`
}

// MeasureDuty runs the getppid loop beside a collector in mode burst that has
// nothing to watch, and follows the time of a call for some seconds.
func MeasureDuty(ctx context.Context, o runner.Options, length time.Duration) (ticks []Tick, err error) {
	a, err := startAgent(ctx, o, Burst)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.Stop()) }()
	l, err := startLoop("getppid")
	if err != nil {
		return nil, err
	}
	defer l.stop()
	// The loop keeps a processor busy with calls: the budget needs to see them.
	begun := time.Now()
	const tick = 100 * time.Millisecond
	var now []float64
	for next := begun.Add(warmBurst); ; {
		ns, err := l.round()
		if err != nil {
			return nil, err
		}
		if at := time.Now(); at.After(next) {
			if at.Sub(begun) > warmBurst+tick {
				ticks = append(ticks, Tick{At: (at.Sub(begun) - warmBurst).Seconds(), NS: median(now)})
			}
			now = now[:0]
			next = next.Add(tick)
			if time.Duration(len(ticks))*tick >= length {
				return ticks, ctx.Err()
			}
		}
		now = append(now, ns)
	}
}
