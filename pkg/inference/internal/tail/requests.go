package tail

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxWorkers bounds the threads of which it is known where they rest.
const maxWorkers = 4096

// Units makes requests of execution units. A thread rests in the call in which it was
// seen waiting most; a wait in another one (for a lock, a disk, a peer) is a part of
// what it does, and ends no request. It holds at most one unit of each of maxWorkers
// threads.
type Units struct {
	Stacks  *frames.Table
	Classes *threadtrace.Classes

	workers map[int32]*worker
	// shared is set when a runtime has its threads work now for one, now for another
	// task: they rest wherever it has them rest.
	shared bool
}

// worker is what is known of a thread.
type worker struct {
	// role is the function where it starts, own whether that is the application's.
	role int32
	own  bool
	// rests has how long it was seen waiting in each call, rest is the one with most.
	rests    map[int32]int64
	rest     int32
	restTime int64
	// wait is the last call if it is a wait of which it is not told yet whether it ends
	// the request, from when the last rest ended, zero when that is not known.
	wait    threadtrace.Event
	waiting bool
	from    int64
	// part is what was done before a wait that ended nothing, amid what was seen in
	// such waits.
	part *unit.Unit
	amid []unit.StackTime
}

// maxRests bounds the calls of a thread in which it may rest, maxAmid what is kept of
// the waits of a request.
const maxRests, maxAmid = 8, 2 * unit.MaxStacks

func (u *Units) worker(thread int32) *worker {
	w := u.workers[thread]
	if w != nil || len(u.workers) >= maxWorkers {
		return w
	}
	if u.workers == nil {
		u.workers = map[int32]*worker{}
	}
	w = &worker{role: -1, rests: map[int32]int64{}}
	u.workers[thread] = w
	return w
}

// See takes an event of a thread, before its unit is cut by it.
func (u *Units) See(thread int32, e *threadtrace.Event) {
	if thread < 0 {
		u.shared = true // goroutines
		return
	}
	w := u.worker(thread)
	if w == nil {
		return
	}
	u.settle(w)
	if e.Stack != 0 && !w.own {
		if role, ok := u.Stacks.Role(e.Stack); ok {
			w.role, w.own = role, u.Stacks.Get(e.Stack).Tier == frames.Application
		}
	}
	switch e.Kind {
	case threadtrace.KindCall:
		if w.waiting = unit.Waits(u.Classes.Of(e.Number), e.Duration); w.waiting {
			w.wait = *e
		}
	case threadtrace.KindBlocked:
		w.look(e)
		if e.Number != w.rest && unit.Waits(u.Classes.Of(e.Number), e.Elapsed) {
			w.see(unit.StackTime{Stack: e.Stack, Number: e.Number, Waiting: true, Time: e.Duration})
		}
	}
}

// look counts where a thread was seen waiting.
func (w *worker) look(e *threadtrace.Event) {
	if _, known := w.rests[e.Number]; !known && len(w.rests) >= maxRests {
		return
	}
	w.rests[e.Number] += e.Duration
	if w.rests[e.Number] > w.restTime {
		w.rest, w.restTime = e.Number, w.rests[e.Number]
	}
}

func (w *worker) see(t unit.StackTime) {
	if t.Stack != 0 && len(w.amid) < maxAmid {
		w.amid = append(w.amid, t)
	}
}

// settle takes the last wait for what it is, once the unit that it ended was taken.
func (u *Units) settle(w *worker) {
	switch {
	case !w.waiting:
		return
	case u.ends(w):
		w.from = w.wait.End()
		w.part, w.amid = nil, nil
	default:
		w.see(unit.StackTime{Stack: w.wait.Stack, Number: w.wait.Number, Waiting: true, Time: w.wait.Duration})
	}
	w.waiting = false
}

// ends reports whether the wait at hand is where the thread rests.
func (u *Units) ends(w *worker) bool {
	return u.shared || w.restTime == 0 || w.wait.Number == w.rest
}

// Take takes a unit that has ended, and returns the request that it completes, or the
// part of one that the tracing cut; broken is when the tracing of calls last began or
// ended.
func (u *Units) Take(x *unit.Unit, broken int64) (Request, bool) {
	w := u.workers[x.ThreadID]
	if w == nil {
		return Request{}, false
	}
	whole := x
	if w.part != nil {
		whole = joined(w.part, x)
	}
	if whole == x && (x.Cut || w.waiting && !u.ends(w) || w.role >= 0 && w.from > broken) {
		whole = x.Clone() // who emits it goes on with it
	}
	if x.Cut || x.Open {
		if x.Cut {
			whole.Stacks = append(whole.Stacks, w.amid...)
		}
		w.part, w.amid, w.from = nil, nil, 0
		return u.request(w, whole, true), w.role >= 0 && !x.Open
	}
	if w.part = nil; w.waiting && !u.ends(w) {
		w.part = whole
		return Request{}, false
	}
	amid := w.amid
	w.amid = nil
	if w.role < 0 || w.from == 0 || w.from <= broken {
		return Request{}, false
	}
	whole.Start = min(whole.Start, w.from)
	whole.Stacks = append(whole.Stacks, amid...)
	return u.request(w, whole, false), true
}

// Skip leaves out what a thread does until its next rest.
func (u *Units) Skip(thread int32) {
	if w := u.workers[thread]; w != nil {
		w.part, w.amid, w.from, w.waiting = nil, nil, 0, false
	}
}

// Restart leaves out what all threads do until their next rest.
func (u *Units) Restart() {
	for id := range u.workers {
		u.Skip(id)
	}
}

func (u *Units) request(w *worker, whole *unit.Unit, part bool) Request {
	if w.role < 0 {
		return Request{}
	}
	kind := u.Stacks.Function(w.role).Name
	if u.shared || u.Stacks.IsRuntime(w.role) {
		kind = "the runtime's threads"
	}
	bytes := 0.0
	for i := range whole.Calls {
		bytes += float64(whole.Calls[i].Bytes)
	}
	return Request{Kind: kind, Start: whole.Start, End: whole.End, Thread: whole.ThreadID, Size: bytes, Unit: whole, Part: part}
}

// joined is one unit made of two.
func joined(a, b *unit.Unit) *unit.Unit {
	a.End = b.End
	a.OnCPU += b.OnCPU
	a.Gap += b.Gap
	for _, c := range b.Calls {
		found := false
		for i := range a.Calls {
			if a.Calls[i].Key == c.Key {
				a.Calls[i].N, a.Calls[i].Time, a.Calls[i].Bytes = a.Calls[i].N+c.N, a.Calls[i].Time+c.Time, a.Calls[i].Bytes+c.Bytes
				found = true
			}
		}
		if !found && len(a.Calls) < unit.MaxKeys {
			a.Calls = append(a.Calls, c)
		}
	}
	for _, t := range b.Stacks {
		if len(a.Stacks) < 2*unit.MaxStacks {
			a.Stacks = append(a.Stacks, t)
		}
	}
	return a
}

// Forget drops threads that are gone.
func (u *Units) Forget(gone func(thread int32) bool) {
	for id := range u.workers {
		if gone(id) {
			delete(u.workers, id)
		}
	}
}

// Len is how many threads are known.
func (u *Units) Len() int { return len(u.workers) }
