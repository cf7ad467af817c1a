package attribute

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Means are the learned hops' means by stack, place, site and call.
type Means struct {
	CPU   map[uint32]float64
	Wait  map[hop.Place]float64
	Below map[hop.Below]float64
	Sites map[hop.Site]float64
	Calls map[unit.Key]hop.Totals
	// TimedOut is the time in waits whose time was over, by call.
	TimedOut map[int32]float64
	// RunDelay is the time in which threads could run and had no CPU.
	RunDelay float64
}

// MeansOf sums up learned hops.
func MeansOf(p *baseline.Past) Means {
	m := Means{CPU: map[uint32]float64{}, Wait: map[hop.Place]float64{}, Below: belowMean(p), Sites: map[hop.Site]float64{}, TimedOut: map[int32]float64{}}
	n, traced := float64(p.Len()), 0.0
	for _, v := range p.Hops() {
		if v.Hop.Traced() {
			traced++
		}
	}
	for _, v := range p.Hops() {
		m.RunDelay += v.Hop.RunDelay / n
		for _, cpu := range []hop.Times{v.Hop.CPU, v.Hop.FreshCPU} {
			for stack, t := range cpu.All() {
				m.CPU[stack] += t / n
			}
		}
		for _, waits := range []map[hop.Place]hop.Wait{v.Hop.Wait, v.Hop.Fresh} {
			for at, w := range waits {
				m.Wait[at] += w.Time / n
			}
		}
		for site, t := range v.Hop.Sites.All() {
			m.Sites[site] += t / traced
		}
		for nr, t := range v.Hop.TimedOut {
			m.TimedOut[nr] += t / traced
		}
	}
	m.Calls = p.CallMean()
	return m
}

// Raise has each figure be at least that of others: what is beyond it then is beyond both.
func (m *Means) Raise(others Means) {
	raise(m.CPU, others.CPU)
	raise(m.Wait, others.Wait)
	raise(m.Below, others.Below)
	raise(m.Sites, others.Sites)
	raise(m.TimedOut, others.TimedOut)
	m.RunDelay = max(m.RunDelay, others.RunDelay)
	for k, t := range others.Calls {
		own := m.Calls[k]
		m.Calls[k] = hop.Totals{N: max(own.N, t.N), Time: max(own.Time, t.Time), Bytes: max(own.Bytes, t.Bytes)}
	}
}

func raise[K comparable](figures, others map[K]float64) {
	for k, x := range others {
		figures[k] = max(figures[k], x)
	}
}

// Case is what there is to attribute: what a hop (or several, merged) has beyond
// the past.
type Case struct {
	Stacks  *frames.Table
	Classes *threadtrace.Classes
	Idle    func(hop.Place) bool
	// Fresh is set when threads without a past count.
	Fresh   bool
	Hop     *hop.Closed
	Verdict *detect.Verdict
	Past    Means
}

// findings by what they are about.
type findings struct {
	cells map[baseline.Cell]detect.Finding
	nodes map[int32]float64
	most  float64 // of the nodes
	sum   float64 // of the cells
}

func (c *Case) findings(state baseline.State) findings {
	f := findings{cells: map[baseline.Cell]detect.Finding{}, nodes: map[int32]float64{}}
	for _, x := range c.Verdict.Cells {
		if x.Cell.State == state {
			f.cells[x.Cell] = x
			f.sum += x.Excess
		}
	}
	for _, x := range c.Verdict.Nodes {
		if x.Cell.State == state {
			f.nodes[x.Cell.Function] = x.Excess
			f.most = max(f.most, x.Excess)
		}
	}
	return f
}

func (f *findings) has(s *frames.Stack) bool {
	if _, ok := f.nodes[baseline.Whole]; ok {
		return true
	}
	return slices.ContainsFunc(s.Frames, func(fn int32) bool { return f.nodes[fn] > 0 })
}

// share gives each of several times its part of what was found: the excess of its
// cell, or, below a node that grew through many cells, what the stack itself has
// more than before. The parts come to total.
func (f *findings) share(stacks *frames.Table, cells []baseline.Cell, times []Time, load, total float64) {
	sums, more := map[baseline.Cell]float64{}, make([]float64, len(times))
	all := 0.0
	for i, t := range times {
		sums[cells[i]] += t.Now
		if _, ok := f.cells[cells[i]]; !ok && f.has(stacks.Get(t.Stack)) {
			more[i] = max(0, t.Now-load*t.Past)
			all += more[i]
		}
	}
	rest := 0.0
	if all > 0 {
		rest = min(1, max(0, f.most-f.sum)/all)
	}
	parts := 0.0
	for i := range times {
		t := &times[i]
		if x, ok := f.cells[cells[i]]; ok {
			t.Beyond = x.Excess * ratio(t.Now, sums[cells[i]])
		} else {
			t.Beyond = more[i] * rest
		}
		parts += t.Beyond
	}
	for i := range times {
		times[i].Beyond = math.Round(times[i].Beyond * min(1, ratio(total, parts)))
		times[i].Excess = times[i].Beyond
	}
}

// Evidence is all there is: the times, and the calls that became more.
func (c *Case) Evidence() []Time {
	times, calls := c.Times(), c.CallTimes()
	c.toCallers(times, calls)
	return append(times, calls...)
}

// Times is all evidence of time: every stack that was seen, on CPU and waiting,
// now and in the past.
func (c *Case) Times() []Time {
	onCPU := c.onCPU()
	c.toCallers(onCPU, onCPU)
	waiting := c.bySites(c.waiting())
	c.explainWaits(waiting, onCPU)
	waiting = c.toRead(waiting, onCPU)
	c.asOneThread(waiting)
	times := append(onCPU, waiting...)
	c.onBehalf(times)
	return times
}

func (c *Case) onCPU() []Time {
	now := c.Hop.CPU.Map()
	if c.Fresh {
		for stack, t := range c.Hop.FreshCPU.All() {
			now[stack] += t
		}
	}
	for stack := range c.Past.CPU {
		if _, ok := now[stack]; !ok {
			now[stack] = 0
		}
	}
	times, cells := make([]Time, 0, len(now)), make([]baseline.Cell, 0, len(now))
	for _, stack := range slices.Sorted(maps.Keys(now)) {
		times = append(times, Time{Stack: stack, Kind: EvidenceOnCPU, Now: now[stack], Past: c.Past.CPU[stack]})
		cells = append(cells, c.cell(stack, 0, baseline.OnCPU))
	}
	f := c.findings(baseline.OnCPU)
	f.share(c.Stacks, cells, times, c.Verdict.Load.Work*c.Verdict.Load.Slow, c.Verdict.CPUExcess)
	return times
}

// toCallers gives what a library does in threads of its own (the goroutines in which an
// HTTP client dials), its computing or its calls, to the functions that call it more than
// ever, in proportion: a library does nothing of its own accord. What an interpreter's loop
// has it do is not in threads of its own, though it may not be known for which function.
func (c *Case) toCallers(times, done []Time) {
	growth, grown := c.callMore(times)
	own := map[int32]float64{}
	for i := range done {
		t, s := &done[i], c.Stacks.Get(done[i].Stack)
		if s.Library == 0 || grown[s.Library] == 0 || s.Tier != frames.Platform || s.Runtime || t.Kind == EvidenceBlocked || c.Stacks.Unread(s) {
			continue
		}
		own[s.Library] += t.Excess
		t.Now -= t.Beyond
		t.Excess, t.Beyond = 0, 0
	}
	for i, by := range growth {
		if by > 0 {
			t, library := &times[i], c.Stacks.Get(times[i].Stack).Library
			part := math.Round(own[library] * by / grown[library])
			t.Excess, t.Beyond, t.Now = t.Excess+part, t.Beyond+part, t.Now+part
		}
	}
}

// callMore is by how much functions on CPU that call a library do that more than ever, and
// the sums by library. A loop that waits in the library for work to come (that accepts
// connections) asks for nothing.
func (c *Case) callMore(times []Time) (growth []float64, grown map[int32]float64) {
	load := c.Verdict.Load.Work * c.Verdict.Load.Slow
	idle := c.idleCalls()
	growth, grown = make([]float64, len(times)), map[int32]float64{}
	for i, t := range times {
		s := c.Stacks.Get(t.Stack)
		if t.Kind != EvidenceOnCPU || s.Library == 0 || s.Tier != frames.Application || idle[libraryCall(s)] {
			continue
		}
		// One standard error is enough, since what the library does shows that
		// somebody calls it.
		expected := load * t.Past
		if by := t.Now - expected; by > math.Sqrt(expected*c.Hop.SamplePeriod)+c.Hop.SamplePeriod {
			growth[i] = by
			grown[s.Library] += by
		}
	}
	return growth, grown
}

// call is a function of the application and a library that it calls.
type call struct{ function, library int32 }

func libraryCall(s *frames.Stack) call { return call{s.Frames[0], s.Library} }

// idleCalls are the calls of libraries in which the service waits for work.
func (c *Case) idleCalls() map[call]bool {
	idle := map[call]bool{}
	for at := range c.waits() {
		if s := c.Stacks.Get(at.Stack); s.Tier == frames.Application && len(s.Frames) > 0 && c.Idle(at) {
			idle[libraryCall(s)] = true
		}
	}
	return idle
}

// onBehalf takes away what a runtime does for the application: it collects garbage,
// compiles and schedules because of what that does. Where the application does no more than
// ever, the runtime itself is what there is.
func (c *Case) onBehalf(times []Time) {
	keepsHouse := func(t Time) bool {
		// It rests in sleeps; what else it waits for is waited for by somebody.
		return c.Stacks.Get(t.Stack).Runtime && (t.Kind == EvidenceOnCPU || c.Classes.Is(t.Call, threadtrace.ClassSleep))
	}
	own, others := 0.0, 0.0
	for _, t := range times {
		if keepsHouse(t) {
			own += t.Excess
		} else {
			others += t.Excess
		}
	}
	if others < criteria.Little*own {
		return
	}
	for i, t := range times {
		if keepsHouse(t) {
			times[i].Now -= t.Beyond
			times[i].Excess, times[i].Beyond = 0, 0
		}
	}
}

func (c *Case) cell(stack uint32, number int32, state baseline.State) baseline.Cell {
	return baseline.CellOf(c.Stacks, stack, number, state == baseline.Waiting)
}

func (c *Case) waits() map[hop.Place]hop.Wait {
	now := maps.Clone(c.Hop.Wait)
	if c.Fresh {
		for at, w := range c.Hop.Fresh {
			now[at] = now[at].And(w)
		}
	}
	for at := range c.Past.Wait {
		if _, ok := now[at]; !ok {
			now[at] = hop.Wait{}
		}
	}
	return now
}

func (c *Case) waiting() []Time {
	now := c.waits()
	times, cells := make([]Time, 0, len(now)), make([]baseline.Cell, 0, len(now))
	var idle []Time
	for _, at := range slices.SortedFunc(maps.Keys(now), comparePlaces) {
		w := now[at]
		t := Time{Stack: at.Stack, Kind: EvidenceBlocked, Call: at.Number, Now: w.Time, Past: c.Past.Wait[at], Stuck: w.Longest >= hop.StuckAfter, Idle: c.Idle(at)}
		if t.Idle {
			idle = append(idle, t)
			continue
		}
		times = append(times, t)
		cells = append(cells, c.cell(at.Stack, at.Number, baseline.Waiting))
	}
	f := c.findings(baseline.Waiting)
	f.share(c.Stacks, cells, times, c.Verdict.Load.Waits, c.Verdict.WaitExcess)
	c.goOn(times)
	return append(times, idle...)
}

// goOn gives waits whose stack was cut short before any function of the application to the
// stack that goes on from it and has the most waits in the same call.
func (c *Case) goOn(times []Time) {
	for i := range times {
		t := &times[i]
		cut, most := c.Stacks.Get(t.Stack), 0.0
		if t.Excess <= 0 || cut.Tier == frames.Application {
			continue
		}
		for _, o := range times {
			if o.Call == t.Call && o.Now > most && c.Stacks.Get(o.Stack).Continues(cut) {
				t.Stack, most = o.Stack, o.Now
			}
		}
	}
}

// bySites gives waits that are timed by their calls, and that no look at the threads has
// met, to the stacks at which such calls are made more often than they were.
func (c *Case) bySites(times []Time) []Time {
	for i := range times {
		t := &times[i]
		if t.Excess <= 0 || t.Idle || len(c.Stacks.Get(t.Stack).Frames) > 0 {
			continue
		}
		more, all := map[uint32]float64{}, 0.0
		for site, n := range c.Hop.Sites.All() {
			by := n - max(1, c.Verdict.Load.Work)*c.Past.Sites[site]
			if site.Key.Number == t.Call && by > 0 && len(c.Stacks.Get(site.Stack).Frames) > 0 {
				more[site.Stack] += by
				all += by
			}
		}
		if all == 0 {
			continue
		}
		unseen := *t
		t.Now, t.Excess, t.Beyond = t.Now-t.Beyond, 0, 0
		for _, stack := range slices.Sorted(maps.Keys(more)) {
			part := math.Round(unseen.Beyond * more[stack] / all)
			times = append(times, Time{Stack: stack, Kind: t.Kind, Call: t.Call, Now: part, Excess: part, Beyond: part})
			t = &times[i]
		}
	}
	return times
}

// second is a thread's time, in nanoseconds per second.
const second = 1e9

// asOneThread has waits count as those of one thread: however many threads one reason
// holds, it is one reason.
func (c *Case) asOneThread(waiting []Time) {
	most := second
	for _, sum := range c.byCell(waiting) {
		most = max(most, sum)
	}
	for i := range waiting {
		waiting[i].Excess = math.Round(waiting[i].Excess * second / most)
	}
}

// byCell sums up the excess of waits by their cells.
func (c *Case) byCell(waiting []Time) map[baseline.Cell]float64 {
	sums := map[baseline.Cell]float64{}
	for _, t := range waiting {
		sums[c.cell(t.Stack, t.Call, baseline.Waiting)] += t.Excess
	}
	return sums
}

func comparePlaces(a, b hop.Place) int {
	return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Number, b.Number))
}

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
