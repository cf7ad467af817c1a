package syscallreceiver

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/procread"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

const (
	// maxWaiting is for how many flushes the events of a process wait to
	// learn whose they are.
	maxWaiting = 3
	// maxPendingStacks bounds the stacks held between two flushes (their
	// frames are shared with the unwinder's cache).
	maxPendingStacks = 32768
	// maxPendingContexts bounds the trace contexts held between two flushes, 40
	// bytes each: a thread of a server has one for several calls.
	maxPendingContexts = 65536
	// maxIdle is for how many flushes a thread is remembered that nothing
	// was heard of, its end included.
	maxIdle = 60
)

// Reasons for which events are lost in the receiver; the kernel's own come
// from capture.
const (
	dropQueueFull      = "queue_full"
	dropUnknownProcess = "unknown_process"
	dropNotTarget      = "not_target"
	dropRefused        = "refused"
	dropContexts       = "too_many_contexts"
)

// notice tells the discovery what the kernel saw.
type notice struct {
	pid  int32
	kind noticeKind
}

type noticeKind uint8

const (
	noticeFork noticeKind = iota
	noticeExec
	noticeExit
)

// gatherer holds what came since the last flush. Its tracer's goroutines fill
// it and the receiver's loop empties it, both under the lock. The tracer is
// called by the loop only and never under the lock: it may hold its own while
// it calls the handler. No file is read under the lock either.
type gatherer struct {
	cfg    *Config
	logger *zap.Logger
	tracer tracer
	unwind unwinder
	host   process.Host
	arch   string
	stats  *stats
	// emit hands a delivery on; it never blocks, and is false when the
	// queue is full.
	emit func(delivery) bool
	// tell asks the discovery; it never blocks.
	tell func(notice)
	// ready has ship called soon; it never blocks.
	ready func()
	now   func() int64
	// samplePeriod is the CPU time a sample stands for.
	samplePeriod time.Duration

	names *process.ThreadNames
	// suspicion is nil when nobody would follow it; shipping guards it.
	suspicion *suspicion
	// shipping is held while parcels become deliveries, and guards dedup, late
	// and the resources. It is taken before mu.
	shipping sync.Mutex
	dedup    *stackIndex
	late     []syscalltrace.Event

	mu      sync.Mutex
	targets map[int32]*target
	pending int // events held
	stacks  int // stacks held
	buffers buffers
	// contexts is the number of trace contexts held.
	contexts int
	last     int64
	// outbox holds the parcels to be shipped; posted counts their events,
	// and those of the one being shipped.
	outbox []*parcel
	posted int
	// gone are the processes that the next flush has forgotten.
	gone []int32
	// lost and skipped are what the tracer last said it had lost, by reason,
	// and left out, by group.
	lost    map[string]uint64
	skipped map[uint16]uint64
	groups  groups
	// traced is when calls were recorded.
	traced traced
	// orders are what the tracer is to be told, see settle.
	orders []order
}

// order tells the tracer to record a process, or to let it go.
type order struct {
	pid   int32
	add   bool
	group uint16
}

func (g *gatherer) target(pid int32) *target {
	t := g.targets[pid]
	if t == nil {
		t = newTarget(pid, g.now())
		g.targets[pid] = t
	}
	return t
}

// event takes one event of a thread.
func (g *gatherer) event(e event) {
	t := g.target(e.PID)
	if e.Kind == syscalltrace.KindBlocked {
		t.keepWait(e.TID, e.Event)
	}
	g.add(t, e)
	if g.pending >= g.cfg.maxPending() {
		g.flushEvents()
	}
}

// add keeps an event until the next flush.
func (g *gatherer) add(t *target, e event) {
	*t.thread(e.TID).room(&g.buffers) = e.Event
	t.received++
	g.pending++
	g.stats.kinds[e.Kind]++
}

// context takes the trace context of a request.
func (g *gatherer) context(pid, tid int32, c syscalltrace.Context) {
	t := g.target(pid)
	if g.contexts >= maxPendingContexts {
		g.stats.dropped[dropContexts]++
		return
	}
	th := t.thread(tid)
	th.contexts = append(th.contexts, c)
	th.idle = 0
	g.contexts++
	g.stats.contexts++
}

// cut bounds a call that was entered before the hooks were attached, or before
// its process was followed: it is known from the later of the two on.
func (t *target) cut(e *syscalltrace.Event) {
	e.Cut = true
	end := e.End()
	e.Time = min(max(e.Time, t.since), end)
	e.Duration = end - e.Time
}

// stack takes a copied piece of a user stack; its bytes are zeroed. The lock
// must not be held: symbols are read.
func (g *gatherer) stack(raw rawStack) {
	// The bytes are the target's data: nothing of them may stay.
	defer clear(raw.Bytes)
	g.mu.Lock()
	full := g.stacks >= maxPendingStacks
	if full {
		g.stats.stacks[stackDropped]++
	}
	g.mu.Unlock()
	if full {
		return
	}
	s, err := g.unwind.Unwind(raw.PID, raw.Regs, raw.Bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, procread.ErrStuck) {
		g.stats.stuck.Add(1)
		g.logger.Warn("Stacks of a process cannot be unwound.", zap.Error(err))
	}
	switch {
	case err != nil || len(s.Frames) == 0:
		g.stats.stacks[stackFailed]++
		return
	case s.Complete:
		g.stats.stacks[stackComplete]++
	default:
		g.stats.stacks[stackIncomplete]++
	}
	t := g.target(raw.PID)
	t.stacks[raw.ID] = s
	if raw.Blocked {
		// A flush may come between it and its snapshot, and takes all stacks.
		t.thread(raw.TID).wait = wait{id: raw.ID, stack: s}
	}
	g.stacks++
}

// forked takes the start of a process by a followed one.
func (g *gatherer) forked(parent, child int32, at int64) {
	t := g.target(child)
	t.since, t.counted, t.followed = min(t.since, at), true, true
	from := g.targets[parent]
	if from != nil {
		t.group = from.group
	}
	if from != nil && from.who != nil && t.who == nil {
		// Short-lived children are gone before /proc can be read.
		p := *from.who.Process
		p.PID, p.Parent, p.Created = child, parent, time.Unix(0, at).UTC()
		t.who = &identity{Process: &p}
	}
	g.tell(notice{child, noticeFork})
}

// execed takes that a followed process runs another program from now on. What
// the unwinder knows of it is void.
func (g *gatherer) execed(pid int32, at int64) {
	t := g.target(pid)
	if !t.judged {
		t.judged, t.execed, t.waiting = true, at, 0
	}
	g.names.Forget(pid)
	g.tell(notice{pid, noticeExec})
}

// exited takes the end of a thread and the CPU time it has used; over is the
// end of its process.
func (g *gatherer) exited(pid, tid int32, over bool, cpu time.Duration) {
	t := g.targets[pid]
	if t == nil {
		return
	}
	t.used(tid, cpu)
	t.threads[tid].ended = true
	if over {
		t.ended, t.followed = true, false
		g.tell(notice{pid, noticeExit})
	}
}

// answer takes what the discovery says of a process it was asked about.
func (g *gatherer) answer(pid int32, p *process.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.targets[pid]
	switch {
	case t == nil:
		// It has ended, and its last flush is over.
	case p != nil:
		g.identify(p)
	case t.judged || t.who == nil || t.who.PID == t.who.Root:
		g.reject(t)
	default:
		// A forked child that had ended, or that was looked at too early:
		// it keeps its parent's identity; a scan finds out.
	}
}

// reconcile takes all targets as a scan begun at start found them.
func (g *gatherer) reconcile(start int64, found []*process.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := make(map[int32]bool, len(found))
	for _, p := range found {
		known[p.PID] = true
		if t := g.targets[p.PID]; t == nil || t.who == nil || t.who.Process != p || !t.followed {
			g.identify(p)
		}
	}
	there := map[string]bool{}
	for pid, t := range g.targets {
		if !known[pid] && t.since < start && !t.ended {
			g.reject(t)
		}
		if t.who != nil {
			there[t.who.InstanceID] = true
		}
	}
	g.groups.keep(there)
}

// identify says whose a process is, and has it recorded.
func (g *gatherer) identify(p *process.Process) {
	t := g.target(p.PID)
	if old := t.who; old != nil && (old.InstanceID != p.InstanceID || old.Executable != p.Executable) {
		// Another program from its exec on: what came before goes out first.
		held := t.takeAfter(t.execed)
		g.flushTarget(t)
		t.give(held)
	}
	t.who, t.judged, t.waiting = &identity{Process: p}, false, 0
	if t.followed || t.ended {
		return
	}
	t.followed = true
	t.group = g.groups.of(p.InstanceID)
	g.orders = append(g.orders, order{p.PID, true, t.group})
	g.logger.Debug("Following a process.", zap.Int32("pid", p.PID), zap.String("service", p.ServiceName))
}

// reject lets a process go that no rule chooses (any more), or that is no
// more; what it did before its exec still counts.
func (g *gatherer) reject(t *target) {
	g.release(t)
	if t.judged {
		g.discard(t, t.takeAfter(t.execed), dropNotTarget)
		t.judged = false
	}
	t.ended = true
}

func (g *gatherer) release(t *target) {
	if t.followed || t.who == nil {
		t.followed = false
		g.orders = append(g.orders, order{pid: t.pid})
	}
}

// settle tells the tracer what has been decided; the lock must not be held.
func (g *gatherer) settle() {
	g.mu.Lock()
	orders := g.orders
	g.orders = nil
	g.mu.Unlock()
	for len(orders) > 0 {
		// Those that follow each other are one: each walk of the tracer's
		// looks at all tasks of the host.
		n := 1
		for n < len(orders) && orders[n].add && orders[0].add {
			n++
		}
		if orders[0].add {
			g.follow(orders[:n])
		} else if err := g.tracer.RemoveProcess(orders[0].pid); err != nil {
			g.logger.Debug("Cannot let a process go.", zap.Int32("pid", orders[0].pid), zap.Error(err))
		}
		orders = orders[n:]
	}
}

// follow has the tracer record processes.
func (g *gatherer) follow(orders []order) {
	pids, groups := make([]int32, len(orders)), make([]uint16, len(orders))
	for i, o := range orders {
		pids[i], groups[i] = o.pid, o.group
	}
	errs := g.tracer.AddProcesses(pids, groups)
	g.mu.Lock()
	for i, pid := range pids {
		switch t := g.targets[pid]; {
		case t == nil:
		case errs[i] != nil:
			t.followed = false // the next scan tries again, if it is still there
		default:
			t.since = g.now()
		}
	}
	g.mu.Unlock()
	for i, pid := range pids {
		switch err := errs[i]; {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrProcessDone):
			g.logger.Debug("A process ended before it could be followed.", zap.Int32("pid", pid), zap.Error(err))
		default:
			g.logger.Warn("Cannot follow a process.", zap.Int32("pid", pid), zap.Error(err))
		}
	}
}

// discard counts events that will not be delivered.
func (g *gatherer) discard(t *target, held map[int32][]syscalltrace.Event, reason string) {
	n := 0
	for _, events := range held {
		n += len(events)
	}
	g.pending -= n
	g.drop(t, reason, uint64(n)) //nolint:gosec // not negative
}

func (g *gatherer) drop(t *target, reason string, n uint64) {
	if n > 0 {
		t.dropped[reason] += n
		g.stats.dropped[reason] += n
	}
}

// forget lets all that is held of a process go.
func (g *gatherer) forget(t *target) {
	g.stacks -= len(t.stacks)
	for _, th := range t.threads {
		g.contexts -= len(th.contexts)
	}
	g.gone = append(g.gone, t.pid)
	delete(g.targets, t.pid)
}
