package detect

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Config of the decision.
type Config struct {
	// Evidence is the sum of log likelihood ratios from which a departure is real.
	Evidence float64
	// Share of a service's active time, and CPU time in nanoseconds per second, that
	// a departure must cost to matter.
	Share, Least float64
	// Refusals per second that matter.
	Refusals float64
}

// Finding is a cell that is beyond its past.
type Finding struct {
	ID   int32
	Cell baseline.Cell
	// Time is what the hop has, Expected what the past and the load let expect,
	// Excess the difference, in nanoseconds per second (of refusals, calls).
	Time, Expected, Excess float64
	// Evidence is the sum of the test so far, Since the start of the hop in which it last
	// left zero: the estimate of when a change began (Page, Biometrika 1954).
	Evidence float64
	Since    int64
}

// Verdict is how a hop compares with the past.
type Verdict struct {
	Vector *baseline.Vector
	Load   baseline.Load
	// Active is the time on CPU or waiting amid work, CPU the former part of it,
	// CPUExcess and WaitExcess the parts beyond the past; nanoseconds per second.
	Active, CPU, CPUExcess, WaitExcess float64
	// Effect is the excess over what would matter, 1 is just that much; Refusal the
	// same of refused calls.
	Effect, Refusal float64
	// Evidence is the largest of the findings that have an effect.
	Evidence float64
	// Cells and Nodes are the findings with enough evidence, Refused those of calls.
	Cells, Nodes, Refused []Finding
	// Doubt is the effect that there would be if a fraction of the evidence were
	// enough: a hop with one is not learned before it is known to be normal.
	Doubt float64
	// sums are the tests with this hop.
	sums []sum
	// beyond is what the whole takes beyond its past, by state, in nanoseconds per second;
	// negative when it takes less. doubts is the verdict with a fraction of the evidence.
	beyond map[baseline.State]float64
	doubts *Verdict
}

// sum is the sequential test of a cell, which has left zero.
type sum struct {
	id       int32
	evidence float64
	since    int64
}

// Score is the larger effect.
func (v *Verdict) Score() float64 { return max(v.Effect, v.Refusal) }

// Since is the start of the hop in which what was found began: of several findings, the
// one from which at least half of the excess was there.
func (v *Verdict) Since() int64 {
	found := slices.Concat(v.Cells, v.Refused)
	if len(found) == 0 {
		found = v.Nodes
	}
	slices.SortFunc(found, func(a, b Finding) int { return cmp.Compare(a.Since, b.Since) })
	all, so := 0.0, 0.0
	for _, f := range found {
		all += f.Excess
	}
	for _, f := range found {
		if so += f.Excess; 2*so >= all {
			return f.Since
		}
	}
	return v.Vector.Hop.Start
}

// Detector is the sequential test of one service.
type Detector struct {
	cfg     Config
	classes *threadtrace.Classes
	index   *baseline.Index
	// sums are the tests of the cells that are in doubt, ordered by ID.
	sums []sum
}

// New returns a detector that has seen nothing.
func New(cfg Config, classes *threadtrace.Classes, index *baseline.Index) *Detector {
	return &Detector{cfg: cfg, classes: classes, index: index}
}

// Reset forgets what is in doubt.
func (d *Detector) Reset() { d.sums = nil }

// Commit takes the test of a verdict as that of the hops so far.
func (d *Detector) Commit(v *Verdict) { d.sums = v.sums }

// Compare compares a hop with the past. The detector is not changed.
func (d *Detector) Compare(p *baseline.Past, v *baseline.Vector, load baseline.Load) Verdict {
	out := Verdict{Vector: v, Load: load}
	doubt := &Verdict{Vector: v, Load: load}
	sums := d.sums
	for e := range v.Entries() {
		for len(sums) > 0 && sums[0].id < e.ID {
			sums = sums[1:]
		}
		before := sum{id: e.ID, since: v.Hop.Start}
		if len(sums) > 0 && sums[0].id == e.ID {
			before = sums[0]
		}
		f, left := d.follow(p, v, load, e, before)
		if !left {
			continue
		}
		out.sums = append(out.sums, sum{e.ID, f.Evidence, f.Since})
		if f.Excess > 0 && f.Evidence >= d.cfg.Evidence {
			out.add(f)
		}
		if f.Excess > 0 && f.Evidence >= d.cfg.Evidence*criteria.Matters {
			doubt.add(f)
		}
	}
	d.measure(&out, p)
	doubt.CPU, doubt.Active, doubt.beyond = out.CPU, out.Active, out.beyond
	d.weigh(&out, nil)
	d.weigh(doubt, nil)
	out.Doubt, out.doubts = doubt.Score(), doubt
	return out
}

func (v *Verdict) add(f Finding) {
	switch {
	case f.Cell.State == baseline.Refused:
		v.Refused = append(v.Refused, f)
	case f.Cell.Inclusive:
		v.Nodes = append(v.Nodes, f)
	default:
		v.Cells = append(v.Cells, f)
	}
}

// follow adds what a cell says in one hop to its test; false when it says nothing, as most
// cells do.
func (d *Detector) follow(p *baseline.Past, v *baseline.Vector, load baseline.Load, e baseline.Entry, before sum) (f Finding, left bool) {
	cell := d.index.Cell(e.ID)
	slow := load.Waits
	if cell.State == baseline.OnCPU {
		slow = load.Work * load.Slow
	}
	// Most cells are within their mean, which is cheap to know.
	mean := p.PerLoad(e.ID) * slow
	if e.Time <= mean {
		return f, false
	}
	t := test{d: d, past: p, hop: v.Hop, cell: cell, entry: e, waited: v.Waited(e.ID), prior: priorOf(cell, d.classes)}
	t.grain = t.grainOf()
	if t.grain <= 0 || d.onlyTheDisk(p, v.Hop, cell, t.waited) {
		return f, false
	}
	// What is expected is the mean at least: a test that has not left zero does not leave it
	// within that.
	if before.evidence == 0 && e.Time/t.grain <= t.limit(mean/t.grain) {
		return f, false
	}
	f = Finding{ID: e.ID, Cell: cell, Time: e.Time, Expected: t.expected(slow, load.Busy), Since: before.since}
	f.Excess = e.Time - f.Expected
	if before.evidence == 0 && e.Time/t.grain <= t.limit(f.Expected/t.grain) {
		return f, false
	}
	f.Evidence = min(max(0, before.evidence+t.evidence(f.Expected)), criteria.ManyTimes*d.cfg.Evidence)
	return f, f.Evidence > 0
}

// test is what one cell says in one hop.
type test struct {
	d      *Detector
	past   *baseline.Past
	hop    *hop.Closed
	cell   baseline.Cell
	entry  baseline.Entry
	waited baseline.Waited
	prior  Prior
	grain  float64
}

// expected is the time that a load, by how much it lets the cell grow, lets expect.
func (t *test) expected(slow float64, busy bool) float64 {
	expected := t.past.Expected(t.entry.ID, slow)
	if t.cell.State == baseline.OnCPU && busy {
		expected = t.past.LeastExpected(t.entry.ID, slow)
	}
	if t.d.classes.Is(t.cell.Number, threadtrace.ClassSync) {
		expected *= slowDisk(t.past, t.hop, t.cell.Number)
	}
	return expected
}

// limit is how many sightings are nothing where a mean is expected. It is known from n hops
// only: its upper limit with Jeffreys' prior.
func (t *test) limit(mean float64) float64 {
	n := float64(t.past.Len())
	return (1 + t.prior.Margin) * (mean + (0.5+criteria.StandardErrors*math.Sqrt(mean*n+0.5))/n)
}

// evidence is that of this hop alone against a time that is expected.
func (t *test) evidence(expected float64) float64 {
	n := float64(t.past.Len())
	k, mean := t.entry.Time/t.grain, t.limit(expected/t.grain)
	dispersion := (n*t.past.Dispersion(t.entry.ID, t.grain) + criteria.PriorHops*t.prior.Dispersion) / (n + criteria.PriorHops)
	if t.cell.State != baseline.Waiting || t.waited.Exact {
		return LogLikelihoodRatio(k, mean, dispersion)
	}
	most := t.hop.Seconds * 1e9 / max(independent, t.hop.SnapshotPeriod*t.hop.Seconds) * float64(max(1, t.waited.Threads))
	// However many threads one reason holds, it was seen at so many moments.
	looks := float64(bits.OnesCount64(t.waited.Moments)) / dependent(t.hop)
	return min(Presence(k, mean, most, dispersion), looks*logRates[len(rates)-1])
}

// grainOf is what one sighting of a cell stands for, in nanoseconds per second.
func (t *test) grainOf() float64 {
	c := t.hop
	switch {
	case t.cell.State == baseline.Refused:
		return 1 / max(1e-9, c.CallSeconds)
	case t.cell.State == baseline.OnCPU:
		return c.SamplePeriod
	case !t.waited.Exact || t.cell.Inclusive:
		return c.SnapshotPeriod * dependent(c)
	}
	length := t.past.UsualLength(t.cell.Number)
	if length == 0 {
		calls := c.Calls[unit.Key{Number: t.cell.Number}]
		length = calls.Time / max(1e-9, calls.N)
	}
	return length / max(1e-9, c.Seconds)
}

// dependent is how many looks are as much evidence as one that is independent.
func dependent(c *hop.Closed) float64 {
	interval := c.SnapshotPeriod * c.Seconds
	if interval <= 0 {
		return 1
	}
	return max(1, independent/interval)
}

// measure says what the service takes as a whole, and how much of it is beyond the past.
func (d *Detector) measure(v *Verdict, p *baseline.Past) {
	v.beyond = map[baseline.State]float64{}
	for _, state := range []baseline.State{baseline.OnCPU, baseline.Waiting} {
		id, ok := d.index.Of(baseline.Cell{Function: baseline.Whole, State: state, Inclusive: true})
		if !ok {
			continue
		}
		load := v.Load.Waits
		if state == baseline.OnCPU {
			load = v.Load.Work * v.Load.Slow
		}
		t := v.Vector.Time(id)
		v.beyond[state] = t - p.AtMost(id, load)
		v.Active += t
		if state == baseline.OnCPU {
			v.CPU = t
		}
	}
}

// weigh says what the findings cost the service. The whole must be beyond the past
// for the parts to count: a new mix of requests at the old cost is nobody's loss. What is
// explained of it, by state, costs nothing.
func (d *Detector) weigh(v *Verdict, explained map[baseline.State]float64) {
	found := map[baseline.State]float64{}
	for _, f := range v.Cells {
		found[f.Cell.State] += f.Excess
		v.Evidence = max(v.Evidence, f.Evidence)
	}
	for _, f := range v.Nodes {
		found[f.Cell.State] = max(found[f.Cell.State], f.Excess)
		v.Evidence = max(v.Evidence, f.Evidence)
	}
	excess := func(state baseline.State) float64 {
		return max(0, min(found[state], v.beyond[state]-explained[state]))
	}
	v.CPUExcess, v.WaitExcess = excess(baseline.OnCPU), excess(baseline.Waiting)
	if v.Vector.Hop.Starved {
		v.WaitExcess = 0
	}
	matters := func(active float64) float64 { return max(d.cfg.Least, d.cfg.Share*active) }
	// A pool whose threads wait for others would hide a loop that doubles the CPU time.
	v.Effect = max((v.CPUExcess+v.WaitExcess)/matters(v.Active), v.CPUExcess/matters(v.CPU))
	for _, f := range v.Refused {
		v.Refusal += f.Excess * v.Vector.Hop.CallSeconds / max(1e-9, v.Vector.Hop.Seconds) / d.cfg.Refusals
		v.Evidence = max(v.Evidence, f.Evidence)
	}
	v.Refusal = min(v.Refusal, 2)
}
