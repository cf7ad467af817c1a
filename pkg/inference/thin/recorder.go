package thin

import (
	"cmp"
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxOpen bounds the intervals that wait for their last events.
	maxOpen = 64
	// maxThreads bounds the threads whose numbers are remembered; beyond it those
	// that go on get new ones.
	maxThreads = 1 << 16
	// maxNames bounds the resources and neighbours that have a number; of one beyond
	// nothing is kept.
	maxNames = 1 << 16
)

// Recorder sums up the records of one service instance. It is not safe for
// concurrent use. Its memory is bounded by MaxStacks and by the constants of a hop
// for each of at most 64 open intervals.
type Recorder struct {
	length     int64
	classes    *threadtrace.Classes
	dictionary *dictionary
	open       []*interval
	lastClosed int64
	threads    map[int32]int32
	numbered   int32
	names      map[string]uint32
}

// interval is one that is not over.
type interval struct {
	*hop.Open
	threads map[int32]bool
}

// NewRecorder starts to sum up a service whose machine has the architecture arch
// ("amd64", "arm64"), in intervals of a length of at least a millisecond. Hops can be
// formed from intervals of which a whole number goes into one.
func NewRecorder(arch string, length time.Duration) *Recorder {
	return &Recorder{
		length: int64(max(time.Millisecond, length)), classes: threadtrace.NewClasses(arch), dictionary: newDictionary(),
		threads: map[int32]int32{}, names: map[string]uint32{},
	}
}

// AddMachine takes what the service lacked of the machine. It keeps nothing of it.
func (r *Recorder) AddMachine(m *threadtrace.Machine) {
	for from, n := m.Start, 0; from < m.End && n < maxOpen; n++ {
		r.at(from).AddMachine(m)
		from += r.length - from%r.length
	}
}

// name is the number of a resource or neighbour, counted from one.
func (r *Recorder) name(s string) (n uint32, ok bool) {
	n, ok = r.names[s]
	if !ok && len(r.names) < maxNames {
		n, ok = uint32(len(r.names)+1), true //nolint:gosec // at most maxNames
		r.names[s] = n
	}
	return n, ok
}

// machine numbers what a sum of the machine names, in an order that does not change.
func (r *Recorder) machine(sum *hop.Machine) (m Machine) {
	m.Known = int64(math.Round(sum.Seconds * 1e9))
	for _, at := range slices.SortedFunc(maps.Keys(sum.Figures), func(a, b hop.Resource) int {
		return cmp.Or(cmp.Compare(a.Measure, b.Measure), cmp.Compare(a.Name, b.Name))
	}) {
		reading := Reading{Measure: at.Measure, Value: int64(math.Round(sum.Figures[at]))}
		ok := true
		if at.Name != "" {
			reading.Resource, ok = r.name(at.Name)
		}
		if ok {
			m.Readings = append(m.Readings, reading)
		}
	}
	for _, u := range slices.SortedFunc(maps.Keys(sum.Users), func(a, b hop.User) int {
		return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID))
	}) {
		who, ok := r.name(u.Name)
		value := int64(math.Round(sum.Users[u]))
		switch last := len(m.Users) - 1; {
		case !ok:
		case last >= 0 && m.Users[last].Of == u.Of && m.Users[last].Who == who:
			m.Users[last].Value += value // another process of it
		default:
			m.Users = append(m.Users, User{Of: u.Of, Who: who, Value: value})
		}
	}
	return m
}

// AddCoverage takes what was looked at of one of the service's processes.
func (r *Recorder) AddCoverage(c threadtrace.Coverage) {
	if c.End <= c.Start {
		return
	}
	// A flush may reach over the edge of an interval: each has its part of it.
	for from, n := c.Start, 0; from < c.End && n < maxOpen; n++ {
		to := min(c.End, from-from%r.length+r.length)
		scale := float64(to-from) / float64(c.End-c.Start)
		part := c
		part.Start, part.End = from, to
		part.CPUTime = time.Duration(float64(c.CPUTime) * scale)
		part.RunDelay = time.Duration(float64(c.RunDelay) * scale)
		part.Traced = time.Duration(float64(c.Traced) * scale)
		if from > c.Start {
			part.Dropped = nil
		}
		r.at(from).Cover(&part)
		from = to
	}
}

// AddBatch takes the events of one thread. It keeps nothing of the batch.
func (r *Recorder) AddBatch(b *threadtrace.Batch) {
	if len(b.Events) == 0 && len(b.Wakings) == 0 {
		return
	}
	thread := r.thread(b.ThreadID)
	numbers := make([]uint32, len(b.Stacks)+1)
	for i := range b.Stacks {
		numbers[i+1] = r.dictionary.number(&b.Stacks[i])
	}
	r.addWakings(thread, b.Wakings, numbers)
	if len(b.Events) == 0 {
		return
	}
	var in *interval
	for i := range b.Events {
		e := b.Events[i]
		if int(e.Stack) >= len(numbers) {
			e.Stack = 0
		}
		e.Stack = numbers[e.Stack]
		if at := e.End(); in == nil || at < in.Start || at >= in.End {
			in = r.at(at)
		}
		in.threads[thread] = true
		r.fold(in.Open, thread, &e)
		in.Chains.Event(thread, &e, e.Stack, r.classes.Of(e.Number))
	}
	in.Drop(b.Dropped)
}

func (r *Recorder) fold(h *hop.Open, thread int32, e *threadtrace.Event) {
	switch e.Kind {
	case threadtrace.KindCall:
		h.Call(e, r.classes.Of(e.Number))
		if e.Return < 0 && detect.IsRefusal(unit.KeyOf(e.Number, e.Return), r.classes) {
			h.Refused(thread, e)
		}
	case threadtrace.KindInFlight:
		if e.Cut {
			h.CutOff(e)
		}
	case threadtrace.KindSample:
		h.Sample(hop.Cell{Thread: thread, Stack: e.Stack}, e)
	case threadtrace.KindBlocked:
		_, followed := e.Followed()                                       // its time is in the sum of its creator's
		if !followed && !r.classes.Is(e.Number, threadtrace.ClassYield) { // else it waits for a CPU
			h.Blocked(hop.Cell{Thread: thread, Stack: e.Stack, Number: e.Number, Waiting: true}, e)
		}
	}
}

// thread is the number of a thread, counted from one.
func (r *Recorder) thread(id int32) int32 {
	n, ok := r.threads[id]
	if !ok {
		if len(r.threads) >= maxThreads {
			clear(r.threads)
		}
		r.numbered++
		n = r.numbered
		r.threads[id] = n
	}
	return n
}

// at is the open interval that holds an instant; the oldest open one for what comes
// late, the newest for what is too far ahead.
func (r *Recorder) at(instant int64) *interval {
	start := max(instant-instant%r.length, r.lastClosed)
	i, found := slices.BinarySearchFunc(r.open, start, func(in *interval, t int64) int { return cmp.Compare(in.Start, t) })
	if found {
		return r.open[i]
	}
	if len(r.open) >= maxOpen {
		return r.open[min(i, len(r.open)-1)]
	}
	in := &interval{hop.NewSummary(start, start+r.length, int64(LongestCall)), map[int32]bool{}}
	r.open = slices.Insert(r.open, i, in)
	return in
}

// Advance returns the intervals that ended by now (nanoseconds since the epoch, in the
// events' time), when delivered is the newest instant that the records had.
func (r *Recorder) Advance(now, delivered int64) []*Interval {
	var over []*Interval
	for len(r.open) > 0 && r.open[0].End <= now {
		in := r.open[0]
		r.open = r.open[1:]
		r.lastClosed = in.End
		i := in.close(delivered, r.dictionary.stacks)
		sums := in.Sums()
		i.Machine = r.machine(&sums.Machine)
		i.Flows = r.flows(sums.Flows)
		over = append(over, i)
	}
	return over
}

// close gives what was summed up in an order that does not change.
func (in *interval) close(delivered int64, stacks []threadtrace.Stack) *Interval {
	s := in.Sums()
	i := &Interval{
		Start: in.Start, End: in.End, Delivered: max(delivered, in.End), Stacks: stacks,
		Coverage: Coverage{
			From: s.From, To: s.To, Looked: s.Time, Traced: s.Traced, CPUTime: s.CPU, RunDelay: s.RunDelay,
			SamplePeriod: s.SamplePeriod, SnapshotPeriod: s.SnapshotPeriod,
			CPUOutside: s.CPUOutside, Gaps: s.Gaps, Looks: s.Looks, Functions: s.Functions, Dropped: s.Dropped,
		},
		Threads: slices.Sorted(maps.Keys(in.threads)),
	}
	for _, c := range s.Cells {
		i.Cells = append(i.Cells, Cell{
			Thread: c.Thread, Stack: c.Stack, Number: c.Number, Waiting: c.Waiting, Time: c.Time, Longest: c.Longest, Moments: c.Moments, Population: c.Population,
		})
	}
	slices.SortFunc(i.Cells, compareCells)
	for _, k := range hop.Keys(s.Calls) {
		t := s.Calls[k]
		i.Calls = append(i.Calls, Calls{Number: k.Number, Errno: k.Errno, N: uint64(t.N), Time: int64(t.Time), Bytes: int64(t.Bytes)})
	}
	for _, number := range slices.Sorted(maps.Keys(s.TimedOut)) {
		i.TimedOut = append(i.TimedOut, TimedOut{number, int64(s.TimedOut[number])})
	}
	for _, at := range slices.SortedFunc(maps.Keys(s.Sites), hop.Site.Compare) {
		i.Sites = append(i.Sites, Site{Number: at.Key.Number, Errno: at.Key.Errno, Stack: at.Stack, N: s.Sites[at]})
	}
	for _, k := range slices.SortedFunc(maps.Keys(s.Refused), unit.Key.Compare) {
		threads := s.Refused[k]
		for _, id := range slices.Sorted(maps.Keys(threads)) {
			i.Refused = append(i.Refused, Refused{Number: k.Number, Errno: k.Errno, Thread: id, First: threads[id].Start, Last: threads[id].End})
		}
	}
	return i
}

func compareCells(a, b Cell) int {
	return cmp.Or(
		cmp.Compare(a.Thread, b.Thread), cmp.Compare(bits.TrailingZeros64(a.Moments), bits.TrailingZeros64(b.Moments)),
		cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Number, b.Number), cmp.Compare(btoi(a.Waiting), btoi(b.Waiting)),
	)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
