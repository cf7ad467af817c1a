//go:build linux && (amd64 || arm64)

package capture

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEdges switches the hooks on and off under a thread that makes nothing but
// short calls: none may seem to have lasted for the time between two edges, or
// end after the edge that follows it, and at each edge it is in one call at the most.
func TestEdges(t *testing.T) {
	cfg := testConfig()
	cfg.RingRecords, cfg.StackEvery = 1<<17, 0
	tr, r := startTracer(t, cfg)
	must(t, tr.Detach())
	h := startHelper(t, "threads 1 8000000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	const bursts = 6
	for range bursts {
		must(t, tr.Attach())
		time.Sleep(30 * time.Millisecond)
		must(t, tr.Detach())
		time.Sleep(20 * time.Millisecond)
	}
	h.hear()
	r.mu.Lock()
	defer r.mu.Unlock()
	of := func(c Call) bool { return c.PID == h.pid() && c.Number == unix.SYS_GETPPID }
	calls, cut, long, outside := 0, 0, 0, 0
	for _, c := range r.calls {
		if !of(c) {
			continue
		}
		calls++
		next := slices.IndexFunc(r.edges, func(e Tracing) bool { return e.Time > c.Start })
		if next < 0 || r.edges[next].On || c.Start+int64(c.Duration) > r.edges[next].Time {
			outside++
		}
		if c.Flags&FlagCut != 0 {
			cut++
		}
		if c.Duration > 10*time.Millisecond {
			long++
		}
	}
	inFlight := 0
	for _, e := range r.edges {
		inFlight += len(slices.DeleteFunc(e.InFlight, func(c Call) bool { return !of(c) }))
	}
	t.Logf("%d calls, %d of them cut, %d in flight at an edge", calls, cut, inFlight)
	if calls < bursts*1000 {
		t.Errorf("%d calls in %d bursts", calls, bursts)
	}
	if cut > bursts || inFlight > bursts {
		t.Errorf("%d calls cut and %d in flight at the edges of %d bursts", cut, inFlight, bursts)
	}
	if outside > 0 {
		t.Errorf("%d calls end after the burst in which they began", outside)
	}
	// The thread may have had to wait for a processor in the middle of a call.
	if long > 2 {
		t.Errorf("%d calls of more than 10 ms", long)
	}
}

// TestWaitsBetweenBursts: when the hooks are off nobody saw a wait begin, and a
// call that was entered in the last burst says nothing about it.
func TestWaitsBetweenBursts(t *testing.T) {
	cfg := testConfig()
	cfg.SnapshotInterval = time.Hour // the test asks for them
	tr, r := startTracer(t, cfg)
	h := startHelper(t, "naps 8")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	for range 5 {
		time.Sleep(10 * time.Millisecond)
		must(t, tr.Detach())
		time.Sleep(10 * time.Millisecond)
		must(t, tr.Snapshot())
		must(t, tr.Attach())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	waits := 0
	for _, s := range r.snapshots {
		for _, th := range s.Threads {
			if th.PID != h.pid() || th.Flags&ThreadBlocked == 0 {
				continue
			}
			waits++
			if th.Flags&ThreadSinceExact != 0 {
				t.Errorf("nobody saw this wait begin: %+v", th)
			}
		}
	}
	if waits < 20 {
		t.Errorf("%d waits seen", waits)
	}
}
