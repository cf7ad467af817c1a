package hop

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxCells bounds the distinct (thread, stack, call) of one hop; time beyond
	// is kept without its thread.
	maxCells = 16384
	// maxSites bounds the distinct (call, stack) of one hop.
	maxSites = 4096
	// maxBelow bounds the distinct Below of one hop; of more nothing is kept.
	maxBelow = 1024
	// maxRefused bounds the distinct refusals of one hop.
	maxRefused = 32
	// maxThreads bounds the threads kept with a refusal.
	maxThreads = 4096
	// Moments is the number of parts of a hop that Seen tells apart.
	Moments = 64

	etimedout = 110
)

// Cell is one stack of one thread, on CPU or waiting in a call.
type Cell struct {
	Thread  int32
	Stack   uint32
	Number  int32
	Waiting bool
	// Fresh is set on what a thread does that has no past yet.
	Fresh bool
}

// Below is what the functions of a place were seen to call of packages; Packages is of a
// frames.Packages.
type Below struct {
	Place
	Packages uint32
	Waiting  bool
}

// Seen is what was seen of a cell.
type Seen struct {
	// Time is in nanoseconds, First and Last in nanoseconds since the epoch.
	// Longest is for how long the longest single wait had lasted.
	Time, First, Last, Longest int64
	// Moments has a bit for each part of the hop in which it was seen.
	Moments uint64
	// Population is how many goroutines the thread of the cell stands for, zero when
	// it is one.
	Population uint16
}

// SeenCell is a cell with what was seen of it.
type SeenCell struct {
	Cell
	Seen
}

// seenCells are cells in the order in which they were seen first: they are gone through several
// times for once that each is looked for.
type seenCells struct {
	at   map[Cell]int32
	list []SeenCell
}

// find is that of a cell, which is taken up if there is room, and of its stack without its thread
// if there is none.
func (s *seenCells) find(c Cell) *Seen {
	at, known := s.at[c]
	if !known && len(s.list) >= maxCells {
		c.Thread = 0
		at, known = s.at[c]
	}
	if !known {
		at = int32(len(s.list)) //nolint:gosec // bounded by maxCells and the stacks of a service
		s.at[c] = at
		s.list = append(s.list, SeenCell{Cell: c})
	}
	return &s.list[at].Seen
}

// Place is where a thread waits.
type Place struct {
	Stack  uint32
	Number int32
}

// Site is a call with its outcome at one stack.
type Site struct {
	Key   unit.Key
	Stack uint32
}

// siteCounts are how often sites were seen, in the order in which they were seen first.
type siteCounts struct {
	at   map[Site]int32
	list []Site
	n    []uint32
}

// add counts a site if there is room.
func (s *siteCounts) add(at Site, n uint32) {
	i, known := s.at[at]
	if !known {
		if len(s.list) >= maxSites {
			return
		}
		i = int32(len(s.list)) //nolint:gosec // below maxSites
		s.at[at] = i
		s.list, s.n = append(s.list, at), append(s.n, 0)
	}
	s.n[i] += n
}

// per is how often each was seen in one of some seconds.
func (s *siteCounts) per(seconds float64) Sites {
	sites := Sites{keys: slices.Clone(s.list), of: make([]float64, len(s.n))}
	for i, n := range s.n {
		sites.of[i] = float64(n) / seconds
	}
	return sites
}

// Totals sums up one call: how often, how long in nanoseconds, how many bytes.
type Totals struct{ N, Time, Bytes float64 }

// Span is a stretch of one thread, in nanoseconds since the epoch.
type Span struct {
	ThreadID   int32
	Start, End int64
}

// Open gathers what is seen between Start and End (nanoseconds since the epoch).
// It is not safe for concurrent use; its memory is bounded by the constants of
// this package.
type Open struct {
	Start, End int64
	// Units is a sample of the execution units that ended, Orders counts in which
	// order functions were told by signatures.
	Units  UnitSample
	Orders map[Order]uint32
	// Born has the roles of the threads seen for the first time.
	Born map[int32]bool
	// Chains has who waited for whom, and what threads did meanwhile.
	Chains chain.Trace

	// longest is for how much of a call's time this hop has room.
	longest                int64
	coveredFrom, coveredTo int64
	// looked is the time the coverage records speak of, summed over the processes,
	// traced the part of it in which every call was recorded.
	looked, traced    int64
	cpuTime, runDelay int64
	machine           Machine // sums
	sample, snapshot  int64
	// gaps sums how far the snapshots that saw a thread wait came after the one
	// before, looks counts these sightings.
	gaps, looks int64
	functions   int
	dropped     uint64
	cells       seenCells
	below       map[Below]int64
	cpuOutside  int64
	succeeded   [512]Totals
	called      [512 / 64]uint64 // a bit for each of those with any
	failed      map[unit.Key]Totals
	sites       siteCounts
	timedOut    map[int32]float64
	refused     map[unit.Key]map[int32]Span
	flows       chain.Flows // of parts of the hop that were summed up before
	// places is how many of them a hop may have.
	places int
}

// Like has room made for a hop that is like another one.
func (h *Open) Like(c *Closed) { h.places = len(c.Wait) }

// NewOpen starts a hop that keeps at most maxUnits execution units.
func NewOpen(start, end int64, maxUnits int) *Open {
	return &Open{
		Start: start, End: end, longest: end - start,
		Units: newUnitSample(maxUnits, uint64(start)), //nolint:gosec // a seed
		Born:  map[int32]bool{}, Orders: map[Order]uint32{},
		cells: seenCells{at: map[Cell]int32{}}, below: map[Below]int64{}, failed: map[unit.Key]Totals{}, sites: siteCounts{at: map[Site]int32{}},
		timedOut: map[int32]float64{}, refused: map[unit.Key]map[int32]Span{},
	}
}

// Len is the number of entries held, for an estimate of the memory.
func (h *Open) Len() int {
	return len(h.cells.list) + len(h.below) + len(h.sites.list) + len(h.failed) + len(h.succeeded) + len(h.flows) + h.Chains.Len()
}

// Drop counts events that are known to be lost.
func (h *Open) Drop(n uint64) { h.dropped += n }

// Sample takes a sighting of a thread on a CPU.
func (h *Open) Sample(c Cell, e *threadtrace.Event) {
	h.see(c, e)
	if e.Number == threadtrace.NoCall {
		h.cpuOutside += e.Duration
	}
}

// Blocked takes a sighting of a thread that waits.
func (h *Open) Blocked(c Cell, e *threadtrace.Event) {
	if !threadtrace.IsGoroutineWait(e.Number) { // they are looked at at other times
		h.gaps += e.Duration
		h.looks++
	}
	h.see(c, e)
}

func (h *Open) see(c Cell, e *threadtrace.Event) {
	duration := max(0, e.Duration)
	t := h.cells.find(c)
	if t.Time == 0 {
		t.First = e.Time - duration
	}
	t.Time += duration
	t.First = min(t.First, e.Time-duration)
	t.Last = max(t.Last, e.Time)
	t.Longest = max(t.Longest, e.Elapsed)
	t.Population = max(t.Population, e.Population)
	t.Moments |= 1 << min(Moments-1, max(0, (e.Time-h.Start)*Moments/(h.End-h.Start)))
}

// CallsPackages takes for how long (nanoseconds) a cell was seen with functions of packages below
// those of its stack.
func (h *Open) CallsPackages(c Cell, packages uint32, duration int64) {
	at := Below{Place{c.Stack, c.Number}, packages, c.Waiting}
	if _, ok := h.below[at]; (ok || len(h.below) < maxBelow) && packages != 0 {
		h.below[at] += max(0, duration)
	}
}

// Call counts a call that has returned. The time in which the thread was
// runnable and had no CPU is no part of what the call took.
func (h *Open) Call(e *threadtrace.Event, class threadtrace.Class) {
	moves := class&(threadtrace.ClassInput|threadtrace.ClassOutput) != 0
	waits := class&threadtrace.ClassReadiness != 0 && e.Return == 0 || class&threadtrace.ClassFutex != 0 && e.Return == -etimedout
	k := unit.KeyOf(e.Number, e.Return)
	// What a call took before this hop belongs to the hops before.
	took := float64(min(onCall(e), h.longest))
	if k.Errno == 0 && k.Number >= 0 && int(k.Number) < len(h.succeeded) {
		t := h.success(k.Number)
		t.N++
		t.Time += took
		if moves && e.Return > 0 {
			t.Bytes += float64(e.Return)
		}
	} else if t, ok := h.failed[k]; ok || len(h.failed) < maxSites {
		t.N++
		t.Time += took
		h.failed[k] = t
	}
	if waits {
		h.timedOut[e.Number] += took
	}
	if e.Stack != 0 {
		h.sites.add(Site{k, e.Stack}, 1)
	}
}

// success has the calls with a number, of those with room for it.
func (h *Open) success(number int32) *Totals {
	h.called[number/64] |= 1 << (number % 64)
	return &h.succeeded[number]
}

// successes are the calls of which there are any, in the order of their numbers.
func (h *Open) successes() iter.Seq2[unit.Key, Totals] {
	return func(yield func(unit.Key, Totals) bool) {
		for word, left := range h.called {
			for ; left != 0; left &= left - 1 {
				number := 64*word + bits.TrailingZeros64(left)
				if !yield(unit.Key{Number: int32(number)}, h.succeeded[number]) { //nolint:gosec // below 512
					return
				}
			}
		}
	}
}

// onCall is what a call took, without the time its thread was runnable and had no CPU.
func onCall(e *threadtrace.Event) int64 { return max(0, e.Duration-e.Delay) }

// CutOff takes the part of a call that fell into a burst of tracing which ended
// before the call: another one, cut by the beginning, has the count for it.
func (h *Open) CutOff(e *threadtrace.Event) {
	if e.Number >= 0 && int(e.Number) < len(h.succeeded) {
		h.success(e.Number).Time += float64(min(onCall(e), h.longest))
	}
}

// Refused notes which thread was refused a call.
func (h *Open) Refused(thread int32, e *threadtrace.Event) {
	k := unit.KeyOf(e.Number, e.Return)
	threads := h.refused[k]
	if threads == nil {
		if len(h.refused) >= maxRefused {
			return
		}
		threads = map[int32]Span{}
		h.refused[k] = threads
	}
	sp, ok := threads[thread]
	if !ok {
		if len(threads) >= maxThreads {
			return
		}
		sp = Span{ThreadID: thread, Start: e.Time, End: e.End()}
	}
	sp.Start, sp.End = min(sp.Start, e.Time), max(sp.End, e.End())
	threads[thread] = sp
}

// Cover takes what was looked at of one process.
func (h *Open) Cover(c *threadtrace.Coverage) {
	if h.coveredTo == 0 {
		h.coveredFrom, h.coveredTo = c.Start, c.End
	}
	h.coveredFrom = max(h.Start, min(h.coveredFrom, c.Start))
	h.coveredTo = max(h.coveredFrom, min(h.End, max(h.coveredTo, c.End)))
	h.looked += c.End - c.Start
	h.traced += int64(c.Traced)
	h.cpuTime += int64(c.CPUTime)
	h.runDelay += int64(c.RunDelay)
	h.sample = max(h.sample, int64(c.SamplePeriod))
	h.snapshot = max(h.snapshot, int64(c.SnapshotPeriod))
	h.functions = max(h.functions, c.Functions)
	for reason, n := range c.Dropped {
		if lostCalls[reason] {
			h.dropped += n
		}
	}
}

// lostCalls are the receiver's reasons for which calls are missing from the
// counts; what else is lost are stacks and notices.
var lostCalls = map[string]bool{
	"ring_overwrite": true, "torn_read": true, "slot_collision": true, "share_exceeded": true, "queue_full": true, "refused": true,
}

// Compare orders sites.
func (s Site) Compare(o Site) int {
	return cmp.Or(s.Key.Compare(o.Key), cmp.Compare(s.Stack, o.Stack))
}
