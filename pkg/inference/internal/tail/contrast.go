package tail

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Contrast is what the slow requests of a kind have that the fast ones have not.
type Contrast struct {
	Kind string
	// Variant is which of the kind's units they are, if not all.
	Variant Variant
	// Spans is set when the requests are spans, Goroutines when they are what goroutines
	// did; else they are execution units.
	Spans, Goroutines bool
	// Requests and Slow are how many were pooled, both fading.
	Requests, Slow float64
	// Threshold is from what a request is slow, Fast and Long are what fast and slow
	// ones take on average, in nanoseconds; Served is set when that is without the time in line.
	Threshold, Fast, Long float64
	Served                bool
	// Explained is the share of the time that slow ones take longer which the findings
	// are, 0 to 1.
	Explained float64
	// Same is the share of the time of fast requests that is in the functions found, 0 to
	// 1: where it is much the slow ones do more of the same. Negative is not known: fast
	// ones were hardly seen.
	Same float64
	// Change is what of the slow requests has left its past, Usual what that is there: a
	// share, or nanoseconds.
	Change Change
	Usual  float64
	// InCalls is, by stack and call, the share of its time on CPU that is in the call.
	InCalls map[uint32]map[int32]float64
	// Times are the evidence, Scale what one sighting of it is.
	Times []attribute.Time
	Scale attribute.Scale
}

const (
	// certain is by how many standard errors the time at a place must go beyond that of
	// the fast requests.
	certain = 2.5
	// beyondChance is by how many standard deviations there must be more sightings while
	// slow requests are under way than chance would give, where that is surer.
	beyondChance = 3.5
	// fewSightings is how many there must be of what is found.
	fewSightings = 3.0
)

// View is what is needed to read the pool.
type View struct {
	Stacks  *frames.Table
	Classes *threadtrace.Classes
	// Idle tells where threads wait for something to do.
	Idle func(hop.Place) bool
	// Period is the CPU time that a sample stands for, in nanoseconds.
	Period float64
}

// Contrasts compares the slow requests of each kind that has a tail with its fast ones.
func (p *Pool) Contrasts(v View) (found []Contrast) {
	var inverse *mat.SymDense
	var index map[int]int
	var cells map[baseline.Cell]*moments
	for i, k := range p.kinds {
		if !k.comparable() || !p.matters(k) || k.name == theRuntimes && p.hasOwn() {
			continue
		}
		if index == nil { // most hops have nothing to tell
			if inverse, index = p.inverse(); inverse == nil {
				return nil
			}
		}
		s, ok := index[classIndex(i, isSlow)]
		f, also := index[classIndex(i, isFast)]
		if ok && also {
			if cells == nil {
				cells = p.cells(v)
			}
			e := newEstimate(inverse, index, s, f, k)
			if p.Mixed {
				e = p.mixed(k)
			}
			found = append(found, p.contrast(i, cells, v, e))
		}
	}
	return found
}

// comparable reports whether enough slow and fast requests of a kind are known, and were
// looked at.
func (k *kind) comparable() bool {
	slow, fast := &k.of[isSlow], &k.of[isFast]
	return k.known && slow.known >= fewSlow && fast.known >= fewSlow && slow.looked > 0 && fast.looked > 0
}

// hasOwn reports whether some units are the application's: then what a runtime's threads do
// for it (compile, collect garbage) are no requests, even as long as those are too few to be
// compared.
func (p *Pool) hasOwn() bool {
	return slices.ContainsFunc(p.kinds, func(k *kind) bool { return k.name != theRuntimes && len(k.recent) >= fewWhole })
}

// matters reports whether somebody notices that requests are slow: each one by itself,
// or all of them together by what they cost.
func (p *Pool) matters(k *kind) bool {
	const (
		noticed = 1e6  // ns for each
		costly  = 0.02 // seconds per second, as of an anomaly
	)
	more := k.mean(isSlow) - k.mean(isFast)
	return more >= noticed || more*k.of[isSlow].n >= costly*1e9*p.seen.Seconds
}

func (p *Pool) contrast(at int, cells map[baseline.Cell]*moments, v View, e estimate) Contrast {
	k := p.kinds[at]
	c := Contrast{
		Kind: k.name, Spans: k.spans && !k.goroutines, Goroutines: k.goroutines, Requests: k.of[isSlow].n + k.of[isFast].n, Slow: k.of[isSlow].n,
		Threshold: k.split.threshold, Fast: k.mean(isFast), Long: k.mean(isSlow), Served: k.split.served,
	}
	if k.variant != nil {
		c.Variant = *k.variant
	}
	if k.id == 0 { // which units are a variant's may change
		c.Change, c.Usual = k.past.leaves(k.split.threshold)
	}
	// Who runs has to wait for a CPU, too.
	delayed := 1 + share(p.seen.RunDelay, p.seen.CPU)
	closed, past := p.times(v, e, at, delayed)
	verdict := detect.Verdict{Load: baseline.Load{Work: 1, Waits: 1, Slow: 1}, Vector: &baseline.Vector{Hop: closed}}
	held, waits := map[bool]float64{}, 0.0
	for cell, m := range cells {
		slow, fast, more, unsure := e.of(m)
		if more <= 0 || !p.Mixed && (e.sightings(m) < fewSightings || more < certain*unsure && p.chance(at, m) < beyondChance) {
			continue
		}
		f := detect.Finding{Cell: cell, Time: slow, Expected: fast, Excess: more}
		if cell.State == baseline.OnCPU {
			f.Time, f.Expected, f.Excess = delayed*f.Time, delayed*f.Expected, delayed*f.Excess
			held[cell.Inclusive] = max(held[cell.Inclusive], p.held(at, m))
		} else if m.thread > 0 {
			waits = max(waits, p.held(at, m))
		}
		if cell.Inclusive {
			verdict.Nodes = append(verdict.Nodes, f)
		} else {
			verdict.Cells = append(verdict.Cells, f)
		}
	}
	extra := max(1, 1e9*(1-c.Fast/c.Long))
	verdict.CPUExcess, verdict.WaitExcess = excess(&verdict, baseline.OnCPU), excess(&verdict, baseline.Waiting)
	// One function that runs may hold many requests up, and so may one that waits, in the only
	// thread that does: each of them for all of it.
	c.Explained = min(1, max((verdict.CPUExcess+verdict.WaitExcess)/extra, delayed*max(held[false], held[true]), waits))
	of := attribute.Case{Stacks: v.Stacks, Classes: v.Classes, Idle: v.Idle, Hop: closed, Verdict: &verdict, Past: past}
	c.Times = of.Times()
	c.Same = p.same(at, cells, &verdict, e)
	c.InCalls = p.inCalls(e)
	c.Scale = attribute.Scale{
		Beside: true,
		Grain:  1e9 * v.Period / k.of[isSlow].looked, Load: 1,
		Hops: k.of[isFast].looked / k.of[isSlow].looked * c.Long / c.Fast,
	}
	return c
}

func excess(v *detect.Verdict, state baseline.State) float64 {
	cells, nodes := 0.0, 0.0
	for _, f := range v.Cells {
		if f.Cell.State == state {
			cells += f.Excess
		}
	}
	for _, f := range v.Nodes {
		if f.Cell.State == state {
			nodes = max(nodes, f.Excess)
		}
	}
	return max(cells, nodes)
}

// times is where slow requests of a kind spend their time, as a hop, and where fast ones do,
// as its past. What was never seen but while a slow one was under way is none of the fast
// ones'.
func (p *Pool) times(v View, e estimate, kind int, delayed float64) (*hop.Closed, attribute.Means) {
	threads := p.together(kind)
	c := &hop.Closed{
		Seconds: 1, Wait: map[hop.Place]hop.Wait{}, Threads: threads,
		SamplePeriod: v.Period, SnapshotPeriod: v.Period,
	}
	cpu, past := map[uint32]float64{}, attribute.Means{CPU: map[uint32]float64{}, Wait: map[hop.Place]float64{}}
	for i := range p.places.list {
		at, m := p.places.list[i].place, &p.places.of[i]
		slow, fast, _, _ := e.of(m)
		if b := m.beside(kind); b[isSlow] > 0 && b[isFast] == 0 {
			fast = 0
		}
		if !at.waiting {
			cpu[at.stack] += delayed * slow
			past.CPU[at.stack] += delayed * fast
			continue
		}
		w := hop.Place{Stack: at.stack, Number: at.number}
		if v.Idle(w) {
			continue
		}
		c.Wait[w] = c.Wait[w].And(hop.Wait{Time: slow, Threads: threads})
		past.Wait[w] += fast
	}
	c.CPU = hop.TimesOf(cpu)
	return c, past
}

// cells sums the places up by function, on the stack and innermost.
func (p *Pool) cells(v View) map[baseline.Cell]*moments {
	cells := map[baseline.Cell]*moments{}
	add := func(c baseline.Cell, m *moments) {
		if cells[c] == nil {
			cells[c] = &moments{}
		}
		cells[c].and(m)
	}
	for _, i := range p.places.inOrder() {
		at, m := p.places.list[i].place, &p.places.of[i]
		if at.waiting && v.Idle(hop.Place{Stack: at.stack, Number: at.number}) {
			continue
		}
		number := at.number
		if !at.waiting {
			number = 0
		}
		c := baseline.CellOf(v.Stacks, at.stack, number, at.waiting)
		add(c, m)
		add(baseline.Cell{Function: baseline.Whole, State: c.State, Inclusive: true}, m)
		for _, f := range v.Stacks.Get(at.stack).Frames {
			add(baseline.Cell{Function: f, State: c.State, Inclusive: true}, m)
		}
	}
	return cells
}

// held is the share of the time in which slow requests of a kind are under way that a
// function runs, beyond what it runs without them.
func (p *Pool) held(kind int, m *moments) float64 {
	length, seen := p.beside[kind], m.beside(kind)
	return share(seen[isSlow], length[isSlow]) - share(seen[isFast], length[isFast])
}

// together is how many slow requests of a kind are under way at a time, while any is: as
// many may wait for one.
func (p *Pool) together(kind int) int {
	return max(1, int(math.Round(share(p.kinds[kind].of[isSlow].looked, p.beside[kind][isSlow]))))
}

// chance is by how many standard deviations more of the sightings of a place were while
// slow requests of a kind were under way than their share of the time would give. Of
// what is never seen otherwise a few sightings are enough.
func (p *Pool) chance(kind int, m *moments) float64 {
	of := &p.kinds[kind].of
	s, square := m.at(classIndex(kind, isSlow))
	f, _ := m.at(classIndex(kind, isFast))
	within, all, part := s, s+f, share(of[isSlow].looked, of[isSlow].looked+of[isFast].looked)
	if b := m.beside(kind); b.all() > 0 {
		within, all, part = b[isSlow], b.all(), share(p.beside[kind][isSlow], p.beside[kind].all())
		// What every request does is done by the slow ones, too.
		own := share(of[isSlow].n, of[isSlow].n+of[isFast].n)
		part = own + (1-own)*part
		s, square = m.at(nobody)
	}
	if s <= 0 || square <= 0 || part <= 0 || part >= 1 {
		return 0
	}
	each := square / s
	return (within - all*part) / math.Sqrt(all*each*part*(1-part))
}

// same is the share of the time of fast requests in the functions that were found. It is
// negative when too little was seen of what fast ones do.
func (p *Pool) same(kind int, cells map[baseline.Cell]*moments, v *detect.Verdict, e estimate) float64 {
	const (
		few     = 10  // sightings
		notMuch = 0.2 // of what is most is no answer to what slow ones do
	)
	found, all, seen, most := 0.0, 0.0, 0.0, 0.0
	for _, f := range v.Cells {
		most = max(most, f.Excess)
	}
	for _, f := range v.Cells {
		if f.Excess >= notMuch*most {
			found += p.fast(kind, cells[f.Cell], e)
		}
	}
	for cell, m := range cells {
		if !cell.Inclusive {
			all += p.fast(kind, m, e)
			seen += p.besideFast(kind, m)
		}
	}
	if seen < few {
		return -1
	}
	return share(found, all)
}

// fast is the time of a fast request: none of it what was never seen but while a slow one was
// under way.
func (p *Pool) fast(kind int, m *moments, e estimate) float64 {
	if b := m.beside(kind); b[isSlow] > 0 && b[isFast] == 0 {
		return 0
	}
	_, fast, _, _ := e.of(m)
	return fast
}

// besideFast is how many sightings there are in fast requests, or, where it is not known in
// which, while no slow one was under way.
func (p *Pool) besideFast(kind int, m *moments) float64 {
	if b := m.beside(kind); b.all() > 0 {
		t, square := m.at(nobody)
		return b[isFast] * share(t, square)
	}
	t, square := m.at(classIndex(kind, isFast))
	return t * share(t, square)
}

// inCalls is the share of the time of slow requests on CPU in each call, by stack.
func (p *Pool) inCalls(e estimate) map[uint32]map[int32]float64 {
	all, in := map[uint32]float64{}, map[uint32]map[int32]float64{}
	for i := range p.places.list {
		at := &p.places.list[i]
		if at.waiting {
			continue
		}
		slow, _, _, _ := e.of(&p.places.of[i])
		all[at.stack] += slow
		if at.number == threadtrace.NoCall {
			continue
		}
		if in[at.stack] == nil {
			in[at.stack] = map[int32]float64{}
		}
		in[at.stack][at.number] += slow
	}
	for stack, calls := range in {
		for nr := range calls {
			calls[nr] = share(calls[nr], all[stack])
		}
	}
	return in
}

// Within reports whether a function was seen while a request was under way: on its
// thread, or, where that is not known, while no other slow request was.
func (p *Pool) Within(stacks *frames.Table, r *Request, function int32) bool {
	for i := range p.sightings {
		s := &p.sightings[i]
		if s.Time < r.Start || s.Time >= r.End || r.Thread != 0 && s.Thread != r.Thread {
			continue
		}
		if slices.Contains(stacks.Get(s.Stack).Frames, function) {
			return true
		}
	}
	return false
}

// SightingsOf are the first so many of the thread of a request while it was under way.
func (p *Pool) SightingsOf(r *Request, most int) (list []Sighting) {
	for _, s := range p.sightings {
		if s.Time >= r.Start && s.Time < r.End && s.Thread == r.Thread && s.Duration > 0 && len(list) < most {
			list = append(list, s)
		}
	}
	return list
}
