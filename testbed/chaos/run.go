package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/proc"
	"github.com/perfscope/perfscope/testbed/recording"
)

// mntDetach is MNT_DETACH of umount2(2).
const mntDetach = 2

// Run runs one fault.
func Run(ctx context.Context, f Fault, o Options) Result {
	r := Result{Fault: f.Name}
	if err := run(ctx, f, o, &r); err != nil {
		r.Error = err.Error()
	}
	return r
}

func run(ctx context.Context, f Fault, o Options, r *Result) (err error) {
	s := &scene{o: o, dir: filepath.Join(o.Out, "chaos", directory(f.Name)), bin: programsDir(o.Root)}
	_ = syscall.Unmount(filepath.Join(s.dir, "hung"), mntDetach) // of a run that was killed
	if err := errors.Join(os.RemoveAll(s.dir), os.MkdirAll(s.dir, 0o755)); err != nil {
		return err
	}
	s.records = filepath.Join(s.dir, "records.bin")
	if f.Before != nil {
		undo, err := f.Before(s)
		if err != nil {
			return err
		}
		defer func() { _ = undo() }()
	}
	if err := s.startAgent(ctx); err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, s.stop())
		}
	}()
	following, end := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer end()
	others.Go(func() { s.watch(following) })
	s.follow = func() {
		file := s.agent.AnomalyFile
		others.Go(func() { _ = agent.Follow(following, file, s.note) })
	}
	s.follow()
	victim, err := s.start("victim", "victim", filepath.Join(s.dir, "victim.dat"))
	if err != nil {
		return err
	}
	if err := wait(ctx, o.Learn); err != nil {
		return err
	}
	if o.Ready != nil {
		if err := o.Ready(); err != nil {
			return err
		}
	}
	counter, err := s.start("count", "count", "4", "50000")
	if err != nil {
		return err
	}
	over, err := f.Begin(ctx, s)
	if err != nil {
		return fmt.Errorf("the fault could not be made: %w", err)
	}
	ended := false
	finish := func() error {
		if ended {
			return nil
		}
		ended = true
		return over()
	}
	defer func() { err = errors.Join(err, finish()) }()
	if err := wait(ctx, 10*time.Second); err != nil {
		return err
	}
	since := time.Now()
	if err := victim.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	for time.Since(since) < cmp.Or(o.FoundWithin, foundWithin) && !r.VictimFound {
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		after, found := s.found(since)
		r.VictimFound, r.FoundAfter = found, after.Seconds()
	}
	select {
	case <-counter.Done():
	case <-time.After(30 * time.Second):
	}
	if err := wait(ctx, 3*time.Second); err != nil {
		return err
	}
	select {
	case <-s.agent.Done():
	default:
		r.Survived = true
	}
	s.mu.Lock()
	r.MaxRSS, r.StalledFor = s.rss, s.stalled
	s.quiet = true
	s.mu.Unlock()
	stopped = true
	err = errors.Join(finish(), s.stop()) // what hangs can be ended only then
	if f.Kills {
		return err
	}
	r.account(s, counter)
	return err
}

// directory is where the files of a fault are.
func directory(fault string) string {
	return strings.NewReplacer(" ", "-", ",", "").Replace(fault)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// account compares the calls that were made with those that were reported.
func (r *Result) account(s *scene, counter *proc.Process) {
	select {
	case <-counter.Done():
	default:
		return
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "count.log"))
	if err != nil {
		return
	}
	r.Made, _ = strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	number, _ := threadtrace.Number("amd64", "getppid")
	err = recording.Read(s.records, func(logs plog.Logs) error {
		for _, rl := range logs.ResourceLogs().All() {
			if name, _ := rl.Resource().Attributes().Get("service.name"); name.AsString() != "count" {
				continue
			}
			for _, sl := range rl.ScopeLogs().All() {
				tracelog.Decode(sl.LogRecords(), tracelog.Handler{
					Batch: func(_ string, b *threadtrace.Batch) {
						for i := range b.Events {
							if e := &b.Events[i]; e.Kind == threadtrace.KindCall && e.Number == number {
								r.Delivered++
							}
						}
					},
					Coverage: func(c *threadtrace.Coverage) {
						for _, n := range c.Dropped {
							r.Counted += int64(n) //nolint:gosec // a count
						}
					},
				})
			}
		}
		return nil
	})
	// What the rings lost is shared out by what was received: the counter may be
	// charged for others' calls, too.
	exact := err == nil && r.Delivered <= r.Made && r.Delivered+r.Counted >= r.Made
	r.LostCounted = &exact
}
