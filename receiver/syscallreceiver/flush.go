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
	logs   plog.Logs
	events uint64
}

// parcel is what was taken under the lock to become one delivery. Names,
// symbols and encoding, which take files and time, are seen to outside of it:
// meanwhile the rings must be read.
type parcel struct {
	loads  []load
	events int
	// last is set on that of a flush, which has all of the targets and was
	// collected at an instant.
	last bool
	at   int64
}

// load is one target's part of a parcel.
type load struct {
	target   *target
	identity *identity
	pid      int32
	threads  []threadLoad
	// stacks are those that came with it, before those of the flush before.
	stacks, before map[uint32]syscalltrace.Stack
	events         int
	// coverage is nil in an early parcel. The first has what was lost.
	coverage []*syscalltrace.Coverage
}

// threadLoad is what one thread did.
type threadLoad struct {
	thread  *thread
	tid     int32
	events  []syscalltrace.Event
	dropped uint64
	wait    wait
	// contexts are those of the requests it received.
	contexts []syscalltrace.Context
}

// flush delivers everything held, with the calls in flight and a coverage
// record per process, and lets go what has ended.
func (g *gatherer) flush() {
	inFlight := g.tracer.InFlight(g.cfg.InFlightAfter)
	ts := g.tracer.Stats()
	gone := g.collect(inFlight, &ts)
	g.ship()
	for _, pid := range gone {
		g.unwind.Forget(pid)
		g.names.Forget(pid)
	}
}

// collect makes the parcel of a flush; gone are the processes to be forgotten
// after it.
func (g *gatherer) collect(inFlight []event, ts *tracerStats) (gone []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range inFlight {
		g.inFlight(e)
	}
	now := g.now()
	g.shareLosses(ts.Dropped)
	g.chargeGroups(ts.Skipped)
	p := &parcel{last: true, at: now}
	for _, pid := range slices.Sorted(maps.Keys(g.targets)) {
		t := g.targets[pid]
		if g.waits(t) {
			continue
		}
		l := g.take(t)
		start := min(max(g.last, t.since), now)
		l.coverage = g.traced.cover(start, now, t.cpu)
		for _, c := range l.coverage {
			c.SamplePeriod, c.SnapshotPeriod = ts.SamplePeriod, ts.SnapshotPeriod
		}
		l.coverage[0].Dropped = maps.Clone(t.dropped)
		t.received, t.cpu = 0, 0
		clear(t.dropped)
		p.add(l)
		for tid, th := range t.threads {
			// A snapshot may show a thread a little after its end.
			if th.idle++; th.ended && th.idle > 1 || th.idle > maxIdle {
				delete(t.threads, tid)
			}
		}
		if t.ended {
			g.forget(t)
		}
	}
	g.post(p)
	g.last = now
	g.buffers.trim()
	g.traced.forget()
	gone, g.gone = g.gone, nil
	g.stats.publish(g, len(inFlight), ts.Memory)
	return gone
}

// flushEvents delivers the events held, early, because there are many. Those
// that wait to learn whose they are may take up half of the room: a target
// nobody knows must not make the events of all others a delivery each.
func (g *gatherer) flushEvents() {
	p := &parcel{}
	pids := slices.Sorted(maps.Keys(g.targets))
	for _, pid := range pids {
		if t := g.targets[pid]; t.who != nil && !t.judged {
			p.add(g.take(t))
		}
	}
	if g.pending > g.cfg.maxPending()/2 {
		for _, pid := range pids {
			t := g.targets[pid]
			if t.who == nil {
				g.discard(t, t.takeAfter(0), dropUnknownProcess)
				continue
			}
			// What it did before its exec is known to be the service's.
			g.discard(t, t.takeAfter(t.execed), dropUnknownProcess)
			p.add(g.take(t))
		}
	}
	g.post(p)
}

// flushTarget delivers the events of one process.
func (g *gatherer) flushTarget(t *target) {
	p := &parcel{}
	p.add(g.take(t))
	g.post(p)
}

func (p *parcel) add(l load) {
	if len(l.threads) > 0 || p.last {
		p.loads = append(p.loads, l)
		p.events += l.events
	}
}

// take takes what a target's threads did out of it.
func (g *gatherer) take(t *target) load {
	l := load{target: t, identity: t.who, pid: t.pid}
	for _, tid := range slices.Sorted(maps.Keys(t.threads)) {
		th := t.threads[tid]
		if n := len(th.events); n > 0 || len(th.contexts) > 0 {
			l.threads = append(l.threads, threadLoad{th, tid, th.events, th.dropped, th.wait, th.contexts})
			l.events += n
			g.contexts -= len(th.contexts)
			th.events, th.contexts, th.dropped = nil, nil, 0
			if n > 0 {
				th.usual = n
			}
		}
	}
	g.pending -= l.events
	l.before, t.before = t.before, nil
	if len(t.stacks) > 0 {
		l.stacks, t.before = t.stacks, t.stacks
		g.stacks -= len(t.stacks)
		t.stacks = map[uint32]syscalltrace.Stack{}
	}
	return l
}

// post puts a parcel in the outbox, in which early ones find room for
// maxPending events and one parcel.
func (g *gatherer) post(p *parcel) {
	switch {
	case len(p.loads) == 0:
		return
	case !p.last && g.posted >= g.cfg.maxPending():
		for i := range p.loads {
			g.drop(p.loads[i].target, dropQueueFull, uint64(p.loads[i].events)) //nolint:gosec // not negative
		}
		return
	}
	g.posted += p.events
	g.outbox = append(g.outbox, p)
	if !p.last {
		g.ready()
	}
}

// ship makes deliveries of the parcels posted, in their order.
func (g *gatherer) ship() {
	g.shipping.Lock()
	defer g.shipping.Unlock()
	for {
		g.mu.Lock()
		if len(g.outbox) == 0 {
			g.mu.Unlock()
			return
		}
		p := g.outbox[0]
		g.outbox = slices.Delete(g.outbox, 0, 1)
		g.mu.Unlock()
		d, batches, threads := g.pack(p)
		g.shipped(p, batches, threads, g.emit(d))
	}
}

// pack encodes a parcel.
func (g *gatherer) pack(p *parcel) (d delivery, batches, threads int) {
	d = delivery{logs: plog.NewLogs(), events: uint64(p.events)} //nolint:gosec // not negative
	for i := range p.loads {
		l := &p.loads[i]
		records := g.recordsOf(&d, l)
		for j := range l.threads {
			th := &l.threads[j]
			name := g.names.Name(l.pid, th.tid)
			g.late = sortEvents(th.events, g.late)
			if g.suspicion != nil {
				g.suspicion.see(l.identity, g.arch, name, th.events)
			}
			// The first record has what is not of single events, too.
			rest := th.events
			for first := true; first || len(rest) > 0; first = false {
				n := min(len(rest), syscalllog.MaxRecordEvents)
				b := th.batch(name, rest[:n], l.stacks, l.before, g.dedup)
				if first {
					b.Contexts, b.Dropped = th.contexts, th.dropped
				}
				rest = rest[n:]
				syscalllog.AppendBatch(records, syscalllog.Format(g.cfg.Format), g.arch, b)
			}
		}
		batches += len(l.threads)
		if l.coverage != nil {
			alive, functions := g.names.CountThreads(l.pid), g.unwind.Functions(l.pid)
			for _, c := range l.coverage {
				c.Threads, c.Functions = alive, functions
				syscalllog.AppendCoverage(records, c)
			}
			threads += alive
		}
	}
	if p.last && g.suspicion != nil {
		g.suspicion.close(p.at)
	}
	return d, batches, threads
}

func (g *gatherer) recordsOf(d *delivery, l *load) plog.LogRecordSlice {
	rl := d.logs.ResourceLogs().AppendEmpty()
	if l.identity.resource == nil {
		attrs := pcommon.NewMap()
		fillResource(attrs, l.identity.Process, g.host, g.arch, g.unwind)
		l.identity.resource = &attrs
	}
	l.identity.resource.CopyTo(rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scopeName)
	return sl.LogRecords()
}

// shipped settles the accounts of a parcel, and takes its empty buffers back.
func (g *gatherer) shipped(p *parcel, batches, threads int, delivered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.posted -= p.events
	g.stats.batches += uint64(batches) //nolint:gosec // not negative
	if p.last {
		g.stats.threads.Store(int64(threads))
	}
	for i := range p.loads {
		l := &p.loads[i]
		for j := range l.threads {
			g.buffers.put(l.threads[j].events)
		}
		if delivered {
			continue
		}
		g.drop(l.target, dropQueueFull, uint64(l.events)) //nolint:gosec // not negative
		if l.coverage != nil {
			// The next coverage tells what this one would have told.
			for reason, n := range l.coverage[0].Dropped {
				l.target.dropped[reason] += n
			}
		}
	}
}

// waits reports whether a target's events are kept for a later flush, because
// it is not known yet whose they are.
func (g *gatherer) waits(t *target) bool {
	if t.who != nil && !t.judged {
		return false
	}
	if t.waiting++; t.waiting <= maxWaiting {
		return true
	}
	if t.who != nil {
		g.reject(t)
		return false
	}
	g.release(t)
	g.discard(t, t.takeAfter(0), dropUnknownProcess)
	g.forget(t)
	return true
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
	g.add(t, e)
}
