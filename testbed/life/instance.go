package life

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// maxPIDs bounds the processes known of an instance that starts one per
// connection.
const maxPIDs = 8192

// instance is a Member that runs.
type instance struct {
	Member
	work scenario.Workload
	load *load.Load
	rate float64

	// changing is held while its process may be another a moment later, for as
	// long as a restart takes; it guards work.Server.Process, deaths and cpu.
	changing sync.Mutex
	deaths   int
	cpu      usage

	// mu guards what follows, never for long.
	mu sync.Mutex
	// left is set for good.
	left bool
	// since is when it came up, zero while it is down, up how long it was
	// before.
	since time.Time
	up    time.Duration
	pids  map[int]bool

	figures struct{ requests, failures, unexpected int }
	lastErr error
	// disturbed is until when requests may fail, in Unix nanoseconds.
	disturbed atomic.Int64
	clerk     context.CancelFunc
	clerks    sync.WaitGroup
}

// start brings a member up, with its load.
func start(ctx context.Context, m Member) (*instance, error) {
	work, err := m.Scenario.Start(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", m.Name, m.Scenario.Name, err)
	}
	in := &instance{Member: m, work: work, rate: m.rate(work.Load.Rate), pids: map[int]bool{work.Server.PID(): true}}
	cfg := work.Load
	cfg.Rate = in.rate
	if !m.Exact {
		cfg.Workers = min(cfg.Workers, connections)
	}
	in.work.Load = cfg
	in.load = load.Start(ctx, cfg)
	ctx, in.clerk = context.WithCancel(ctx)
	if report := kinds[m.Scenario.Server].report; report != nil && !m.Exact {
		in.clerks.Go(func() {
			for pause(ctx, 20*time.Second) {
				_ = report(ctx, work.Server) // it may be down
			}
		})
	}
	return in, nil
}

// answers waits for the first answer of a server that has just come up.
func (in *instance) answers(ctx context.Context) error {
	const patience = 40 * time.Second
	deadline := time.Now().Add(patience)
	failed := fmt.Errorf("no answer in %s", patience)
	for pause(ctx, 200*time.Millisecond) {
		f := in.load.Take()
		in.figures.requests += f.Requests
		if f.LastError != nil {
			failed = f.LastError
		}
		switch {
		case f.Requests > 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s (%s) does not answer: %w", in.Name, in.Scenario.Name, failed)
		}
	}
	return ctx.Err()
}

// stop ends everything of it.
func (in *instance) stop() error {
	in.clerk()
	in.load.Stop()
	in.clerks.Wait()
	in.changing.Lock()
	defer in.changing.Unlock()
	in.down(time.Now())
	err := in.work.Server.Stop()
	if in.work.Stop != nil {
		in.work.Stop()
	}
	return err
}

// began and down keep the time that it was up, for as long as a collector
// watches.
func (in *instance) began(at time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.since = at
}

func (in *instance) down(at time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.since.IsZero() {
		in.up += at.Sub(in.since)
		in.since = time.Time{}
	}
}

// disturb says that requests may fail for a while.
func (in *instance) disturb(d time.Duration) {
	in.disturbed.Store(max(in.disturbed.Load(), time.Now().Add(d).UnixNano()))
}

// restart has a new process take the place of the old one.
func (in *instance) restart(ctx context.Context, change func(*proc.Options)) error {
	in.changing.Lock()
	defer in.changing.Unlock()
	in.disturb(time.Minute)
	in.down(time.Now())
	err := in.work.Server.Restart(ctx, change)
	in.began(time.Now())
	in.note([]int{in.work.Server.PID()})
	return err
}

// note keeps the processes of an instance.
func (in *instance) note(pids []int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, pid := range pids {
		if len(in.pids) < maxPIDs {
			in.pids[pid] = true
		}
	}
}

// knows reports whether a process is or was one of the instance's.
func (in *instance) knows(pid int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pids[pid]
}

// state reports whether it was left out for good, and whether it is up.
func (in *instance) state() (left, up bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.left, !in.since.IsZero()
}

// leave leaves it out.
func (in *instance) leave() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.left = true
}

// take adds what the load saw since the last time, and gives an error when more
// than a tenth of it failed while nothing was going on, or nothing was answered.
func (in *instance) take(disturbed bool) error {
	f := in.load.Take()
	in.figures.requests += f.Requests
	in.figures.failures += f.Failures
	if f.LastError != nil {
		in.lastErr = f.LastError
	}
	switch {
	case disturbed:
		return nil
	case f.Requests == 0 && f.Failures == 0:
		return fmt.Errorf("no answer in %s", tellEvery)
	case f.Failures <= f.Requests/10:
		return nil
	}
	in.figures.unexpected += f.Failures
	return fmt.Errorf("%d requests answered, %d failed: %w", f.Requests, f.Failures, f.LastError)
}
