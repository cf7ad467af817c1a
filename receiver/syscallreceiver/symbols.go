package syscallreceiver

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/fairqueue"
	"github.com/perfscope/perfscope/internal/interpreter"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxStacksOfProcess bounds the stacks of one process that wait to be
	// unwound, maxTasks all tasks that wait, and maxStackBytes the copies of
	// stacks held by them.
	maxStacksOfProcess = 512
	maxTasks           = 16384
	maxStackBytes      = 8 << 20
	// quickWorkers unwind what needs no file, patientWorkers what does.
	quickWorkers, patientWorkers = 1, 3
	// settleFor is for how long a delivery waits for the stacks that came before
	// it; a process that takes longer is not waited for.
	settleFor = 100 * time.Millisecond
)

// symbols has stacks unwound and processes described by goroutines of its own.
// The one that reads the rings hands over a copy and goes on: it waits for
// nothing that a target has a say in. A stack goes to the quick workers first,
// who use what is in memory; what needs a file goes on to the patient ones. Each
// process has a line of its own in both queues, so that one whose files are slow
// or dear to read holds up nobody else; beyond its share its stacks are dropped
// and counted, and its events go on without names.
type symbols struct {
	unwind    unwinder
	interpret interpreters // nil is none
	// atOnce has the samples of a process delivered as they are taken.
	atOnce         func(pid int32) error
	logger         *zap.Logger
	stats          *stats
	quick, patient *fairqueue.Queue[int32, task]
	// held is the memory of the copies, count the stacks named since the last
	// flush.
	held, count atomic.Int64
	copies      sync.Pool
}

// task is something to be done for one process.
type task struct {
	kind   taskKind
	target *target
	parent int32
	raw    rawStack
	// native is the stack unwound, of taskLook.
	native threadtrace.Stack
	// epoch is the target's when the task was given: a program that has been
	// replaced since has no stacks any more.
	epoch uint32
	// named takes a stack.
	named func(rawStack, namedStack)
	// goroutines looks at those of the target.
	goroutines func(*target)
}

type taskKind uint8

const (
	taskStack taskKind = iota
	taskLook
	taskInherit
	taskForget
	taskFacts
	taskGoroutines
)

func newSymbols(u unwinder, i interpreters, st *stats, logger *zap.Logger) *symbols {
	s := &symbols{unwind: u, interpret: i, stats: st, logger: logger}
	s.quick = fairqueue.New(maxStacksOfProcess, maxTasks, s.serveQuickly)
	s.patient = fairqueue.New(maxStacksOfProcess, maxTasks, s.servePatiently)
	s.copies.New = func() any { return new([]byte) }
	return s
}

func (s *symbols) start() {
	s.quick.Start(quickWorkers)
	s.patient.Start(patientWorkers)
}

// stop drops what waits. Workers that are held up end when what holds them does.
func (s *symbols) stop() {
	drop := func(_ int32, t task) { s.release(&t) }
	s.quick.Close(drop)
	s.patient.Close(drop)
}

// wait waits for the workers to end.
func (s *symbols) wait() {
	s.quick.Wait()
	s.patient.Wait()
}

// stack takes a copy of a stack, to be given to named with names; it is dropped
// and counted when too many wait.
func (s *symbols) stack(t *target, raw rawStack, named func(rawStack, namedStack)) {
	n := int64(len(raw.Bytes))
	if s.held.Add(n) > maxStackBytes || s.count.Load() >= maxPendingStacks {
		s.held.Add(-n)
		s.stats.stack(stackDropped)
		return
	}
	buf := s.copies.Get().(*[]byte)
	*buf = append((*buf)[:0], raw.Bytes...)
	raw.Bytes, raw.buf = *buf, buf
	job := task{kind: taskStack, target: t, raw: raw, epoch: t.epoch.Load(), named: named}
	if !s.quick.Offer(raw.PID, job) {
		s.release(&job)
		s.stats.stack(stackDropped)
	}
}

// release lets the copy of a stack go. Its bytes are the target's data: nothing
// of them may stay.
func (s *symbols) release(t *task) {
	if t.raw.buf == nil {
		return
	}
	s.held.Add(-int64(len(t.raw.Bytes)))
	clear(t.raw.Bytes)
	s.copies.Put(t.raw.buf)
	t.raw.Bytes, t.raw.buf = nil, nil
}

// inherit has a child just forked begin with the mappings of its parent.
func (s *symbols) inherit(parent, child int32) {
	s.quick.Insist(child, task{kind: taskInherit, parent: parent})
}

// forget drops what is known of a process, whose stacks until then mean nothing
// any more; t may be nil.
func (s *symbols) forget(pid int32, t *target) {
	if t != nil {
		t.epoch.Add(1)
	}
	if !s.quick.Insist(pid, task{kind: taskForget}) {
		s.drop(pid) // it takes the unwinder's lock, which is not held for long
	}
}

// drop lets what is known of a process go.
func (s *symbols) drop(pid int32) {
	s.unwind.Forget(pid)
	if s.interpret != nil {
		s.interpret.Forget(pid)
	}
}

// describe has the facts of a process brought up to date.
func (s *symbols) describe(pid int32, t *target) {
	if t.asked.CompareAndSwap(false, true) && !s.patient.Offer(pid, task{kind: taskFacts, target: t}) {
		t.asked.Store(false)
	}
}

// lookAtGoroutines has those of a process looked at, unless that is under way.
func (s *symbols) lookAtGoroutines(t *target, look func(*target)) {
	if t.parked.busy.CompareAndSwap(false, true) && !s.patient.Offer(t.pid, task{kind: taskGoroutines, target: t, goroutines: look}) {
		t.parked.busy.Store(false)
	}
}

// runtime names the language runtime of a process; it may take its time.
func (s *symbols) runtime(pid int32) string {
	f, err := s.unwind.Facts(pid)
	if err != nil {
		return ""
	}
	return f.Runtime
}

// settle waits, not for long, until the stacks that have come so far are named.
func (s *symbols) settle() {
	begun := time.Now()
	s.quick.Settle(settleFor)
	s.patient.Settle(max(time.Millisecond, settleFor-time.Since(begun)))
}

func (s *symbols) serveQuickly(pid int32, t task) {
	switch t.kind {
	case taskInherit:
		s.unwind.Inherit(t.parent, pid)
		return
	case taskForget:
		s.drop(pid)
		return
	}
	if t.void() {
		s.release(&t)
		return
	}
	st, err := s.unwind.Try(pid, t.raw.Regs, t.raw.Copy)
	if errors.Is(err, stack.ErrWork) {
		if !s.patient.Offer(pid, t) {
			s.release(&t)
			s.stats.stack(stackDropped)
		}
		return
	}
	s.done(pid, &t, st, err)
}

func (s *symbols) servePatiently(pid int32, t task) {
	switch {
	case t.kind == taskFacts:
		if f, err := s.unwind.Facts(pid); err == nil {
			t.target.facts.Store(&f)
		}
		t.target.asked.Store(false)
	case t.kind == taskGoroutines:
		t.goroutines(t.target)
		t.target.parked.busy.Store(false)
	case t.void():
		s.release(&t)
	case t.kind == taskLook:
		s.finish(&t, s.look(pid, &t))
	default:
		st, err := s.unwind.Unwind(pid, t.raw.Regs, t.raw.Copy)
		s.done(pid, &t, st, err)
	}
}

// void reports whether the program that the stack is of has been replaced.
func (t *task) void() bool { return t.epoch != t.target.epoch.Load() }

func (s *symbols) done(pid int32, t *task, st threadtrace.Stack, err error) {
	s.release(t)
	switch {
	case errors.Is(err, stack.ErrOverBudget):
		s.stats.stack(stackQuarantined)
	case errors.Is(err, stack.ErrDeferred):
		s.stats.stack(stackDeferred)
	case err != nil || len(st.Frames) == 0:
		if errors.Is(err, rootfs.ErrStuck) {
			s.stats.stuck.Add(1)
			s.logger.Warn("Stacks of a process cannot be unwound.", zap.Error(err))
		}
		s.stats.stack(stackFailed)
	case t.void():
	default:
		t.native = st
		s.unwound(pid, t)
	}
}

// unwound has a look taken for what a stack hides, by a worker that may wait.
func (s *symbols) unwound(pid int32, t *task) {
	if !s.hides(t) {
		s.finish(t, namedStack{t.native, framesNative})
		return
	}
	s.hurry(pid, t.target)
	t.kind = taskLook
	if !t.worthALook(time.Now()) || !s.patient.Offer(pid, *t) {
		s.finish(t, namedStack{interpreter.Conceal(t.native), framesHidden})
	}
}

// finish hands a stack over.
func (s *symbols) finish(t *task, st namedStack) {
	if !t.void() {
		result := stackIncomplete
		if st.Complete {
			result = stackComplete
		}
		s.stats.stack(result)
		s.count.Add(1)
		t.named(t.raw, st)
	}
}

// namedStacks are those of one process, by id, of this flush and the two before:
// a call comes a little after its stack, and a flush may come between them.
type namedStacks struct {
	mu   sync.Mutex
	have [3]map[uint32]namedStack
}

func (n *namedStacks) put(id uint32, s namedStack) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.have[0] == nil {
		n.have[0] = map[uint32]namedStack{}
	}
	n.have[0][id] = s
}

func (n *namedStacks) get(id uint32) (namedStack, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, have := range n.have {
		if s, ok := have[id]; ok {
			return s, true
		}
	}
	return namedStack{}, false
}

// source is framesNative for a stack that is not named.
func (n *namedStacks) source(id uint32) frameSource {
	s, _ := n.get(id)
	return s.frames
}

// turn begins the next flush; how many came in this one is returned.
func (n *namedStacks) turn() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	came := len(n.have[0])
	n.have[0], n.have[1], n.have[2] = nil, n.have[0], n.have[1]
	return came
}
