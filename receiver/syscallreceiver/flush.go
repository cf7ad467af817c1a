package syscallreceiver

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
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
	events   int
	// coverage is nil in an early parcel. The first has what was lost.
	coverage []*threadtrace.Coverage
	lacked   lacked
}

// threadLoad is what one thread did.
type threadLoad struct {
	thread  *thread
	tid     int32
	events  []threadtrace.Event
	dropped uint64
	wait    wait
	// contexts are those of the requests it received.
	contexts []threadtrace.Context
	wakings  []waking
}

// flush delivers everything held, with the calls in flight and a coverage
// record per process, and lets go what has ended.
func (g *gatherer) flush() {
	g.symbols.settle()
	inFlight := g.tracer.InFlight(g.cfg.InFlightAfter)
	ts := g.tracer.Stats()
	gone := g.collect(inFlight, &ts)
	g.ship()
	for _, t := range gone {
		g.symbols.forget(t.pid, t)
		g.names.Forget(t.pid)
	}
	us := g.symbols.unwind.Stats()
	g.stats.unwinder(&us, g.symbols.held.Load())
	g.stats.flushed.Store(time.Now().UnixNano())
}

// close has the flushes from now on keep nothing.
func (g *gatherer) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
}

// collect makes the parcel of a flush; gone are the processes to be forgotten
// after it.
func (g *gatherer) collect(inFlight []event, ts *tracerStats) (gone []*target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range inFlight {
		g.inFlight(e)
	}
	now := g.now()
	g.shareLosses(ts.Dropped)
	g.chargeGroups(ts.Skipped)
	p := &parcel{last: true, at: now}
	for _, t := range slices.Concat(g.former, g.byPID()) {
		if g.waits(t) {
			continue
		}
		g.cover(t, now, ts)
		if g.describing(t, now) {
			continue
		}
		l := g.take(t)
		l.coverage, t.coverage = t.coverage, nil
		l.lacked, t.lacked = t.lacked, lacked{}
		l.coverage[0].Dropped = maps.Clone(t.dropped)
		clear(t.dropped)
		p.add(l)
		g.symbols.count.Add(-int64(t.named.turn()))
		t.parkedStacks.turn()
		for tid, th := range t.threads {
			// A snapshot may show a thread a little after its end.
			if th.idle++; th.ended && th.idle > 1 || th.idle > maxIdle {
				delete(t.threads, tid)
			}
		}
		switch {
		case t.closing > 0:
			t.closing++ // its last calls may be in the rings still
		case t.ended:
			g.forget(t)
		default:
			g.symbols.describe(t.pid, t)
		}
	}
	g.dropFormer()
	g.forgetExits(now)
	g.post(p)
	g.last = now
	g.buffers.trim()
	g.traced.forget()
	gone, g.gone = g.gone, nil
	g.stats.publish(g, len(inFlight), ts.Memory)
	return gone
}

// cover adds the time since the last flush to what is covered of a target.
func (g *gatherer) cover(t *target, now int64, ts *tracerStats) {
	start := min(max(g.last, t.since), now)
	pieces := g.traced.cover(start, now, t.usage)
	for _, c := range pieces {
		c.SamplePeriod, c.SnapshotPeriod = ts.SamplePeriod, ts.SnapshotPeriod
	}
	t.coverage = append(t.coverage, pieces...)
	t.received, t.usage = 0, usage{}
}

// describing reports whether what a target did is kept for a later flush, because
// it is being found out what it is.
func (g *gatherer) describing(t *target, now int64) bool {
	return t.asked.Load() && t.facts.Load() == nil && !t.ended && t.closing == 0 && !g.closing && now-t.since < int64(maxDescribing)
}

// byPID are the targets, in order.
func (g *gatherer) byPID() []*target {
	out := make([]*target, 0, len(g.targets))
	for _, pid := range slices.Sorted(maps.Keys(g.targets)) {
		out = append(out, g.targets[pid])
	}
	return out
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
		wakings := g.takeWakings(th)
		if n := len(th.events); n > 0 || len(th.contexts) > 0 || len(wakings) > 0 {
			l.threads = append(l.threads, threadLoad{th, tid, th.events, th.dropped, th.wait, th.contexts, wakings})
			l.events += n
			g.contexts -= len(th.contexts)
			th.events, th.contexts, th.dropped = nil, nil, 0
			if n > 0 {
				th.usual = n
			}
		}
	}
	g.pending -= l.events
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
		g.symbols.settle() // once more: stacks of calls in the parcel may have come since the flush began
		d, batches, threads := g.pack(p)
		g.shipped(p, batches, threads, g.emit(d))
	}
}

// pack encodes a parcel.
func (g *gatherer) pack(p *parcel) (d delivery, batches, threads int) {
	d = delivery{logs: plog.NewLogs(), events: uint64(p.events)} //nolint:gosec // not negative
	all := make([]plog.LogRecordSlice, len(p.loads))
	for i := range p.loads {
		l := &p.loads[i]
		records := g.recordsOf(&d, l)
		all[i] = records
		for j := range l.threads {
			th := &l.threads[j]
			name, named := th.thread.name, &l.target.parkedStacks
			if name == "" {
				name, named = g.names.Name(l.pid, th.tid), &l.target.named
				th.weigh(named.source)
			}
			g.late = sortEvents(th.events, g.late)
			if g.suspicion != nil && named == &l.target.named {
				g.suspicion.see(l.identity, g.arch, name, th.events)
			}
			// The first record has what is not of single events, too.
			rest := th.events
			for first := true; first || len(rest) > 0; first = false {
				n := min(len(rest), tracelog.MaxRecordEvents)
				b := th.batch(name, rest[:n], named, g.dedup)
				if first {
					b.Contexts, b.Dropped = th.contexts, th.dropped
					th.addWakings(b, named, g.dedup)
				}
				rest = rest[n:]
				tracelog.AppendBatch(records, tracelog.Format(g.cfg.Format), g.arch, b)
			}
		}
		batches += len(l.threads)
		if l.coverage != nil {
			alive, functions := g.names.CountThreads(l.pid), l.target.known().Functions
			for _, c := range l.coverage {
				c.Threads, c.Functions = alive, functions
				tracelog.AppendCoverage(records, c)
			}
			threads += alive
		}
	}
	if p.last && g.surroundings != nil {
		g.surroundings.add(p, all)
	}
	if p.last && g.suspicion != nil {
		g.suspicion.close(p.at)
	}
	return d, batches, threads
}

func (g *gatherer) recordsOf(d *delivery, l *load) plog.LogRecordSlice {
	rl := d.logs.ResourceLogs().AppendEmpty()
	facts := l.target.known()
	facts.Functions = 0
	if l.identity.resource == nil || l.identity.facts != facts {
		attrs := pcommon.NewMap()
		fillResource(attrs, l.identity.Process, g.host, g.arch, facts)
		l.identity.resource, l.identity.facts = &attrs, facts
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
	if t.waiting++; t.waiting <= maxWaiting && t.closing == 0 {
		return true
	}
	if t.who != nil {
		g.reject(t)
		return false
	}
	if t.closing == 0 {
		g.release(t) // else it is another's pid
	}
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
	e.Kind, e.Return, e.Elapsed, e.Stack, e.Delay = threadtrace.KindInFlight, 0, 0, 0, 0
	// A wait that began within this call is the call's own: its last look.
	if th := t.threads[e.TID]; th != nil && th.wait.number == e.Number && th.wait.since >= e.Time-clockSlack {
		e.Stack, e.Delay = th.wait.id, min(th.wait.delay, e.Duration)
	}
	g.add(t, e)
}
