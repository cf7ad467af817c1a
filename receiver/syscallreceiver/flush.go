package syscallreceiver

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/syscalllog"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// scopeName is the instrumentation scope of the records.
const scopeName = "github.com/perfscope/perfscope/receiver/syscallreceiver"

// clockSlack is by how much two readings of the kernel's clock may differ once
// they are Unix time, in nanoseconds.
const clockSlack = int64(time.Millisecond)

// delivery is one set of log records on its way to the next component.
type delivery struct {
	logs plog.Logs
	// shares are the events of each target in it, to be counted if it is
	// dropped.
	shares []share
}

type share struct {
	target *target
	events uint64
}

func newDelivery() delivery { return delivery{logs: plog.NewLogs()} }

// flush delivers everything held, with the calls in flight and a coverage
// record per process, and lets go what has ended.
func (g *gatherer) flush() {
	inFlight := g.tracer.InFlight(g.cfg.InFlightAfter)
	ts := g.tracer.Stats()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range inFlight {
		g.inFlight(e)
	}
	now := g.now()
	attached := ts.Attached - g.attached
	g.attached = ts.Attached
	g.shareLosses(ts.Dropped)
	d := newDelivery()
	threads := 0
	for _, pid := range slices.Sorted(maps.Keys(g.targets)) {
		t := g.targets[pid]
		if g.waits(t) {
			continue
		}
		records := g.recordsOf(&d, t)
		d.shares = append(d.shares, share{t, uint64(g.appendThreads(records, t))}) //nolint:gosec // not negative
		c := g.coverage(t, now, attached, &ts)
		syscalllog.AppendCoverage(records, &c)
		threads += c.Threads
		t.received, t.cpu = 0, 0
		clear(t.dropped)
		if t.ended {
			g.forget(t)
		}
	}
	g.deliver(d)
	g.last = now
	g.stats.publish(g, len(inFlight), threads, ts.Memory)
}

// flushEvents delivers the events held, early, because there are many. Those
// that wait to learn whose they are may take up half of the room: a target
// nobody knows must not make the events of all others a delivery each.
func (g *gatherer) flushEvents() {
	d := newDelivery()
	pids := slices.Sorted(maps.Keys(g.targets))
	for _, pid := range pids {
		if t := g.targets[pid]; t.process != nil && !t.judged {
			g.appendTarget(&d, t)
		}
	}
	if g.pending > g.cfg.maxPending()/2 {
		for _, pid := range pids {
			t := g.targets[pid]
			if t.process == nil {
				g.discard(t, t.takeAfter(0), dropUnknownProcess)
				continue
			}
			// What it did before its exec is known to be the service's.
			g.discard(t, t.takeAfter(t.execed), dropUnknownProcess)
			g.appendTarget(&d, t)
		}
	}
	g.deliver(d)
}

// flushTarget delivers the events of one process.
func (g *gatherer) flushTarget(t *target) {
	d := newDelivery()
	g.appendTarget(&d, t)
	g.deliver(d)
}

func (g *gatherer) appendTarget(d *delivery, t *target) {
	for _, th := range t.threads {
		if len(th.events) > 0 {
			n := g.appendThreads(g.recordsOf(d, t), t)
			d.shares = append(d.shares, share{t, uint64(n)}) //nolint:gosec // not negative
			return
		}
	}
}

func (g *gatherer) deliver(d delivery) {
	if len(d.shares) == 0 || g.emit(d) {
		return
	}
	for _, s := range d.shares {
		g.drop(s.target, dropQueueFull, s.events)
	}
}

// waits reports whether a target's events are kept for a later flush, because
// it is not known yet whose they are.
func (g *gatherer) waits(t *target) bool {
	if t.process != nil && !t.judged {
		return false
	}
	if t.waiting++; t.waiting <= maxWaiting {
		return true
	}
	if t.process != nil {
		g.reject(t)
		return false
	}
	g.release(t)
	g.discard(t, t.takeAfter(0), dropUnknownProcess)
	g.forget(t)
	return true
}

func (g *gatherer) recordsOf(d *delivery, t *target) plog.LogRecordSlice {
	rl := d.logs.ResourceLogs().AppendEmpty()
	if t.resource == nil {
		attrs := pcommon.NewMap()
		fillResource(attrs, t.process, g.host, g.arch, g.unwind)
		t.resource = &attrs
	}
	t.resource.CopyTo(rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scopeName)
	return sl.LogRecords()
}

// appendThreads writes a batch for every thread that did something, and
// empties them; it gives the number of events written.
func (g *gatherer) appendThreads(records plog.LogRecordSlice, t *target) int {
	total := 0
	for _, tid := range slices.Sorted(maps.Keys(t.threads)) {
		th := t.threads[tid]
		if n := len(th.events); n > 0 {
			b := t.batch(tid, th, g.names.Name(t.pid, tid), g.dedup)
			syscalllog.AppendBatch(records, syscalllog.Format(g.cfg.Format), g.arch, b)
			g.stats.batches++
			total += n
			// A burst's buffer is not kept for a quiet thread.
			if cap(th.events) > keptEvents && n < cap(th.events)/4 {
				th.events = nil
			}
			th.events = th.events[:0]
		}
		if th.idle++; th.ended || th.idle > maxIdle {
			delete(t.threads, tid)
		}
	}
	g.pending -= total
	g.stacks -= len(t.stacks)
	clear(t.stacks)
	return total
}

func (g *gatherer) coverage(t *target, now int64, attached time.Duration, ts *tracerStats) syscalltrace.Coverage {
	start := min(max(g.last, t.since), now)
	return syscalltrace.Coverage{
		Start: start, End: now,
		Traced:         min(attached, time.Duration(now-start)),
		SamplePeriod:   ts.SamplePeriod,
		SnapshotPeriod: ts.SnapshotPeriod,
		CPUTime:        t.cpu,
		Threads:        g.names.CountThreads(t.pid),
		Functions:      g.unwind.Functions(t.pid),
		Dropped:        maps.Clone(t.dropped),
	}
}

// inFlight adds a call that has not returned, with the stack of the wait it
// is in if a snapshot saw that.
func (g *gatherer) inFlight(e event) {
	t := g.targets[e.PID]
	if t == nil || t.ended {
		return
	}
	e.Kind, e.Return, e.Elapsed, e.Stack = syscalltrace.KindInFlight, 0, 0, 0
	// A wait that began within this call is the call's own: its last look.
	if th := t.threads[e.TID]; th != nil && th.wait.id != 0 && th.wait.number == e.Number && th.wait.since >= e.Time-clockSlack {
		e.Stack = th.wait.id
	}
	t.add(e)
	g.pending++
	g.stats.kinds[e.Kind]++
}
