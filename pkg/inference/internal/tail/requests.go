package tail

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxWorkers bounds the threads of which it is known where they rest.
const maxWorkers = 4096

// Units makes requests of execution units, of all that is seen of a thread. It rests at
// the place where it was seen waiting most; a wait anywhere else (for a lock, a disk, a
// peer) is a part of what it does. While calls are recorded a unit is exact: from the end
// of a rest to the begin of the next. While they are not, and no rest is seen, a thread
// that is met at work again and again within a short time is at work all the time: that
// tells for how long a unit lasted at least. It holds at most one unit of each of
// maxWorkers threads.
type Units struct {
	Sights

	workers map[int32]*worker
	// latest is the worker of the last event: they come thread by thread.
	latest *worker
	// starts has where threads start that rest at a spot, as far as that was seen.
	starts map[spot]int32
	// shared is set when a runtime has its threads work now for one, now for another
	// task: they rest wherever it has them rest.
	shared bool
	sets   appearances
	// period is the CPU time between two samples.
	period int64
}

// spot is where a thread waits: the call, and the innermost function that makes it, -1
// where that is not known. Where calls and looks find other functions it is the stack.
type spot struct {
	number   int32
	function int32
	stack    uint32
}

func (s spot) unknown() bool { return s.function < 0 && s.stack == 0 }

// spots has how long a thread waited at each spot; most is the one with most.
type spots struct {
	time  map[spot]int64
	most  spot
	known bool
}

func (s *spots) add(at spot, time int64) {
	if _, known := s.time[at]; !known && len(s.time) >= maxSpots {
		return
	}
	if s.time == nil {
		s.time = map[spot]int64{}
	}
	s.time[at] += time
	if !s.known || s.time[at] > s.time[s.most] {
		s.most, s.known = at, true
	}
}

// is reports whether a wait is at the spot with most.
func (s *spots) is(at spot) bool {
	return s.known && at.number == s.most.number && (at == s.most || at.unknown() || s.most.unknown())
}

// worker is what is known of a thread.
type worker struct {
	thread int32
	// role is the function where it starts, own whether that is the application's. Where
	// outer functions have no names it is only one that it was in, partial then: home, the
	// outermost one where it rests, is the same for all that wait for the same.
	role         int32
	own, partial bool
	home         int32
	// looks and calls have where it waits: the stack of a call does not end where that of
	// a look at the same wait does.
	looks, calls spots
	// busy is the share of the time that it was seen on a CPU, seen when that was.
	busy float64
	seen int64
	work work
}

// theRuntimes is the kind of what a runtime's threads do for it.
const theRuntimes = "the runtime's threads"

// work is what a thread does at the moment.
type work struct {
	// begun is set while there is some, exact when its begin was seen, met once the thread
	// was met at it: a turn of an event loop in which nothing happens is no request.
	begun, exact, met bool
	// start and last are when it was first and last known to be at work, in nanoseconds
	// since the Unix epoch.
	start, last int64
	stacks      []unit.StackTime
	// role is the function where that task starts which it was seen to be a part of, -1
	// where that is not known: a runtime has its threads work now for one, now for another.
	role int32
	// links is how many times it was not seen that it went on, only met again soon; sure is
	// what was known before the first of them.
	links int
	sure  *work
	// calls are those that were made while all were recorded, in order.
	calls []int32
}

const (
	// maxSpots bounds the spots of a thread in which it may rest, maxSeen what is kept of
	// a unit.
	maxSpots, maxSeen = 16, 2 * unit.MaxStacks
	// patience is for how many periods of the sampler a thread may go unseen that goes on:
	// others may have its CPU meanwhile.
	patience = 3.0
	// another is how likely it may be that what is linked is work of several requests,
	// anybodys the same where its begin is not known: that is met all the time.
	another, anybodys = 0.005, 1e-4
	// remembers is the time constant of how busy a thread is, in nanoseconds.
	remembers = 20e9
)

func (u *Units) worker(thread int32) *worker {
	if u.latest != nil && u.latest.thread == thread {
		return u.latest
	}
	w := u.workers[thread]
	if w == nil {
		if len(u.workers) >= maxWorkers {
			return nil
		}
		if u.workers == nil {
			u.workers = map[int32]*worker{}
		}
		w = &worker{thread: thread, role: -1, home: -1}
		u.workers[thread] = w
	}
	u.latest = w
	return w
}

// See takes an event of a thread and what that tells; recorded is since when all its calls
// were recorded until then, zero when they are not. Of a unit that it ends emit gets the
// request.
func (u *Units) See(thread int32, e *threadtrace.Event, sight *Sight, recorded int64, emit func(Request)) {
	if thread < 0 {
		u.shared = true // goroutines
		return
	}
	w := u.worker(thread)
	if w == nil {
		return
	}
	w.starts(u, e.Stack)
	most := int64(math.MaxInt64)
	switch e.Kind {
	case threadtrace.KindSample:
		u.period = e.Duration
		w.runs(e)
		w.goesOn(u, thread, e.Time, e.Time, recorded, emit)
	case threadtrace.KindBlocked:
		known := w.work.last
		if !u.look(w, thread, e, recorded, emit) || recorded > 0 {
			return // what is recorded is told by the call itself
		}
		// Of a wait that is met by chance what is known to be this unit's counts.
		most = min(e.Duration, e.Time-max(known, e.Time-e.Elapsed))
	case threadtrace.KindCall, threadtrace.KindInFlight:
		if !u.call(w, thread, e, recorded, emit) {
			return
		}
	}
	if u.shared && w.work.role < 0 && e.Stack != 0 {
		if role, ok := u.Stacks.Role(e.Stack); ok && u.ofApplication(e.Stack) && !u.Stacks.IsRuntime(role) {
			w.work.role = role
		}
	}
	for _, t := range sight.Seen {
		t.Time = min(t.Time, most)
		w.work.add(t)
	}
}

// starts reads off a stack where the thread starts.
func (w *worker) starts(u *Units, stack uint32) {
	if stack == 0 || w.own && !w.partial {
		return
	}
	role, ok := u.Stacks.Role(stack)
	own, partial := u.ofApplication(stack), u.Stacks.Get(stack).Partial
	if ok && (!w.own || own && !partial) {
		w.role, w.own, w.partial = role, own, partial
	}
}

// kindOf is the function of which a thread's work is a kind. Of a thread that was not seen in
// the application yet that is known by others that rest where it does.
func (u *Units) kindOf(w *worker) int32 {
	role := w.role
	if w.partial && w.home >= 0 {
		role = w.home
	}
	at := w.looks.most
	if !w.looks.known || at.unknown() {
		return role
	}
	start, known := u.starts[at]
	switch {
	case !w.own && known:
		return start
	case w.own && (known || len(u.starts) < maxSpots*maxKinds):
		if u.starts == nil {
			u.starts = map[spot]int32{}
		}
		u.starts[at] = role
	}
	return role
}

// runs notes how busy a thread is.
func (w *worker) runs(e *threadtrace.Event) {
	since := float64(max(e.Time-w.seen, e.Duration))
	if w.seen == 0 {
		since = remembers
	}
	part := min(1, since/remembers)
	w.busy += part * (float64(e.Duration)/since - w.busy)
	w.seen = e.Time
}

// look takes a look at a thread that waits, false when it rests.
func (u *Units) look(w *worker, thread int32, e *threadtrace.Event, recorded int64, emit func(Request)) bool {
	at := u.spot(thread, e)
	if !u.Stacks.Get(e.Stack).Lock { // nobody rests there, however long it may take
		w.looks.add(at, e.Duration)
	}
	since := e.Time - e.Elapsed
	if u.rests(w, at) {
		if role, ok := u.Stacks.Role(e.Stack); ok && u.ofApplication(e.Stack) {
			w.home = role
		}
		if w.work.begun && since >= w.work.start {
			w.ends(u, thread, w.work.last, false, recorded, emit)
		}
		return false
	}
	w.goesOn(u, thread, since, e.Time, recorded, emit)
	return true
}

// call takes a call that was recorded, false when the thread rests in it.
func (u *Units) call(w *worker, thread int32, e *threadtrace.Event, recorded int64, emit func(Request)) bool {
	at := u.spot(thread, e)
	class := u.Classes.Of(e.Number)
	waits := unit.Waits(class, e.Duration) || e.Cut && unit.Waits(class, 1<<62)
	if e.Kind == threadtrace.KindInFlight && !e.Cut {
		return false // it comes again
	}
	if waits && w.looks.known && at.number == w.looks.most.number {
		w.calls.add(at, e.Duration)
	}
	if waits && u.rests(w, at) {
		entered := e.Kind == threadtrace.KindInFlight || !e.Cut
		w.ends(u, thread, e.Time, entered, recorded, emit)
		if e.Kind == threadtrace.KindCall {
			w.work = work{begun: true, exact: true, start: e.End(), last: e.End(), stacks: w.work.stacks[:0], calls: w.work.calls[:0], role: -1}
		}
		return false
	}
	w.goesOn(u, thread, e.Time, e.End(), recorded, emit)
	w.work.makes(e.Number)
	return true
}

// spot is where an event finds a thread waiting.
func (u *Units) spot(thread int32, e *threadtrace.Event) spot {
	s := spot{number: e.Number, function: -1}
	if f, ok := u.Stacks.Leaf(e.Stack); ok && e.Stack != 0 {
		if s.function = f; !u.ofApplication(e.Stack) && u.various(thread, e.Number) {
			s.function, s.stack = -1, e.Stack
		}
	}
	return s
}

// rests reports whether a wait at a spot ends a request.
func (u *Units) rests(w *worker, at spot) bool {
	if u.shared || !w.looks.known {
		return u.Classes.Of(at.number)&(threadtrace.ClassFutex|threadtrace.ClassIdle|threadtrace.ClassReadLike) != 0
	}
	return w.looks.is(at) || at.number == w.looks.most.number && w.calls.is(at)
}

// goesOn has a thread at work from one instant to another. What it did before is over if
// it may have rested in between.
func (w *worker) goesOn(u *Units, thread int32, from, to, recorded int64, emit func(Request)) {
	k := &w.work
	if k.begun && from > k.last && (recorded == 0 || recorded > k.last) {
		if float64(from-k.last) > patience*float64(u.period) {
			w.ends(u, thread, k.last, false, recorded, emit)
		} else {
			k.link(u.period)
		}
	}
	if !k.begun {
		*k = work{begun: true, start: from, last: to, stacks: k.stacks[:0], calls: k.calls[:0], role: -1}
	}
	k.last, k.met = max(k.last, to), true
}

// link notes that work goes on as far as is known.
func (k *work) link(period int64) {
	if k.links++; k.links == 1 && k.last-k.start > 2*period {
		sure := *k
		sure.stacks, sure.calls, sure.links = slices.Clone(k.stacks), slices.Clone(k.calls), 0
		k.sure = &sure
	}
}

// others is how likely it is that work that is linked is that of several requests: so
// often others would have been met in its place.
func (w *worker) others() float64 {
	if w.work.links == 0 {
		return 0
	}
	met := 1 - math.Exp(-w.busy*patience)
	return math.Pow(met, float64(w.work.links))
}

// ends ends a unit; entered is set when the begin of the rest was recorded.
func (w *worker) ends(u *Units, thread int32, at int64, entered bool, recorded int64, emit func(Request)) {
	k := &w.work
	if !k.begun || !k.met {
		k.begun = false
		return
	}
	if w.others() > another {
		if k.sure == nil {
			*k = work{stacks: k.stacks[:0], calls: k.calls[:0]}
			return
		}
		w.work, entered = *k.sure, false
	}
	end := k.last
	if entered {
		end = at
	}
	whole := k.exact && entered && recorded > 0 && recorded <= k.start
	r := Request{
		Start: k.start, End: end, Thread: thread, Unit: true, Seen: slices.Clone(k.stacks),
		Part: !whole, Begun: k.exact, Alone: w.others() <= anybodys,
	}
	if whole {
		r.Calls = u.sets.of(k.calls)
	}
	role := u.kindOf(w)
	if u.shared {
		role = k.role
	}
	if (role >= 0 || u.shared) && end > k.start {
		r.Kind = theRuntimes
		if role >= 0 && !u.Stacks.IsRuntime(role) {
			r.Kind = u.Stacks.Function(role).Name
		}
		emit(r)
	}
	*k = work{stacks: k.stacks[:0], calls: k.calls[:0]}
}

// add notes what was seen of a unit.
func (k *work) add(t unit.StackTime) {
	if t.Stack == 0 {
		return
	}
	for i := range k.stacks {
		if s := &k.stacks[i]; s.Stack == t.Stack && s.Number == t.Number && s.Waiting == t.Waiting {
			s.Time += t.Time
			return
		}
	}
	if len(k.stacks) < maxSeen {
		k.stacks = append(k.stacks, t)
	}
}

// Restart leaves out what all threads do until their next rest.
func (u *Units) Restart() {
	for _, w := range u.workers {
		w.work = work{stacks: w.work.stacks[:0], calls: w.work.calls[:0]}
	}
}

// Forget drops threads that are gone.
func (u *Units) Forget(gone func(thread int32) bool) {
	u.Sights.Forget(gone)
	u.latest = nil
	for id := range u.workers {
		if gone(id) {
			delete(u.workers, id)
		}
	}
}

// Len is how many threads are known.
func (u *Units) Len() int { return len(u.workers) }
