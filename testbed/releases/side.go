package releases

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/server"
)

// side is one build that runs under its load.
type side struct {
	name   string
	server *server.Server
	load   *load.Load
	// cpu is what it had used when measuring began.
	cpu time.Duration
}

func (s *side) stop() {
	s.load.Stop()
	_ = s.server.Stop() // what it wrote is of no interest
	server.RemovePerfMap(s.server)
}

// start starts both builds of each pair, the old one first. What was started is returned
// with an error, too.
func start(ctx context.Context, pairs []Pair, rate float64) (sides []*side, err error) {
	for _, p := range pairs {
		for i, build := range []Build{p.Before, p.After} {
			name := p.Name + []string{"-before", "-after"}[i]
			s, err := build(ctx, name)
			if err != nil {
				return sides, fmt.Errorf("%s: %w", name, err)
			}
			sides = append(sides, &side{name: name, server: s, load: load.Start(ctx, p.Load(s, rate))})
		}
	}
	return sides, nil
}

// begin has what each side costs be measured from now on.
func begin(sides []*side) error {
	used, err := proc.ReadTable()
	if err != nil {
		return err
	}
	for _, s := range sides {
		s.load.Take()
		s.cpu = used.CPU([]int{s.server.PID()})
	}
	return nil
}

// measure returns the CPU time of a request of each side since begin, in seconds. A side
// whose requests failed is an error.
func measure(sides []*side) (costs []float64, err error) {
	used, err := proc.ReadTable()
	if err != nil {
		return nil, err
	}
	for _, s := range sides {
		f := s.load.Take()
		if f.Requests == 0 || f.Failures > f.Requests/100 {
			err = errors.Join(err, fmt.Errorf("%s: %d of %d requests failed: %w", s.name, f.Failures, f.Requests+f.Failures, f.LastError))
			continue
		}
		costs = append(costs, (used.CPU([]int{s.server.PID()})-s.cpu).Seconds()/float64(f.Requests))
	}
	return costs, err
}

// Prepare builds and installs what some pairs need, which Run would do while others wait.
func Prepare(ctx context.Context, pairs []Pair) error {
	for i := range pairs {
		sides, err := start(ctx, pairs[i:i+1], 0)
		for _, s := range sides {
			s.stop()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Measure has both builds of some pairs run without PerfScope, and returns the relative
// change of the CPU time of a request of each.
func Measure(ctx context.Context, pairs []Pair, rate float64, length time.Duration) (changes []float64, err error) {
	sides, err := start(ctx, pairs, rate)
	defer func() {
		for _, s := range sides {
			s.stop()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(pause(ctx, warm), begin(sides), pause(ctx, length)); err != nil {
		return nil, err
	}
	costs, err := measure(sides)
	if err != nil {
		return nil, err
	}
	for i := range pairs {
		changes = append(changes, costs[2*i+1]/costs[2*i]-1)
	}
	return changes, nil
}

// warm is how long a program is left alone before it is measured.
const warm = 3 * time.Second
