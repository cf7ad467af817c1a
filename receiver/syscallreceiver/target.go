package syscallreceiver

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// target is what is held of one process.
type target struct {
	pid int32
	// who is nil as long as it is not known whose the process is: its
	// events wait, for at most maxWaiting flushes. Of a child just forked it
	// is its parent's, until the discovery has looked.
	who *identity
	// judged is set while the discovery looks at it after an exec at
	// execed: its events wait then, too.
	judged bool
	execed int64
	// group is whose share of the rings its calls take; zero is not bounded.
	group uint16
	// followed is set while the tracer records it.
	followed bool
	// ended is set when nothing more will come; the next flush is its last.
	ended bool
	// waiting counts the flushes it waited.
	waiting int
	// since is from when on it is recorded, in nanoseconds since the epoch.
	since int64
	// usage is what was used since the last flush; counted tells that the
	// threads it had at the start are accounted for.
	usage   usage
	counted bool
	// coverage is that of the flushes in which it was kept, see describing.
	coverage []*threadtrace.Coverage
	threads  map[int32]*thread
	// earlier is the process that had the pid before: what happened before since
	// is its own. It is nil once all of that has been told.
	earlier *target
	// over is when it ended, in nanoseconds since the epoch, once that is known;
	// closing counts the flushes since another has its pid.
	over    int64
	closing int

	// named are its stacks, facts what else symbols knows of it; asked is set
	// while that is under way, and epoch counts its programs.
	named namedStacks
	facts atomic.Pointer[stack.Facts]
	asked atomic.Bool
	epoch atomic.Uint32
	// prompt is set when its samples are to be delivered at once.
	prompt atomic.Bool
	// parked and parkedStacks are its goroutines' and their stacks.
	parked       parked
	parkedStacks namedStacks
	// lacked, received and dropped count since the last flush.
	lacked   lacked
	received uint64
	dropped  map[string]uint64
}

// identity is who a process is; it is shared with the parcels under way.
type identity struct {
	*process.Process
	key string
	// resource is the same as attributes, made by the one who ships of the facts
	// known then.
	resource *pcommon.Map
	facts    stack.Facts
}

func newIdentity(p *process.Process) *identity { return &identity{Process: p, key: p.Key()} }

// thread is what is held of one thread.
type thread struct {
	events []threadtrace.Event
	// name is that of goroutines; a thread's own is asked of the kernel.
	name string
	// usual is how many there were at the last flush that had some.
	usual int
	// contexts are those of the requests it received.
	contexts []threadtrace.Context
	// wakings are the ends of its waits, in the order of their time.
	wakings []waking
	// dropped counts its events lost since the last flush.
	dropped uint64
	ended   bool
	// idle counts the flushes in which nothing was heard of it.
	idle int
	// usage is what it has used since its start, once counted.
	usage   usage
	counted bool
	// wait is the last wait a snapshot saw the thread in: the kernel
	// copies a wait's stack once.
	wait wait
}

// wait is one uninterrupted stay of a thread inside a call.
type wait struct {
	id     uint32
	number int32
	since  int64 // in nanoseconds since the epoch
	delay  int64 // of its call so far, ns
	stack  threadtrace.Stack
}

func newTarget(pid int32, since int64) *target {
	return &target{
		pid: pid, since: since,
		threads: map[int32]*thread{},
		dropped: map[string]uint64{},
	}
}

func (t *target) thread(tid int32) *thread {
	th := t.threads[tid]
	if th == nil {
		th = &thread{}
		t.threads[tid] = th
	}
	return th
}

// room makes room for one more event of the thread, to be kept until the next
// flush.
func (th *thread) room(b *buffers) *threadtrace.Event {
	n := len(th.events)
	if n == cap(th.events) {
		th.events = b.grow(th.events, th.usual)
	}
	th.events = th.events[:n+1]
	th.idle = 0
	return &th.events[n]
}

// takeAfter takes out the events that ended after an instant.
func (t *target) takeAfter(instant int64) map[int32][]threadtrace.Event {
	taken := map[int32][]threadtrace.Event{}
	for tid, th := range t.threads {
		kept := th.events[:0]
		for _, e := range th.events {
			if e.End() <= instant {
				kept = append(kept, e)
			} else {
				taken[tid] = append(taken[tid], e)
			}
		}
		th.events = kept
	}
	return taken
}

// give takes events back.
func (t *target) give(events map[int32][]threadtrace.Event) {
	for tid, list := range events {
		th := t.thread(tid)
		th.events = append(th.events, list...)
	}
}

// usage is what the scheduler says of threads.
type usage struct {
	// cpu is the CPU time used, delay the time runnable without a CPU.
	cpu, delay time.Duration
}

// used takes what a thread has used since its start.
func (t *target) used(tid int32, total usage) {
	th := t.thread(tid)
	th.idle = 0
	switch {
	case th.counted:
		t.usage.cpu += max(total.cpu-th.usage.cpu, 0)
		t.usage.delay += max(total.delay-th.usage.delay, 0)
	case t.counted:
		t.usage.cpu += total.cpu // started since: all of it is new
		t.usage.delay += total.delay
	}
	th.usage, th.counted = total, true
}

// batch makes a batch of a part of what a thread did, with its stacks numbered
// from one.
func (th *threadLoad) batch(name string, events []threadtrace.Event, named *namedStacks, dedup *stackIndex) *threadtrace.Batch {
	b := &threadtrace.Batch{ThreadID: th.tid, ThreadName: name, Events: events}
	if !slices.ContainsFunc(events, func(e threadtrace.Event) bool { return e.Stack != 0 }) {
		return b
	}
	dedup.reset()
	for i := range b.Events {
		e := &b.Events[i]
		id := e.Stack
		if id == 0 {
			continue
		}
		e.Stack = 0
		if n, ok := dedup.byID[id]; ok {
			e.Stack = n
			continue
		}
		got, ok := named.get(id)
		s := got.Stack
		if !ok && th.wait.id == id {
			s, ok = th.wait.stack, true
		}
		if !ok || len(s.Frames) == 0 {
			dedup.byID[id] = 0
			continue
		}
		e.Stack = dedup.index(id, s, b)
	}
	return b
}

// keepWait remembers the stack of the wait a blocked event belongs to.
func (t *target) keepWait(tid int32, e threadtrace.Event) {
	th := t.thread(tid)
	if th.wait.id != e.Stack || e.Stack == 0 {
		th.wait = wait{id: e.Stack}
	}
	th.wait.number, th.wait.since, th.wait.delay = e.Number, e.Time-e.Elapsed, e.Delay
	if s, ok := t.named.get(e.Stack); ok && e.Stack != 0 {
		th.wait.stack = s.Stack
	}
}

// stackIndex numbers the distinct stacks of one batch; it is reused.
type stackIndex struct {
	seed   maphash.Seed
	byID   map[uint32]uint32
	byHash map[uint64]uint32
}

func newStackIndex() *stackIndex {
	return &stackIndex{seed: maphash.MakeSeed(), byID: map[uint32]uint32{}, byHash: map[uint64]uint32{}}
}

func (x *stackIndex) reset() {
	clear(x.byID)
	clear(x.byHash)
}

// index is the number of the stack in the batch; it is added when it is new.
func (x *stackIndex) index(id uint32, s threadtrace.Stack, b *threadtrace.Batch) uint32 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	for i := range s.Frames {
		f := &s.Frames[i]
		_, _ = h.WriteString(f.Function)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(f.Module)
		_ = h.WriteByte(byte(f.Line))
		_ = h.WriteByte(byte(f.Line >> 8))
	}
	sum := h.Sum64()
	if n, ok := x.byHash[sum]; ok && equalStacks(b.Stacks[n-1], s) {
		x.byID[id] = n
		return n
	}
	b.Stacks = append(b.Stacks, s)
	n := uint32(len(b.Stacks)) //nolint:gosec // bounded by the events
	x.byHash[sum], x.byID[id] = n, n
	return n
}

func equalStacks(a, b threadtrace.Stack) bool {
	return a.Complete == b.Complete && slices.Equal(a.Frames, b.Frames)
}
