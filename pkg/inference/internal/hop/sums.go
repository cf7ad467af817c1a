package hop

import (
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
)

// Sums is what an open hop has summed up so far, but for execution units and the
// orders that signatures tell: enough to add it to another one. It shares the maps
// of the hop.
type Sums struct {
	Looked
	Cells    []SeenCell
	Calls    map[unit.Key]Totals
	TimedOut map[int32]float64
	Sites    map[Site]uint32
	Refused  map[unit.Key]map[int32]Span
	// Machine has sums, not figures per second.
	Machine Machine
	Flows   chain.Flows
}

// Looked sums up the coverage of a hop. From and To are in nanoseconds since the
// epoch, the other times in nanoseconds.
type Looked struct {
	// From and To are zero when nothing was looked at.
	From, To int64
	// Time is summed over the processes, Traced the part of it in which every call
	// was recorded.
	Time, Traced, CPU, RunDelay  int64
	SamplePeriod, SnapshotPeriod int64
	// CPUOutside is the sampled part of CPU in user code, Looks counts the
	// sightings of threads that wait and Gaps sums what they stand for.
	CPUOutside, Gaps, Looks int64
	Functions               int
	// Dropped counts the calls that are known to be lost.
	Dropped uint64
}

// NewSummary is NewOpen for a part of a hop: of a call it counts as much time as a
// hop of the given length (nanoseconds) has room for.
func NewSummary(start, end, longest int64) *Open {
	h := NewOpen(start, end, 0)
	h.longest = longest
	return h
}

// Sums returns what the hop has summed up.
func (h *Open) Sums() Sums {
	s := Sums{
		Looked: Looked{
			From: h.coveredFrom, To: h.coveredTo, Time: h.looked, Traced: h.traced, CPU: h.cpuTime, RunDelay: h.runDelay,
			SamplePeriod: h.sample, SnapshotPeriod: h.snapshot, CPUOutside: h.cpuOutside, Gaps: h.gaps, Looks: h.looks,
			Functions: h.functions, Dropped: h.dropped,
		},
		Cells: h.cells.list, Calls: map[unit.Key]Totals{}, TimedOut: h.timedOut, Sites: map[Site]uint32{}, Refused: h.refused,
		Machine: h.machine, Flows: h.Flows(),
	}
	for k, t := range h.successes() {
		if t != (Totals{}) {
			s.Calls[k] = t
		}
	}
	for k, t := range h.failed {
		s.Calls[k] = t
	}
	for i, at := range h.sites.list {
		s.Sites[at] = h.sites.n[i]
	}
	return s
}

// AddCell adds what was seen of a cell in a part of the hop.
func (h *Open) AddCell(c Cell, s Seen) {
	t := h.cells.find(c)
	if *t == (Seen{}) {
		t.First = s.First
	}
	*t = Seen{
		Time: t.Time + s.Time, First: min(t.First, s.First), Last: max(t.Last, s.Last),
		Longest: max(t.Longest, s.Longest), Moments: t.Moments | s.Moments, Population: max(t.Population, s.Population),
	}
}

// AddCalls adds calls of one kind.
func (h *Open) AddCalls(k unit.Key, s Totals) {
	add := func(t Totals) Totals { return Totals{t.N + s.N, t.Time + s.Time, t.Bytes + s.Bytes} }
	if k.Errno == 0 && k.Number >= 0 && int(k.Number) < len(h.succeeded) {
		t := h.success(k.Number)
		*t = add(*t)
	} else if t, ok := h.failed[k]; ok || len(h.failed) < maxSites {
		h.failed[k] = add(t)
	}
}

// AddTimedOut adds time (nanoseconds) in waits whose time was over.
func (h *Open) AddTimedOut(number int32, time float64) { h.timedOut[number] += time }

// AddSite adds calls that were made at one stack.
func (h *Open) AddSite(s Site, n uint32) { h.sites.add(s, n) }

// AddRefused adds a thread that was refused a call.
func (h *Open) AddRefused(k unit.Key, s Span) {
	threads := h.refused[k]
	if threads == nil {
		if len(h.refused) >= maxRefused {
			return
		}
		threads = map[int32]Span{}
		h.refused[k] = threads
	}
	if was, ok := threads[s.ThreadID]; ok {
		s.Start, s.End = min(s.Start, was.Start), max(s.End, was.End)
	} else if len(threads) >= maxThreads {
		return
	}
	threads[s.ThreadID] = s
}

// AddLooked adds what was looked at in a part of the hop.
func (h *Open) AddLooked(l *Looked) {
	if l.To > 0 {
		if h.coveredTo == 0 {
			h.coveredFrom, h.coveredTo = l.From, l.To
		}
		h.coveredFrom = max(h.Start, min(h.coveredFrom, l.From))
		h.coveredTo = max(h.coveredFrom, min(h.End, max(h.coveredTo, l.To)))
	}
	h.looked += l.Time
	h.traced += l.Traced
	h.cpuTime += l.CPU
	h.runDelay += l.RunDelay
	h.sample = max(h.sample, l.SamplePeriod)
	h.snapshot = max(h.snapshot, l.SnapshotPeriod)
	h.cpuOutside += l.CPUOutside
	h.gaps += l.Gaps
	h.looks += l.Looks
	h.functions = max(h.functions, l.Functions)
	h.dropped += l.Dropped
}

// Flows is what waits of the hop were spent on.
func (h *Open) Flows() chain.Flows { return h.flows.And(h.Chains.Flows(h.Start)) }

// AddFlow adds what waits in a part of the hop were spent on.
func (h *Open) AddFlow(at chain.Flow, s chain.Sum) {
	if h.flows == nil {
		h.flows = chain.Flows{}
	}
	h.flows.Add(at, s)
}
