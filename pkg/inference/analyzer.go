package inference

import (
	"maps"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/tail"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Stats is what an Analyzer holds and has seen.
type Stats struct {
	// Hops, Units, Clusters, Threads and Stacks are present counts.
	Hops, Units, Clusters, Threads, Stacks int
	// Bytes estimates the memory held.
	Bytes int64
	// UnitsSeen, UnitsEvicted, LateEvents, ThreadsOverflow, HopsJudged and
	// CallsNamed (by signatures) only grow.
	UnitsSeen, UnitsEvicted, LateEvents, ThreadsOverflow, HopsJudged, CallsNamed uint64
	// Score is the effect of the last judged hop (1 is what would matter), Evidence
	// that it is real; Load its work relative to the usual, Active the time active
	// in seconds per second. Zero while there is no past.
	Score, Evidence, Load, Active float64
	// Last is what the last hop said, judged or not.
	Last HopFigures
}

// Analyzer follows one service instance. It is not safe for concurrent use. Its
// memory is bounded by Config.MaxUnits and the constants of its packages;
// Stats.Bytes estimates it.
type Analyzer struct {
	cfg     Config
	arch    string
	classes *threadtrace.Classes
	stacks  *frames.Table
	// packages has what is called of packages below those stacks.
	packages *frames.Packages
	threads  threads
	open     []*hop.Open
	// adder is what hops are closed with.
	adder hop.Adder
	// lastClosed is the end of the newest hop that is over.
	lastClosed int64
	// aheadOf is the start of the open hop that was judged ahead.
	aheadOf  int64
	habit    habit
	detector *detect.Detector
	machine  cause.Test
	// served is set once a client was seen.
	served  bool
	episode *episode
	// latest is what the last judged hop was compared with, recent what is kept of
	// the last hops and episodes to be shown.
	latest     *normal
	recent     recent
	excursions detect.Excursions
	// tail and warm are for the time without a past.
	tail     tail.Tail
	warm     *episode
	slow     slowRequests
	stats    Stats
	interned []interned
	// dictionary has the stacks of the dictionary of intervals.
	dictionary []interned
	names      names
	bursts     bursts
	// inherited, start, states and outline are of a past that outlives the process.
	inherited inherited
	start     start
	states    states
	outline   outline
	// succession is set while the build is compared with the one before it.
	succession *succession
}

// NewAnalyzer starts to follow a service whose machine has the architecture arch
// ("amd64", "arm64").
func NewAnalyzer(cfg Config, arch string) *Analyzer {
	classes, stacks, index := threadtrace.NewClasses(arch), frames.NewTable(), baseline.NewIndex()
	may := baseline.MayIdle{Classes: classes, Stacks: stacks}
	return &Analyzer{
		cfg: cfg, arch: arch, classes: classes, stacks: stacks, packages: frames.NewPackages(),
		threads:  threads{},
		habit:    newHabit(may, index, int(cfg.Window/cfg.Hop)),
		detector: detect.New(cfg.decision(), classes, index),
		slow:     newSlowRequests(cfg, stacks, classes),
	}
}

// AddCoverage takes what was looked at of one of the service's processes.
func (a *Analyzer) AddCoverage(c threadtrace.Coverage) {
	if c.End <= c.Start {
		return
	}
	a.bursts.cover(&c)
	// A flush may reach over the edge of a hop: each has its part of it. One that is
	// longer than all open hops says nothing about any.
	length := int64(a.cfg.Hop)
	for from, n := c.Start, 0; from < c.End && n < maxOpen; n++ {
		to := min(c.End, from-from%length+length)
		part := c
		part.Start, part.End = from, to
		// What is negative is a mistake of who sent it, and no time.
		scale := float64(to-from) / float64(c.End-c.Start)
		part.CPUTime = max(0, time.Duration(float64(c.CPUTime)*scale))
		part.RunDelay = max(0, time.Duration(float64(c.RunDelay)*scale))
		part.Traced = max(0, time.Duration(float64(c.Traced)*scale))
		if from > c.Start {
			part.Dropped = nil
		}
		a.hopAt(from).Cover(&part)
		from = to
	}
}

// interned is the identifiers of a stack of a batch: its own, that of the place, zero
// until something waits there, and, once asked for, that of the packages below.
type interned struct {
	stack, place, packages uint32
	asked                  bool
}

// AddBatch folds the events of one thread into their hops. It keeps nothing of
// the batch.
func (a *Analyzer) AddBatch(b *threadtrace.Batch) {
	a.interned = a.interned[:0]
	for i := range b.Stacks {
		a.interned = append(a.interned, interned{stack: a.stacks.Intern(&b.Stacks[i])})
	}
	a.addWakings(b)
	if len(b.Events) == 0 {
		return
	}
	th := a.threads.of(b.ThreadID, b.Events[0].Time, a.classes)
	if th == nil {
		a.stats.ThreadsOverflow++
	} else if b.Dropped > 0 {
		th.place = signature.Thread{} // where the lost calls belong nobody knows
	}
	var h *hop.Open
	emit := a.emit(th)
	for i := range b.Events {
		e := b.Events[i]
		e.Duration, e.Elapsed, e.Delay = max(0, e.Duration), max(0, e.Elapsed), max(0, e.Delay)
		var place, packages uint32
		e.Stack, place, packages = a.stacksOf(b, &e)
		if at := e.End(); h == nil || at < h.Start || at >= h.End {
			h = a.hopAt(at)
		}
		if _, followed := e.Followed(); followed {
			a.slow.follow(b.ThreadID, &e)
			continue // its time is in the sum of its creator's
		}
		a.slow.see(b.ThreadID, &e, place, a.bursts.recorded(e.End()))
		if th != nil && len(a.bursts.edges) > 0 {
			a.bursts.breakBefore(th, e.End(), emit)
		}
		if th != nil && e.Kind == threadtrace.KindCall {
			a.stats.CallsNamed += a.names.name(a, h, th, &e)
		}
		a.fold(h, th, b.ThreadID, &e, packages)
		h.Chains.Event(b.ThreadID, &e, place, a.classes.Of(e.Number))
		if th != nil {
			th.lastSeen = max(th.lastSeen, e.End())
			th.segmenter.Add(&e, emit)
		}
	}
	h.Drop(b.Dropped)
}

// stacksOf is the identifiers of an event's stack, of that as the place of a wait, and of what
// it has of packages; all are zero where the batch has no such stack.
func (a *Analyzer) stacksOf(b *threadtrace.Batch, e *threadtrace.Event) (stack, place, packages uint32) {
	if e.Stack == 0 || int(e.Stack) > len(a.interned) {
		return 0, 0, 0
	}
	of, id := &b.Stacks[e.Stack-1], &a.interned[e.Stack-1]
	stack = a.identify(of, id, e.Kind)
	place, packages = stack, a.below(of, id, e.Kind)
	if e.Kind == threadtrace.KindCall || e.Kind == threadtrace.KindInFlight {
		place = a.identify(of, id, threadtrace.KindBlocked)
	}
	return stack, place, packages
}

// identify is the identifier of the stack of an event.
func (a *Analyzer) identify(stack *threadtrace.Stack, id *interned, kind threadtrace.Kind) uint32 {
	if kind != threadtrace.KindBlocked {
		return id.stack
	}
	if id.place == 0 {
		id.place = a.stacks.InternPlace(stack)
	}
	return id.place
}

// below is the identifier of what the program calls of packages on the stack of an event;
// zero for an event that says nothing of time.
func (a *Analyzer) below(stack *threadtrace.Stack, id *interned, kind threadtrace.Kind) uint32 {
	if kind != threadtrace.KindSample && kind != threadtrace.KindBlocked {
		return 0
	}
	if !id.asked {
		id.asked, id.packages = true, a.packages.Below(stack)
	}
	return id.packages
}

// emit takes the units of a thread. A unit is known to have ended when the wait
// after it is over; if its hop was judged meanwhile, it was judged as an open one.
// Units of threads without a past have no neighbours, and one that was cut has no
// length to compare.
func (a *Analyzer) emit(th *thread) func(*unit.Unit) {
	return func(u *unit.Unit) {
		if u.End >= a.lastClosed && !a.fresh(th) && !u.Cut {
			a.addUnit(a.hopAt(u.End), u)
		}
	}
}

// addUnit takes a unit of a hop. It is kept as long as there is no past: nothing else is
// compared with units.
func (a *Analyzer) addUnit(h *hop.Open, u *unit.Unit) {
	if a.latest != nil {
		h.Units.Seen++
		return
	}
	h.Units.Add(u)
}

func (a *Analyzer) fold(h *hop.Open, th *thread, tid int32, e *threadtrace.Event, packages uint32) {
	switch e.Kind {
	case threadtrace.KindCall:
		h.Call(e, a.classes.Of(e.Number))
		if e.Return < 0 && detect.IsRefusal(unit.KeyOf(e.Number, e.Return), a.classes) {
			h.Refused(tid, e)
		}
	case threadtrace.KindInFlight:
		if e.Cut {
			h.CutOff(e)
		}
	case threadtrace.KindSample:
		a.recognise(h, th, e.Stack)
		at := hop.Cell{Thread: tid, Stack: e.Stack, Fresh: a.fresh(th)}
		h.Sample(at, e)
		h.CallsPackages(at, packages, e.Duration)
	case threadtrace.KindBlocked:
		if a.classes.Is(e.Number, threadtrace.ClassYield) {
			return // it waits for a CPU
		}
		a.recognise(h, th, e.Stack)
		at := hop.Cell{Thread: tid, Stack: e.Stack, Number: e.Number, Waiting: true, Fresh: a.fresh(th)}
		h.Blocked(at, e)
		h.CallsPackages(at, packages, e.Duration)
	}
}

// hopAt returns the open hop that holds an instant; the oldest open one for what
// comes late, the newest for what is too far ahead.
func (a *Analyzer) hopAt(at int64) *hop.Open {
	length := int64(a.cfg.Hop)
	start := at - at%length
	if start < a.lastClosed {
		a.stats.LateEvents++
		start = a.lastClosed
	}
	i, found := slices.BinarySearchFunc(a.open, start, func(h *hop.Open, t int64) int { return int(h.Start/length - t/length) })
	if found {
		return a.open[i]
	}
	if len(a.open) >= maxOpen {
		return a.open[min(i, len(a.open)-1)]
	}
	h := hop.NewOpen(start, start+length, a.cfg.MaxUnits/int(a.cfg.Window/a.cfg.Hop))
	if n := len(a.habit.hops); n > 0 {
		h.Like(a.habit.hops[n-1])
	}
	a.open = slices.Insert(a.open, i, h)
	return h
}

// Advance closes the hops that ended by now (nanoseconds since the epoch, in the
// events' time) and returns what is abnormal in them.
func (a *Analyzer) Advance(now int64) []Anomaly {
	var found []Anomaly
	for len(a.open) > 0 && a.open[0].End <= now {
		h := a.open[0]
		a.open = a.open[1:]
		if anomaly, ok := a.closeHop(h); ok {
			found = append(found, anomaly)
		}
	}
	return found
}

func (a *Analyzer) closeHop(h *hop.Open) (Anomaly, bool) {
	a.lastClosed = h.End
	for _, id := range slices.Sorted(maps.Keys(a.threads)) {
		th := a.threads[id]
		a.bursts.breakBefore(th, h.End, a.emit(th))
		if u := th.segmenter.Open(h.End); u != nil && u.End > h.Start && !a.fresh(th) && !u.Cut {
			a.addUnit(h, u)
		}
		th.segmenter.Mark()
		if a.episode == nil && th.lastSeen > h.Start {
			if th.hops++; th.hops > criteria.PriorHops { // it has a past of its own, whatever it does
				th.known = true
			}
		}
		if h.End-th.lastSeen > int64(a.cfg.Window) {
			delete(a.threads, id)
		}
	}
	a.stats.UnitsSeen += h.Units.Seen
	a.stats.UnitsEvicted += h.Units.Evicted
	c := h.Close(a.classes, &a.adder)
	if c == nil {
		return Anomaly{}, false
	}
	a.describeHop(c)
	a.stats.HopsJudged++
	if a.inherited.since == 0 {
		a.inherited.since = c.End
	}
	a.excursions.Watch(c.Seconds)
	if a.succession != nil {
		a.succession.note(c, a.start.age(c))
	}
	a.recent.begin(c)
	a.slow.judge(a, c)
	found, ok := a.judge(c)
	c.Flows() // of a hop that is kept: what they are worked out from takes more room
	a.recent.end(c, a.habit.limit)
	a.stats.Last = a.recent.now
	return found, ok
}

// describeHop says of a hop how long was waited, and what its threads did.
func (a *Analyzer) describeHop(c *hop.Closed) {
	a.names.dropInferred(a.stacks, c)
	c.WaitExactly(a.classes)
	c.DescribeThreads(a.habit.may.At)
	if a.cfg.follows(RuleParkedApart) {
		a.setParkedApart(c)
	}
}

// Stats returns what the analyzer holds.
func (a *Analyzer) Stats() Stats {
	st := a.stats
	closed := a.habit.hops
	st.Hops, st.Clusters, st.Threads, st.Stacks = len(closed), a.tail.Clusters, len(a.threads), a.stacks.Len()
	// Sizes of the structures, measured once with unsafe.Sizeof and rounded up to
	// what the allocator gives; maps count one and a half times.
	const perUnit, perCount, perStack, perCell, perThread, perTime = 176, 32, 160, 64, 640, 8
	cells := 0
	for _, c := range closed {
		st.Units += len(c.Units)
		cells += c.CPU.Len() + len(c.Wait) + len(c.Below) + len(c.Calls) + c.Sites.Len()
		st.Bytes += perUnit*int64(len(c.Units)) + perCount*int64(c.UnitCounts)
	}
	for _, h := range a.open {
		cells += h.Len()
	}
	for _, c := range a.outside() {
		cells += c.CPU.Len() + len(c.Wait) + len(c.Below) + len(c.Calls) + c.Sites.Len()
	}
	st.Bytes += a.recent.bytes(closed) + a.slow.bytes() + int64(len(a.outline.encoded))
	for _, v := range a.habit.vectors.byHop {
		st.Bytes += perTime * int64(v.Len())
	}
	st.Bytes += int64(a.stacks.FunctionBytes()+a.packages.FunctionBytes()) + int64(cells)*perCell + int64(st.Stacks+a.packages.Len())*perStack + int64(len(a.threads))*perThread
	return st
}
