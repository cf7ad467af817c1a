// Package load drives a server at a set pace: a fixed number of connections,
// each with one request at a time, a rate that can be changed while it runs,
// and the time every request took. It never asks for more than the rate: a
// server that falls behind is not chased.
package load

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one connection under load.
type Client interface {
	// Request makes one request; r chooses which.
	Request(r *rand.Rand) error
	Close() error
}

// Config bounds a load.
type Config struct {
	// Dial opens the connection of one worker.
	Dial func() (Client, error)
	// Workers is the number of connections.
	Workers int
	// Rate is the number of requests per second, all workers together.
	Rate float64
}

// maxLatencies bounds what is kept between two calls of Take.
const maxLatencies = 1 << 19

// Load is a running load.
type Load struct {
	cfg    Config
	pace   atomic.Pointer[pace]
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	latencies []time.Duration
	failures  int
	lastErr   error
	since     time.Time
}

// pace is a rate and what is closed when another takes its place.
type pace struct {
	perSecond float64
	over      chan struct{}
}

// slowest bounds the time between two requests of a worker that is told to make
// none.
const slowest = time.Hour

// interval is the time between two requests of one of some workers.
func (p *pace) interval(workers int) time.Duration {
	if p.perSecond*slowest.Seconds() <= float64(workers) {
		return slowest
	}
	return time.Duration(float64(workers) / p.perSecond * float64(time.Second))
}

// Start starts a load; Stop ends it.
func Start(ctx context.Context, cfg Config) *Load {
	ctx, cancel := context.WithCancel(ctx)
	l := &Load{cfg: cfg, cancel: cancel, since: time.Now()}
	l.SetRate(cfg.Rate)
	for worker := range cfg.Workers {
		l.wg.Go(func() { l.work(ctx, worker) })
	}
	return l
}

// SetRate changes the number of requests per second, at once; zero is a pause.
func (l *Load) SetRate(perSecond float64) {
	if old := l.pace.Swap(&pace{perSecond, make(chan struct{})}); old != nil {
		close(old.over)
	}
}

// Stop ends the load; requests under way are finished or cut off.
func (l *Load) Stop() {
	l.cancel()
	l.wg.Wait()
}

func (l *Load) work(ctx context.Context, worker int) {
	// A fixed seed: two runs make the same requests.
	r := rand.New(rand.NewPCG(1, uint64(worker)))
	var client Client
	defer func() {
		if client != nil {
			client.Close()
		}
	}()
	// A hung request is cut off when the load ends.
	var current atomic.Pointer[Client]
	stop := context.AfterFunc(ctx, func() {
		if c := current.Load(); c != nil {
			(*c).Close()
		}
	})
	defer stop()

	next := time.Now()
	for ctx.Err() == nil {
		if client == nil {
			c, err := l.cfg.Dial()
			if err != nil {
				l.record(0, err)
				sleep(ctx, 200*time.Millisecond)
				continue
			}
			client = c
			current.Store(&c)
		}
		pace := l.pace.Load()
		interval := pace.interval(l.cfg.Workers)
		// Up to a quarter early or late, so that workers do not march in step.
		next = next.Add(interval*3/4 + time.Duration(r.Int64N(int64(interval/2)+1)))
		if wait := time.Until(next); wait > 0 {
			if !pace.sleep(ctx, wait) {
				next = time.Now()
				continue
			}
		} else if wait < -time.Second {
			next = time.Now()
		}
		if ctx.Err() != nil {
			return
		}
		start := time.Now()
		err := client.Request(r)
		if ctx.Err() != nil {
			return
		}
		l.record(time.Since(start), err)
		if err != nil {
			client.Close()
			client = nil
			sleep(ctx, 200*time.Millisecond)
		}
	}
}

func (l *Load) record(d time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failures++
		l.lastErr = err
		return
	}
	if len(l.latencies) < maxLatencies {
		l.latencies = append(l.latencies, d)
	}
}

// Figures are what a load saw over some time.
type Figures struct {
	// Requests were answered, Failures were not.
	Requests, Failures int
	// PerSecond is the rate of answered requests.
	PerSecond float64
	// Median and P99 are quantiles of the time a request took, Mean is its mean.
	Median, P99, Mean time.Duration
	// LastError is why the last failed request failed.
	LastError error
}

// Take returns the figures since the last call and starts anew.
func (l *Load) Take() Figures {
	l.mu.Lock()
	latencies, failures, err, since := l.latencies, l.failures, l.lastErr, l.since
	l.latencies, l.failures, l.lastErr, l.since = nil, 0, nil, time.Now()
	l.mu.Unlock()
	f := Figures{Requests: len(latencies), Failures: failures, LastError: err}
	if len(latencies) == 0 {
		return f
	}
	slices.Sort(latencies)
	f.PerSecond = float64(len(latencies)) / time.Since(since).Seconds()
	sum := time.Duration(0)
	for _, d := range latencies {
		sum += d
	}
	f.Mean = sum / time.Duration(len(latencies))
	f.Median = latencies[len(latencies)/2]
	f.P99 = latencies[len(latencies)*99/100]
	return f
}

// sleep reports whether it slept as long as it was told: another pace ends it.
func (p *pace) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.over:
		return false
	case <-timer.C:
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
