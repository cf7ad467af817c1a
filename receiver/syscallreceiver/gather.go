package syscallreceiver

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxWaiting is for how many flushes the events of a process wait to
	// learn whose they are.
	maxWaiting = 3
	// maxDescribing is for how long what a process does is kept, from when it is
	// recorded on, because it is not known yet what it is: its resource, and the
	// names in its stacks, should be there from the first record on.
	maxDescribing = 2 * time.Second
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
	dropWakings        = "too_many_wakings"
)

// notice tells the discovery what the kernel saw.
type notice struct {
	pid  int32
	kind noticeKind
	// at is when the process ended, in nanoseconds since the epoch.
	at int64
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
	cfg     *Config
	logger  *zap.Logger
	tracer  tracer
	symbols *symbols
	host    process.Host
	arch    string
	stats   *stats
	// emit hands a delivery on; it never blocks, and is false when the
	// queue is full.
	emit func(delivery) bool
	// tell asks the discovery; it never blocks.
	tell func(notice)
	// ready has ship called soon; it never blocks.
	ready func()
	now   func() int64
	// still reports whether a process is the one that was found; nil is yes.
	still func(*process.Process) bool

	names *process.ThreadNames
	// suspicion is nil when nobody would follow it; shipping guards it.
	suspicion *suspicion
	// surroundings is nil when the machine is not looked at; shipping guards it.
	surroundings *surroundings
	// shipping is held while parcels become deliveries, and guards dedup, late
	// and the resources. It is taken before mu.
	shipping sync.Mutex
	dedup    *stackIndex
	late     []threadtrace.Event

	mu      sync.Mutex
	targets map[int32]*target
	// former are those whose pid is another's by now, exits when processes ended,
	// in nanoseconds since the epoch.
	former  []*target
	exits   map[int32]int64
	pending int // events held
	buffers buffers
	// contexts and wakings are the numbers of those held.
	contexts, wakings int
	last              int64
	// outbox holds the parcels to be shipped; posted counts their events,
	// and those of the one being shipped.
	outbox []*parcel
	posted int
	// gone are the processes that the next flush has forgotten.
	gone []*target
	// lost and skipped are what the tracer last said it had lost, by reason,
	// and left out, by group.
	lost    map[string]uint64
	skipped map[uint16]uint64
	groups  groups
	// traced is when calls were recorded.
	traced traced
	// closing is set when nothing may be kept any more.
	closing bool
	// orders are what the tracer is to be told, see settle.
	orders []order
}

// order tells the tracer to record a process, or to let it go.
type order struct {
	pid   int32
	add   bool
	group uint16
	who   *process.Process
}

func (g *gatherer) target(pid int32) *target {
	t := g.targets[pid]
	if t == nil {
		t = newTarget(pid, g.now())
		g.targets[pid] = t
	}
	return t
}

// owner is the process that had a pid at an instant.
func (g *gatherer) owner(pid int32, at int64) *target {
	t := g.target(pid)
	for t.earlier != nil && at < t.since {
		t = t.earlier
	}
	return t
}

// event takes one event of a thread.
func (g *gatherer) event(e event) {
	t := g.owner(e.PID, e.End())
	if e.Kind == threadtrace.KindBlocked {
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
func (g *gatherer) context(pid, tid int32, c threadtrace.Context) {
	t := g.owner(pid, c.Time)
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
func (t *target) cut(e *threadtrace.Event) {
	e.Cut = true
	end := e.End()
	e.Time = min(max(e.Time, t.since), end)
	e.Duration = end - e.Time
}

// stack takes a copied piece of a user stack, to be named by others.
func (g *gatherer) stack(raw rawStack) {
	g.mu.Lock()
	t := g.owner(raw.PID, raw.Time)
	if raw.Blocked {
		// A flush may come between it and its snapshot.
		t.thread(raw.TID).wait = wait{id: raw.ID}
	}
	g.mu.Unlock()
	g.symbols.stack(t, raw, func(raw rawStack, s namedStack) { g.named(t, raw, s) })
}

// named takes a stack with its names.
func (g *gatherer) named(t *target, raw rawStack, s namedStack) {
	t.named.put(raw.ID, s)
	if !raw.Blocked {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if th := t.threads[raw.TID]; th != nil && th.wait.id == raw.ID {
		th.wait.stack = s.Stack // all snapshots of this wait refer to it
	}
}

// forked takes the start of a process by a followed one.
func (g *gatherer) forked(parent, child int32, at int64) {
	t := g.target(child)
	if t.who != nil && t.who.Found.UnixNano() < at {
		t = g.supersede(t, at) // its end is told later
	}
	t.since, t.counted, t.followed = min(t.since, at), true, true
	from := g.targets[parent]
	if from != nil {
		from = g.owner(parent, at)
		t.group = from.group
	}
	if from != nil && from.who != nil && t.who == nil {
		// Short-lived children are gone before /proc can be read.
		t.who = newIdentity(from.who.Fork(child, time.Unix(0, at)))
		t.facts.Store(from.facts.Load())
	}
	g.symbols.inherit(parent, child)
	g.symbols.describe(child, t)
	g.tell(notice{pid: child, kind: noticeFork})
}

// supersede begins with another process of the same pid, there since an instant.
// What happened until then is told as the former's.
func (g *gatherer) supersede(t *target, since int64) *target {
	t.ended, t.followed, t.closing = true, false, 1
	g.former = append(g.former, t)
	next := newTarget(t.pid, since)
	next.earlier = t
	g.targets[t.pid] = next
	g.symbols.forget(t.pid, t)
	g.names.Forget(t.pid)
	return next
}

// dropFormer lets those go of which everything has been told.
func (g *gatherer) dropFormer() {
	g.former = slices.DeleteFunc(g.former, func(t *target) bool {
		if t.closing <= maxClosing {
			return false
		}
		for next := g.targets[t.pid]; next != nil; next = next.earlier {
			if next.earlier == t {
				next.earlier = nil
			}
		}
		g.letGo(t)
		return true
	})
}

const (
	// maxClosing is for how many flushes a process is held whose pid is another's.
	maxClosing = 2
	// exitsKept is for how long the end of a process is remembered, longer than a
	// scan takes; of maxExits only those of the last second are.
	exitsKept = 30 * time.Second
	maxExits  = 65536
)

// forgetExits forgets ends that nobody asks for any more.
func (g *gatherer) forgetExits(now int64) {
	keep := exitsKept
	if len(g.exits) > maxExits {
		keep = time.Second
	}
	maps.DeleteFunc(g.exits, func(_ int32, at int64) bool { return now-at > int64(keep) })
}

// execed takes that a followed process runs another program from now on. What
// the unwinder knows of it is void.
func (g *gatherer) execed(pid int32, at int64) {
	t := g.target(pid)
	if !t.judged {
		t.judged, t.execed, t.waiting = true, at, 0
	}
	g.names.Forget(pid)
	g.symbols.forget(pid, t)
	g.symbols.describe(pid, t)
	g.tell(notice{pid: pid, kind: noticeExec})
}

// exited takes the end of a thread at an instant and what it has used;
// over is the end of its process.
func (g *gatherer) exited(pid, tid int32, over bool, at int64, total usage) {
	if over {
		if g.exits == nil {
			g.exits = map[int32]int64{}
		}
		g.exits[pid] = max(g.exits[pid], at)
		g.tell(notice{pid: pid, kind: noticeExit, at: at})
	}
	if g.targets[pid] == nil {
		return
	}
	t := g.owner(pid, at)
	t.used(tid, total)
	t.threads[tid].ended = true
	if over {
		t.ended, t.followed, t.over = true, false, at
	}
}

// answer takes what the discovery says of a process that it looked at from an
// instant on.
func (g *gatherer) answer(pid int32, looked int64, p *process.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.targets[pid]
	switch {
	case t == nil:
		// It has ended, and its last flush is over.
	case t.judged && looked < t.execed:
		// It was asked because of the fork, the answer to the exec comes.
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
			there[t.who.key] = true
		}
	}
	g.groups.keep(there)
}

// identify says whose a process is, and has it recorded.
func (g *gatherer) identify(p *process.Process) {
	if over, ended := g.exits[p.PID]; ended && p.Found.UnixNano() <= over {
		return // it has ended since it was found: who has the pid now is another
	}
	t := g.target(p.PID)
	if t.over != 0 || t.who != nil && t.who.IsAnother(p) {
		t = g.supersede(t, g.now())
	}
	if old := t.who; old != nil && (old.key != p.Key() || old.Executable != p.Executable) {
		// Another program from its exec on: what came before goes out first.
		held := t.takeAfter(t.execed)
		g.flushTarget(t)
		t.give(held)
	}
	t.who, t.judged, t.waiting = newIdentity(p), false, 0
	g.symbols.describe(p.PID, t)
	if t.followed || t.ended {
		return
	}
	t.followed = true
	t.group = g.groups.of(t.who.key)
	g.orders = append(g.orders, order{p.PID, true, t.group, p})
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

// following counts the processes that are recorded.
func (g *gatherer) following() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.targets {
		if t.followed {
			n++
		}
	}
	return n
}

// follow has the tracer record processes.
func (g *gatherer) follow(orders []order) {
	pids, groups := make([]int32, len(orders)), make([]uint16, len(orders))
	for i, o := range orders {
		pids[i], groups[i] = o.pid, o.group
	}
	errs := g.tracer.AddProcesses(pids, groups)
	for i, o := range orders {
		// Between the look at it and now its pid may have become another's.
		if errs[i] == nil && g.still != nil && !g.still(o.who) {
			errs[i] = errors.Join(os.ErrProcessDone, g.tracer.RemoveProcess(o.pid))
		}
	}
	g.mu.Lock()
	for i, pid := range pids {
		switch t := g.targets[pid]; {
		case t == nil:
		case errs[i] != nil:
			t.followed = false // the next scan tries again, if it is still there
			if errors.Is(errs[i], os.ErrProcessDone) && t.who != nil && t.who.Process == orders[i].who {
				g.discard(t, t.takeAfter(t.since), dropNotTarget)
			}
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
func (g *gatherer) discard(t *target, held map[int32][]threadtrace.Event, reason string) {
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
	if t.closing > 0 {
		t.closing = maxClosing + 1
		return
	}
	g.letGo(t)
	g.gone = append(g.gone, t)
	delete(g.targets, t.pid)
}

func (g *gatherer) letGo(t *target) {
	for range t.named.have {
		g.symbols.count.Add(-int64(t.named.turn()))
	}
	for _, th := range t.threads {
		g.contexts -= len(th.contexts)
		g.wakings -= len(th.wakings)
	}
}

// known is what symbols has found out of the process so far.
func (t *target) known() stack.Facts {
	if f := t.facts.Load(); f != nil {
		return *f
	}
	return stack.Facts{}
}
