package life

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/runner"
)

// Options say what a run is made of.
type Options struct {
	runner.Options
	// Name is that of the directory in Options.Out and of the scenario in the
	// labels.
	Name    string
	Seed    uint64
	Members []Member
	// Plan is what happens in Length, which begins when all run.
	Plan   []Happening
	Length time.Duration
	// Most bounds the recording, bytes: the run ends there. Zero is no bound.
	Most int64
}

const (
	// startsAtOnce is how many servers start side by side.
	startsAtOnce = 3
	censusEvery  = 2 * time.Second
	tellEvery    = 30 * time.Second
	// maxDeaths is how often a server may end by itself before it is left out.
	maxDeaths = 3
)

// run is a fleet that runs, and what watches it.
type run struct {
	o       Options
	out     string
	begun   time.Time
	journal *journal

	instances []*instance
	// missing are those that did not start, with why.
	missing []string

	collector *agent.Agent
	recording string
	started   time.Time // of the collector
	alarms    []Alarm
	// unknown are warnings that do not say whose they are, others counts those
	// about services that are not of the fleet.
	unknown []agent.Anomaly
	others  int
	used    usages
	repair  sync.WaitGroup
}

// Run runs a fleet and gives what came of it. Whatever happens, everything it
// started has ended when it returns; when ctx ends, the run does, and its
// result is as good as the time it had.
func Run(ctx context.Context, o Options) (Summary, error) {
	r := &run{o: o, out: filepath.Join(o.Out, o.Name), begun: time.Now()}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return Summary{}, err
	}
	var err error
	if r.journal, err = newJournal(filepath.Join(r.out, "life.jsonl")); err != nil {
		return Summary{}, err
	}
	living, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	err = r.startAll(ctx, living, cancel)
	if err == nil {
		err = r.watch(ctx, living)
	}
	err = errors.Join(err, r.stopAll(), r.journal.close())
	if r.started.IsZero() {
		return Summary{}, err
	}
	summary, failed := r.conclude()
	return summary, errors.Join(err, failed)
}

func (r *run) say(format string, args ...any) {
	fmt.Printf("[%5.0fs] %s\n", time.Since(r.begun).Seconds(), fmt.Sprintf(format, args...))
}

// startAll brings the fleet up, a few servers at a time. One that does not start
// or answer is left out, and said to be.
func (r *run) startAll(ctx, living context.Context, cancel context.CancelFunc) error {
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	var mu sync.Mutex
	var starting sync.WaitGroup
	turns := make(chan struct{}, startsAtOnce)
	for _, m := range r.o.Members {
		turns <- struct{}{}
		starting.Go(func() {
			defer func() { <-turns }()
			if living.Err() != nil {
				return
			}
			in, err := start(living, m)
			if err == nil {
				if err = in.answers(living); err != nil {
					err = errors.Join(err, in.stop())
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.missing = append(r.missing, err.Error())
				r.say("LEFT OUT  %v", err)
				return
			}
			r.instances = append(r.instances, in)
			r.say("%d of %d: %s (%s, %s), pid %d: %.1f requests per second", len(r.instances), len(r.o.Members),
				in.Name, in.work.Server.Version, in.Scenario.Name, in.work.Server.PID(), in.rate)
		})
	}
	starting.Wait()
	slices.SortFunc(r.instances, func(a, b *instance) int { return cmp.Compare(a.Name, b.Name) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(r.instances) == 0 {
		return errors.New("no server runs: see above")
	}
	return nil
}

// watch runs the collector and the plan, until one of them ends.
func (r *run) watch(ctx, living context.Context) (err error) {
	cfg, recording, err := r.o.Agent(r.out)
	if err != nil {
		return err
	}
	if err := removeOlder(r.out); err != nil {
		return err
	}
	if r.collector, err = agent.Start(ctx, cfg); err != nil {
		return err
	}
	r.recording, r.started, r.used.before = recording, time.Now(), ownCPU()
	for _, in := range r.instances {
		in.began(r.started)
		in.load.Take() // what it saw before is of no interest
	}
	r.say("collector started with %s, pid %d: %d servers of %d kinds, %d happenings planned in %s",
		filepath.Base(r.o.Config), r.collector.PID(), len(r.instances), kindsOfServer(r.instances), len(r.o.Plan), r.o.Length)

	reading, stopReading := context.WithCancel(living)
	seen, lost := make(chan agent.Anomaly, 1024), make(chan error, 1)
	go func() {
		lost <- agent.Follow(reading, r.collector.AnomalyFile, func(a agent.Anomaly) {
			select {
			case seen <- a:
			case <-reading.Done():
			}
		})
	}()
	defer stopReading()

	happening, stopHappening := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		perform(happening, r.o.Plan, func(ctx context.Context, h Happening) { r.happen(ctx, living, h) })
	}()
	defer func() {
		stopHappening()
		<-over
		r.repair.Wait()
	}()
	return r.loop(ctx, living, seen, lost)
}

// loop takes note of all that comes until the time is over.
func (r *run) loop(ctx, living context.Context, seen <-chan agent.Anomaly, lost <-chan error) error {
	over := time.NewTimer(r.o.Length)
	defer over.Stop()
	census, tell := time.NewTicker(censusEvery), time.NewTicker(tellEvery)
	defer census.Stop()
	defer tell.Stop()
	for {
		select {
		case <-ctx.Done():
			r.say("interrupted: everything is stopped")
			return nil
		case <-over.C:
			return nil
		case <-r.collector.Done():
			return fmt.Errorf("the collector ended: %w (see %s)", r.collector.Err(), r.collector.Log)
		case err := <-lost:
			return fmt.Errorf("the collector's output can't be read: %w", err)
		case a := <-seen:
			r.note(a)
		case <-census.C:
			if err := r.census(living); err != nil {
				return err
			}
			if size := recorded(r.out); r.o.Most > 0 && size >= r.o.Most {
				r.say("the recording has %d MB, its bound: the run ends here", size>>20)
				return nil
			}
		case <-tell.C:
			r.tell()
		}
	}
}

// happen does what a happening says and writes it down.
func (r *run) happen(ctx, living context.Context, h Happening) {
	if h.OfMachine() {
		id := r.journal.begin(Entry{Kind: h.Kind, Factor: h.Factor})
		r.journal.end(id, neighbour(ctx, h))
		return
	}
	if h.Kind == Rolling {
		id := r.journal.begin(Entry{Kind: h.Kind, Service: h.Instance})
		r.journal.end(id, r.rolling(ctx, living, h))
		return
	}
	i := slices.IndexFunc(r.instances, func(in *instance) bool { return in.Name == h.Instance })
	if i < 0 {
		return // it is said to be left out
	}
	in := r.instances[i]
	if left, _ := in.state(); left {
		return
	}
	id := r.journal.begin(Entry{Kind: h.Kind, Instance: in.Name, Service: in.Scenario.Server, Factor: h.Factor})
	switch h.Kind {
	case Restart, Deploy: // never half done
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(living, h.For+grace)
		defer cancel()
	}
	err := in.happen(ctx, h)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && living.Err() == nil {
		err = fmt.Errorf("cut off: %w", err)
	}
	r.journal.end(id, err)
	if err != nil {
		r.say("%s: %v", describe(h), err)
	}
}

// rolling restarts every instance of a service, spread over the time it has.
func (r *run) rolling(ctx, living context.Context, h Happening) (err error) {
	var all []*instance
	for _, in := range r.instances {
		if left, _ := in.state(); in.Scenario.Server == h.Instance && !left {
			all = append(all, in)
		}
	}
	for _, in := range all {
		if ctx.Err() != nil {
			return err
		}
		restarting, cancel := context.WithTimeout(living, grace)
		err = errors.Join(err, in.restart(restarting, nil))
		cancel()
		pause(ctx, h.For/time.Duration(len(all)))
	}
	return err
}

// stopAll ends the collector first, so that it does not see the end of the rest.
func (r *run) stopAll() (err error) {
	if r.collector != nil {
		end := time.Now()
		for _, in := range r.instances {
			in.down(end)
		}
		err = r.collector.Stop()
	}
	failed := make([]error, len(r.instances))
	var stopping sync.WaitGroup
	for i, in := range r.instances {
		stopping.Go(func() { failed[i] = in.stop() })
	}
	stopping.Wait()
	return errors.Join(append(failed, err)...)
}
