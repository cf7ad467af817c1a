package life

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/scenario"
)

// began and ended are what a plan had done.
type done struct {
	mu           sync.Mutex
	began, ended map[Happening]time.Duration
	now, most    int
}

func (d *done) do(start time.Time) func(context.Context, Happening) {
	return func(ctx context.Context, h Happening) {
		d.mu.Lock()
		d.began[h] = time.Since(start)
		d.now++
		d.most = max(d.most, d.now)
		d.mu.Unlock()
		pause(ctx, h.For)
		d.mu.Lock()
		d.ended[h] = time.Since(start)
		d.now--
		d.mu.Unlock()
	}
}

func TestEveryHappeningBeginsAtItsTimeAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := Plan(3, Fleet(3, 66), 30*time.Minute)
		d := done{began: map[Happening]time.Duration{}, ended: map[Happening]time.Duration{}}
		perform(t.Context(), plan, d.do(time.Now()))
		if len(d.began) != len(plan) || len(d.ended) != len(plan) || d.now != 0 || d.most < 3 {
			t.Errorf("%d planned, %d begun, %d ended, %d at once", len(plan), len(d.began), len(d.ended), d.most)
		}
		for h, at := range d.began {
			if at != h.At || d.ended[h] != h.End() {
				t.Errorf("%+v was from %s to %s", h, at, d.ended[h])
			}
		}
	})
}

func TestAnInterruptionEndsAllThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plan := Plan(3, Fleet(3, 66), 30*time.Minute)
		d := done{began: map[Happening]time.Duration{}, ended: map[Happening]time.Duration{}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		perform(ctx, plan, d.do(start))
		if over := time.Since(start); over != 10*time.Minute {
			t.Errorf("it took %s to end", over)
		}
		if n := len(d.began); n == 0 || n == len(plan) || len(d.ended) != n || d.now != 0 {
			t.Errorf("%d begun, %d ended", len(d.began), len(d.ended))
		}
	})
}

// TestAHappeningThatHangsIsCutOff holds perform to the time it has.
func TestAHappeningThatHangsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		perform(t.Context(), []Happening{{At: time.Second, For: time.Second}}, func(ctx context.Context, _ Happening) { <-ctx.Done() })
		if over := time.Since(start); over != 2*time.Second+grace {
			t.Errorf("it took %s", over)
		}
	})
}

type countingClient struct{ n *atomic.Int64 }

func (c countingClient) Request(*rand.Rand) error { c.n.Add(1); return nil }
func (c countingClient) Close() error             { return nil }

// TestLoadsAreAsBefore holds what changes a load to taking it back, also when it
// is interrupted.
func TestLoadsAreAsBefore(t *testing.T) {
	for _, h := range []Happening{
		{Kind: LoadStep, For: time.Minute, Factor: 4},
		{Kind: LoadRamp, For: time.Minute, Factor: 4},
		{Kind: Night, For: time.Minute, Factor: 0},
		{Kind: Batch, For: time.Minute, Factor: 2},
	} {
		for _, patience := range []time.Duration{time.Hour, 30 * time.Second} {
			t.Run(fmt.Sprintf("%s, %s", h.Kind, patience), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var n atomic.Int64
					cfg := load.Config{Workers: 1, Rate: 10, Dial: func() (load.Client, error) { return countingClient{&n}, nil }}
					in := &instance{rate: cfg.Rate, work: scenario.Workload{Load: cfg}, load: load.Start(t.Context(), cfg)}
					defer in.load.Stop()
					time.Sleep(10 * time.Second)
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					start, before := time.Now(), n.Load()
					if err := in.happen(ctx, h); err != nil {
						t.Fatal(err)
					}
					took := time.Since(start)
					if took > time.Minute || took < min(patience, 59*time.Second) {
						t.Errorf("it took %s", took)
					}
					during := float64(n.Load()-before) / took.Seconds()
					if h.Kind == Night && during > 1 || h.Kind != Night && during < 15 {
						t.Errorf("%.1f requests per second meanwhile", during)
					}
					before = n.Load()
					time.Sleep(10 * time.Second)
					if after := n.Load() - before; after < 90 || after > 110 {
						t.Errorf("%d requests in 10 s after it, not 100", after)
					}
				})
			})
		}
	}
}

func TestWhatWasGoingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := newJournal(filepath.Join(t.TempDir(), "life.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		redis1 := &instance{Member: Member{Name: "redis-1", Scenario: scenario.Scenario{Server: "redis"}}}
		nginx1 := &instance{Member: Member{Name: "nginx-1", Scenario: scenario.Scenario{Server: "nginx"}}}
		restart := j.begin(Entry{Kind: Restart, Instance: "redis-1", Service: "redis"})
		rolling := j.begin(Entry{Kind: Rolling, Service: "redis"})
		cpu := j.begin(Entry{Kind: CPU})
		time.Sleep(10 * time.Second)
		for _, id := range []int{restart, rolling} {
			j.end(id, nil)
		}
		if n := len(j.around(redis1, time.Now())); n != 3 {
			t.Errorf("%d at redis-1", n)
		}
		if a := j.around(nginx1, time.Now()); len(a) != 1 || a[0].Kind != CPU {
			t.Errorf("at nginx-1: %+v", a)
		}
		time.Sleep(61 * time.Second)
		if a := j.around(redis1, time.Now()); len(a) != 1 || a[0].ID != cpu {
			t.Errorf("at redis-1 a minute later: %+v", a)
		}
		if all, now := j.count(); all != 3 || now != 1 {
			t.Errorf("%d entries, %d go on", all, now)
		}
		if err := j.close(); err != nil {
			t.Error(err)
		}
	})
}
