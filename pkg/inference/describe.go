package inference

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/pattern"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// describe says what is abnormal: the evidence of the whole episode ranks the
// functions, the present hop says when and in which threads.
func (a *Analyzer) describe(e *episode, v *verdict) Anomaly {
	found := Anomaly{
		ID: e.id, Onset: e.onset, Start: v.hop.Start, End: v.hop.End, Kind: KindPopulationShift,
		Score: Round(v.Score()), Confidence: Round(v.Evidence), Units: a.spans(v),
	}
	whole := a.compare(e.normal, e.merged)
	c := a.caseOf(e, &whole)
	onlyRefusals := whole.onlyRefuses()
	times, scale := a.findSuspects(&found, e, &whole, &c)
	doing := attribute.DoingOf(a.stacks, times, found.Suspects)
	if 2*doing.Stuck > doing.CPU+doing.Waiting {
		found.Kind = KindSilence
	}
	rates := callRates(c.Past.Calls, e.merged.Calls)
	features := pattern.Features{Classes: a.classes, Doing: doing, Calls: rates, OnlyRefusals: onlyRefusals, TimedOut: timedOut(&c, times)}
	features.CPUOutsideCalls = doing.CPU * ratio(e.merged.CPUOutside, e.merged.CPU.Sum())
	found.Pattern = features.Name()
	found.Deviations = pattern.Deviations(a.arch, rates, meanLength(c.Past.Calls), waitingIn(times))
	found.Impact = Round(min(1, ratio(v.lost(), v.Active+v.outside)))
	say := explain.Anomaly{Doing: explain.OnCPU, Calls: a.changed(rates, e.merged)}
	if onlyRefusals {
		say.Doing, say.Refused, found.Impact = a.refused(&whole)
	} else if call, waits := doing.Waited(); waits {
		say.Doing, say.Call = explain.Waiting, threadtrace.Name(a.arch, call)
	}
	if len(found.Suspects) > 0 {
		if !onlyRefusals {
			found.Gain = Round(a.gainOf(e, &c, found.Suspects[0]))
		}
		found.Path = attribute.PathTo(a.stacks, times, found.Suspects[0])
		found.Order = a.orderTo(v.hop, found.Suspects[0])
		if v.hop.Functions > 0 {
			found.Scope = float64(len(found.Suspects)) / float64(v.hop.Functions)
		}
	}
	a.addPackage(&found, &c, times, scale)
	say.Chain = sayChain(found.Chain)
	blame(&found, &whole, v, a.cfg.decision(), &say)
	if len(found.Suspects) == 0 && v.leavesUnanswered() {
		found.Suspects = c.Stopped(a.cfg.MaxSuspects)
	}
	found.Summary = sentence(&found, say)
	return found
}

// findSuspects ranks the functions, and follows the wait that they are behind to its end. It
// returns the evidence, and by what that is known.
func (a *Analyzer) findSuspects(found *Anomaly, e *episode, whole *verdict, c *attribute.Case) ([]attribute.Time, attribute.Scale) {
	times := c.RefusalTimes()
	if !whole.onlyRefuses() {
		times = c.Evidence()
	}
	waits := a.waitingOf(c)
	chained := a.waitChain(c, waits)
	most := chained // a wait that is no part of what is lost costs its function CPU time, too
	if most == nil {
		most = waits.graph.Follow(waits.amid)
	}
	times = a.alongChain(times, chained, whole.Load.Waits)
	scale := attribute.Scale{
		Grain: e.merged.SamplePeriod, Hops: float64(whole.past.Len()), Load: whole.Load.Work * whole.Load.Slow, Waiters: waiters(most),
	}
	found.Suspects = attribute.Rank(a.stacks, times, scale, a.cfg.MaxSuspects)
	if chained == nil {
		chained = a.chainTo(waits, found.Suspects)
	}
	if chained == nil {
		chained = a.chainOfOne(c, waits)
	}
	found.Chain = a.describeChain(chained)
	return times, scale
}

// gainOf is the gain of a suspect in the hops after the first one, in which the episode
// began: that one is in part as ever.
func (a *Analyzer) gainOf(e *episode, whole *attribute.Case, s Suspect) float64 {
	c := *whole
	v := a.compare(e.normal, cmp.Or(e.later, e.merged))
	c.Hop, c.Verdict, c.Idle, c.Fresh = v.hop, &v.Verdict, v.idle, v.fresh
	return a.gain(&c, a.waitingOf(&c), v.outside, s)
}

// waitingIn is the excess waiting by call.
func waitingIn(times []attribute.Time) map[int32]float64 {
	waiting := map[int32]float64{}
	for _, t := range times {
		if t.Kind == attribute.EvidenceBlocked && t.Excess > 0 {
			waiting[t.Call] += t.Excess
		}
	}
	return waiting
}

func timedOut(c *attribute.Case, times []attribute.Time) map[int32]float64 {
	waited, out := map[int32]float64{}, map[int32]float64{}
	for _, t := range times {
		if t.Kind == attribute.EvidenceBlocked {
			waited[t.Call] += t.Beyond
		}
	}
	for nr, t := range c.Hop.TimedOut {
		out[nr] = ratio(t-c.Past.TimedOut[nr], waited[nr])
	}
	return out
}

// refused is the most frequent refusal and the share of such calls that it is.
func (a *Analyzer) refused(v *verdict) (doing explain.Doing, call explain.Call, part float64) {
	most := slices.MaxFunc(v.Refused, func(a, b detect.Finding) int { return cmp.Compare(a.Excess, b.Excess) })
	all := 0.0
	for _, k := range hop.Keys(v.hop.Calls) {
		if k.Number == most.Cell.Number {
			all += v.hop.Calls[k].N
		}
	}
	return explain.Nothing, explain.Call{
		Name: threadtrace.Name(a.arch, most.Cell.Number), Errno: threadtrace.ErrnoName(most.Cell.Function),
	}, Round(min(1, ratio(most.Time, all)))
}

// spans are the stretches of threads with time in excess, one per thread.
func (a *Analyzer) spans(v *verdict) []Span {
	from, to := a.within(v)
	hot := a.hot(v)
	byThread := map[int32]Span{}
	widen := func(id int32, start, end int64) {
		sp, ok := byThread[id]
		if !ok {
			sp = Span{ThreadID: id, Start: start, End: end}
		}
		sp.Start, sp.End = min(sp.Start, start), max(sp.End, end)
		byThread[id] = sp
	}
	for _, t := range v.hop.Cells {
		if t.Thread != 0 && hot(t.Cell) && t.First <= to && t.Last >= from {
			widen(t.Thread, max(from, t.First), min(to, t.Last))
		}
	}
	for _, f := range v.Refused {
		for id, sp := range v.hop.Refused[unit.Key{Number: f.Cell.Number, Errno: f.Cell.Function}] {
			widen(id, sp.Start, sp.End)
		}
	}
	return slices.SortedFunc(maps.Values(byThread), func(a, b Span) int { return cmp.Compare(a.ThreadID, b.ThreadID) })
}

// hot tells which cells of single threads have time in excess.
func (a *Analyzer) hot(v *verdict) func(hop.Cell) bool {
	cells, nodes := map[baseline.Cell]bool{}, map[baseline.Cell]bool{}
	for _, f := range v.Cells {
		cells[f.Cell] = true
	}
	for _, f := range v.Nodes {
		nodes[f.Cell] = true
	}
	return func(cell hop.Cell) bool {
		if cell.Fresh && !v.fresh || cell.Waiting && v.idle(hop.Place{Stack: cell.Stack, Number: cell.Number}) {
			return false
		}
		at := baseline.CellOf(a.stacks, cell.Stack, cell.Number, cell.Waiting)
		if len(cells) > 0 {
			return cells[at]
		}
		return slices.ContainsFunc(a.stacks.Get(cell.Stack).Frames, func(f int32) bool {
			return nodes[baseline.Cell{Function: f, State: at.State, Inclusive: true}]
		})
	}
}

// callRates sets the calls of a hop beside the past's.
func callRates(past, calls map[unit.Key]hop.Totals) []pattern.CallRate {
	rates := make([]pattern.CallRate, 0, len(calls))
	for _, k := range hop.Keys(calls) {
		t, was := calls[k], past[k]
		r := pattern.CallRate{Number: k.Number, Errno: k.Errno, Now: t.N, Past: was.N, BytesNow: t.Bytes, BytesPast: was.Bytes}
		if t.N > 0 {
			r.Mean = t.Time / t.N
		}
		rates = append(rates, r)
	}
	for _, k := range hop.Keys(past) {
		if _, ok := calls[k]; !ok {
			rates = append(rates, pattern.CallRate{Number: k.Number, Errno: k.Errno, Past: past[k].N, BytesPast: past[k].Bytes})
		}
	}
	return rates
}

func meanLength(calls map[unit.Key]hop.Totals) map[unit.Key]float64 {
	m := make(map[unit.Key]float64, len(calls))
	for k, t := range calls {
		if t.N > 0 {
			m[k] = t.Time / t.N
		}
	}
	return m
}

// orderTo is the functions that ran one after the other before a suspect, the
// earliest first and the suspect last, as they did most often in a hop; empty when
// signatures do not tell it, or nothing before it.
func (a *Analyzer) orderTo(c *hop.Closed, to attribute.Suspect) []string {
	var best hop.Order
	most := uint32(0)
	for o, n := range c.Orders {
		if n < most || n == most && slices.Compare(o[:], best[:]) >= 0 || attribute.Find(a.stacks, o[o.Len()-1], to) < 0 {
			continue
		}
		best, most = o, n
	}
	var list []string
	for i := range best.Len() {
		name := a.nameOf(best[i])
		if i+1 == best.Len() {
			name = to.Function
		}
		if len(list) == 0 || list[len(list)-1] != name {
			list = append(list, name)
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// nameOf is the innermost function of a stack that has a name, else the innermost.
func (a *Analyzer) nameOf(stack uint32) string {
	on := a.stacks.Get(stack).Frames
	for _, f := range on {
		if fn := a.stacks.Function(f); !fn.Nameless() {
			return fn.Name
		}
	}
	return a.stacks.Function(on[0]).Name
}

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
