package bench

import (
	"context"
	"errors"
	"time"

	"github.com/perfscope/perfscope/internal/budget"
	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	// attachedPairs phases with the hooks are compared with as many without. Such
	// a phase is shorter than what else disturbs a machine, and a hundred times
	// longer than attaching takes.
	attachedPairs, attachedPhase = 80, 250 * time.Millisecond
)

// Attached is what a server loses while its calls are recorded, and what the
// budget of the shipped agent reckons with for the same time. Nothing but the
// hooks and the reading of the rings is there: no watch, no inference.
type Attached struct {
	// Loss is what is lost of the throughput without hooks.
	Loss
	// Reckoned is the budget's estimate, in percent of the time of the
	// processors that were busy.
	Reckoned float64 `json:"reckoned_percent"`
	// Calls is how many calls a second went through the hooks.
	Calls float64 `json:"calls_per_s"`
}

// measureAttached attaches the hooks for every other phase.
func measureAttached(ctx context.Context, l *load.Load, root int) (a *Attached, err error) {
	t, err := tracer(func(*capture.Config) {})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	for _, pid := range append([]int{root}, server.Descendants(root)...) {
		if err := t.AddProcess(int32(pid)); err != nil { //nolint:gosec // a process id
			return nil, err
		}
	}
	phase := func() (float64, error) {
		l.Take()
		err := pause(ctx, attachedPhase)
		f := l.Take()
		if f.Failures > 0 {
			err = errors.Join(err, f.LastError)
		}
		return f.PerSecond, err
	}
	var losses []float64
	begun, err := look(ctx, nil)
	if err != nil {
		return nil, err
	}
	first := t.Stats()
	for i := range attachedPairs {
		var rps [2]float64
		for j := range rps {
			on := (i+j)%2 == 1 // which comes first changes
			if on {
				err = t.Attach()
			}
			if err != nil {
				return nil, err
			}
			var n float64
			n, err = phase()
			if on {
				err = errors.Join(err, t.Detach())
				rps[1] = n
			} else {
				rps[0] = n
			}
			if err != nil {
				return nil, err
			}
		}
		losses = append(losses, 100*(rps[0]-rps[1])/rps[0])
	}
	ended, err := look(ctx, nil)
	if err != nil {
		return nil, err
	}
	last := t.Stats()
	busy := (ended.busy - begun.busy) / ended.at.Sub(begun.at).Seconds()
	seconds := (last.Attached - first.Attached).Seconds()
	recorded, passed := float64(last.Produced-first.Produced), float64(last.Passed-first.Passed)
	usage := budget.Usage{
		Tax: last.Tax, Passed: last.Passed - first.Passed, Recorded: last.Produced - first.Produced,
		Woken: last.Woken - first.Woken, Stacks: last.Stacks - first.Stacks,
	}
	a = &Attached{Reckoned: 100 * usage.Hooks().Seconds() / seconds / busy, Calls: (recorded + passed) / seconds}
	a.Loss = newLoss(losses)
	return a, nil
}
