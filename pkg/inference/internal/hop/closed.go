package hop

import (
	"math"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Wait is what a hop saw at one place.
type Wait struct {
	// Time is in nanoseconds per second, summed over the threads.
	Time    float64
	Threads int
	// Longest is for how long the longest single wait had lasted, in nanoseconds.
	Longest int64
	// Exact is set when Time is that of the calls, not of snapshots.
	Exact bool
	// Moments has a bit for each part of the hop in which a thread was seen there.
	Moments uint64
}

// Share is the part of its threads' time.
func (w Wait) Share() float64 { return w.Time / 1e9 / float64(max(1, w.Threads)) }

// And adds two waits up.
func (w Wait) And(o Wait) Wait {
	return Wait{w.Time + o.Time, w.Threads + o.Threads, max(w.Longest, o.Longest), w.Exact || o.Exact, w.Moments | o.Moments}
}

// Home is where a thread idled, and for which share of the hop.
type Home struct {
	Place
	Share float64
}

// Closed is a hop that is over, per second of it.
type Closed struct {
	Start, End int64
	// Seconds is how much of the hop was looked at, CallSeconds in how much of
	// that calls were recorded: all call figures are per second of those.
	Seconds, CallSeconds float64
	// CPU and Wait are what threads with a past did, by stack and by place;
	// FreshCPU and Fresh those of threads without one.
	CPU, FreshCPU Times
	Wait, Fresh   map[Place]Wait
	// Below has the part of those with functions of packages below, in nanoseconds per
	// second; nil when that is not known.
	Below map[Below]float64
	// CPUTotal is the exact CPU time, CPUOutside the sampled part of it in user
	// code, RunDelay the time in which threads were runnable and had no CPU.
	CPUTotal, CPUOutside, RunDelay float64
	// Machine is what was lacking of the machine.
	Machine Machine
	Calls   map[unit.Key]Totals
	Sites   Sites
	// TimedOut is the time in waits whose time was over, by call.
	TimedOut map[int32]float64
	// Measures are the columns of WorkMeasures.
	Measures []float64
	// Holey is set when more calls were lost than seen, Starved when the machine
	// kept even the snapshots waiting. Lost is the share of the calls that were lost.
	Holey, Starved bool
	Lost           float64
	// Threads is how many were seen, ThreadCPU what each was seen to use, Homes
	// where each idled most, if it did for long enough. Spinning are those that
	// neither waited nor blocked all the time, Born the roles of new ones.
	Threads   int
	ThreadCPU map[int32]float64
	Homes     map[int32]Home
	Spinning  map[int32]bool
	Born      map[int32]bool
	// SamplePeriod and SnapshotPeriod are what one sample, one snapshot stands
	// for, in nanoseconds per second of the hop.
	SamplePeriod, SnapshotPeriod float64
	Functions                    int
	Units                        []*unit.Unit
	// UnitCounts is how many calls and stacks the units have, to estimate their memory.
	UnitCounts int
	// What single threads did; see DropThreads.
	Cells   []SeenCell
	Orders  map[Order]uint32
	Refused map[unit.Key]map[int32]Span
	chains  *chain.Pending
}

// Flows is what waits were spent on, of those of which it was told who ended them.
func (c *Closed) Flows() chain.Flows { return c.chains.Flows() }

// DropThreads drops what single threads did: it says nothing of another hop.
func (c *Closed) DropThreads() {
	c.Cells, c.Orders, c.Refused, c.chains = nil, nil, nil, nil
}

// Traced reports whether calls were recorded.
func (c *Closed) Traced() bool { return c.CallSeconds > 0 }

// callSeconds is for how many of the seconds of a hop every call was recorded.
func (h *Open) callSeconds(seconds float64) float64 {
	part := share(float64(h.traced), float64(h.looked))
	if part >= criteria.NearlyAll { // the clocks of the flushes and of the hooks differ a little
		part = 1
	}
	return seconds * part
}

// starvedGap is how many times as far apart as they should be snapshots are on a machine that
// is short of CPU for what runs at once, the collector too: everybody waits longer there.
const starvedGap = 2

func (h *Open) starved() bool { return h.gaps > starvedGap*h.looks*h.snapshot }

// Close turns the sums into figures per second. It is nil when too little of
// the hop was looked at to speak for it.
func (h *Open) Close(classes *threadtrace.Classes, adder *Adder) *Closed {
	length := h.End - h.Start
	covered := length
	if h.coveredTo > 0 {
		covered = h.coveredTo - h.coveredFrom
	}
	if 2*covered < length {
		return nil
	}
	seconds := float64(covered) / 1e9
	c := &Closed{
		Start: h.Start, End: h.End, Seconds: seconds, CallSeconds: h.callSeconds(seconds),
		Wait: make(map[Place]Wait, h.places), Fresh: map[Place]Wait{},
		Calls: map[unit.Key]Totals{}, TimedOut: make(map[int32]float64, len(h.timedOut)),
		Below: make(map[Below]float64, len(h.below)), Units: h.Units.kept(), Functions: h.functions, Cells: h.cells.list, Born: h.Born, Refused: h.refused, Orders: h.Orders,
		SamplePeriod: float64(h.sample) / seconds, SnapshotPeriod: float64(h.snapshot) / seconds,
		CPUOutside: float64(h.cpuOutside) / seconds, RunDelay: float64(h.runDelay) / seconds, Machine: h.machine.perSecond(),
		Starved: h.starved(), chains: chain.NewPending(h.flows, h.Chains, h.Start),
	}
	sampled := c.addCells(seconds, adder)
	for at, t := range h.below {
		c.Below[at] = math.Round(float64(t) / seconds)
	}
	c.CPUTotal = h.exactCPU(sampled, covered)
	if c.Traced() {
		c.countCalls(h)
	}
	c.Measures = measures(c.Calls, classes)
	for _, u := range c.Units {
		c.UnitCounts += len(u.Calls) + len(u.Stacks)
	}
	return c
}

// SoFar is what Close gives of a hop that goes on: up to where it was looked at, without
// chains of waits, whose places later events may tell. Nil when that is less than half.
func (h *Open) SoFar(classes *threadtrace.Classes, adder *Adder) *Closed {
	part := *h
	part.Chains, part.flows = chain.Trace{}, nil
	c := part.Close(classes, adder)
	if c != nil && h.coveredTo > 0 {
		c.End = h.coveredTo
	}
	return c
}

// Active is how long threads were on a CPU, waited outside of the idle places or for a
// CPU in an open hop so far, in nanoseconds per second; false when less than half of it
// was looked at.
func (h *Open) Active(idle func(Place) bool) (active float64, enough bool) {
	covered := h.coveredTo - h.coveredFrom
	if 2*covered < h.End-h.Start {
		return 0, false
	}
	sum := h.cpuTime + h.runDelay
	for i := range h.cells.list {
		if cell := &h.cells.list[i]; cell.Waiting && !idle(Place{cell.Stack, cell.Number}) {
			sum += cell.Time
		}
	}
	return float64(sum) / (float64(covered) / 1e9), true
}

// Refuses reports whether a call was refused in an open hop.
func (h *Open) Refuses() bool { return len(h.refused) > 0 }

// addCells sums the cells up by stack and place, and returns the sampled CPU time.
func (c *Closed) addCells(seconds float64, adder *Adder) (sampled float64) {
	fresh := map[uint32]float64{} // of a few threads at most
	for i := range c.Cells {
		cell := &c.Cells[i]
		perSecond := math.Round(float64(cell.Time) / seconds)
		at := Place{cell.Stack, cell.Number}
		one := Wait{Time: perSecond, Threads: max(1, int(cell.Population)), Longest: cell.Longest, Moments: cell.Moments}
		switch {
		case cell.Waiting && cell.Fresh:
			c.Fresh[at] = c.Fresh[at].And(one)
		case cell.Waiting:
			c.Wait[at] = c.Wait[at].And(one)
		case cell.Fresh:
			fresh[cell.Stack] += perSecond
		default:
			adder.add(cell.Stack, perSecond)
		}
		if !cell.Waiting {
			sampled += perSecond
		}
	}
	c.CPU, c.FreshCPU = adder.sums(), TimesOf(fresh)
	return sampled
}

// exactCPU is the CPU time that the scheduler counted, or what was sampled if a
// process began or ended in the hop, whose time is not all in the former.
func (h *Open) exactCPU(sampled float64, covered int64) float64 {
	exact := float64(h.cpuTime) / (float64(covered) / 1e9)
	if h.cpuTime <= 0 {
		return max(0, sampled)
	}
	processes := share(float64(h.looked), float64(covered))
	if math.Abs(processes-math.Round(processes)) > criteria.Little {
		exact = max(exact, sampled)
	}
	if h.sample == 0 {
		return exact
	}
	// More than the samples bear out was used in another hop: its count came late.
	grain := float64(h.sample) / (float64(covered) / 1e9)
	sampled = max(0, sampled)
	return min(exact, sampled+2*criteria.StandardErrors*math.Sqrt(sampled*grain)+2*grain)
}

// countCalls turns the sums of calls into figures per second of tracing.
func (c *Closed) countCalls(h *Open) {
	seconds := c.CallSeconds
	seen := 0.0
	count := func(k unit.Key, t Totals) {
		if t.N > 0 {
			seen += t.N
		}
		c.Calls[k] = Totals{t.N / seconds, t.Time / seconds, t.Bytes / seconds}
	}
	for k, t := range h.successes() {
		if t.N > 0 {
			count(k, t)
		}
	}
	for k, t := range h.failed {
		count(k, t)
	}
	c.Sites = h.sites.per(seconds)
	if h.dropped > 0 && seen > 0 {
		// What was lost was like what was seen; with most of it lost nobody knows.
		c.Holey = float64(h.dropped) > seen
		c.Lost = float64(h.dropped) / (float64(h.dropped) + seen)
		whole := 1 + float64(h.dropped)/seen
		for k, t := range c.Calls {
			c.Calls[k] = Totals{t.N * whole, t.Time * whole, t.Bytes * whole}
		}
	}
	for nr, t := range h.timedOut {
		c.TimedOut[nr] = t / seconds
	}
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// DescribeThreads sets what the hop says of single threads. idle tells where a
// thread can be waiting for work: it idles where it is for half of the hop.
func (c *Closed) DescribeThreads(idle func(Place) bool) {
	c.Homes = map[int32]Home{}
	type thread struct {
		cpu         float64
		ran, waited bool
	}
	threads := map[int32]*thread{}
	var th *thread // of the cell before: they come thread by thread
	for i := range c.Cells {
		cell := &c.Cells[i]
		if i == 0 || cell.Thread != c.Cells[i-1].Thread {
			if th = threads[cell.Thread]; th == nil {
				th = &thread{}
				threads[cell.Thread] = th
			}
		}
		perSecond := float64(cell.Time) / c.Seconds
		if !cell.Waiting {
			th.cpu += perSecond
			th.ran = true
			continue
		}
		th.waited = true
		h := Home{Place{cell.Stack, cell.Number}, perSecond / 1e9 / float64(max(1, cell.Population))}
		if 2*h.Share < 1 || !idle(h.Place) {
			continue
		}
		if was := c.Homes[cell.Thread]; h.Share > was.Share || h.Share == was.Share && h.Stack < was.Stack {
			c.Homes[cell.Thread] = h
		}
	}
	c.Threads = len(threads)
	c.Spinning, c.ThreadCPU = make(map[int32]bool, len(threads)), make(map[int32]float64, len(threads))
	for id, th := range threads {
		if !th.ran {
			continue
		}
		c.ThreadCPU[id] = th.cpu
		// With fewer than every other sample missing it had the CPU, or waited for
		// one, all the time.
		c.Spinning[id] = id != 0 && !th.waited && th.cpu/1e9 >= 0.5
	}
}
