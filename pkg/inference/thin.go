package inference

import (
	"fmt"
	"math/bits"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/thin"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// AddInterval folds what was summed up of the service into the hop in which the
// interval starts: with intervals of which a whole number goes into a hop, and hops
// of thin.LongestCall, that is what AddBatch and AddCoverage make of the records. Of
// a hop in which a thread without a past does what others did before, a little more
// counts as what it did without a past. All intervals are of one service, with one
// dictionary that grows. It keeps nothing of them.
func (a *Analyzer) AddInterval(i *thin.Interval) {
	h := a.hopAt(i.Start)
	for _, id := range i.Threads {
		if th := a.threads.of(id, i.Start, a.classes); th != nil {
			th.lastSeen = max(th.lastSeen, i.End-1)
		} else {
			a.stats.ThreadsOverflow++
		}
	}
	// In the order in which the records had them: identifiers have the same order.
	for n := len(a.dictionary); n < len(i.Stacks); n++ {
		a.dictionary = append(a.dictionary, interned{stack: a.stacks.Intern(&i.Stacks[n])})
	}
	for j := range i.Cells {
		a.addCell(h, i, &i.Cells[j])
	}
	for _, c := range i.Calls {
		h.AddCalls(unit.Key{Number: c.Number, Errno: c.Errno}, hop.Totals{N: float64(c.N), Time: float64(c.Time), Bytes: float64(c.Bytes)})
	}
	for _, t := range i.TimedOut {
		h.AddTimedOut(t.Number, float64(t.Time))
	}
	for _, s := range i.Sites {
		h.AddSite(hop.Site{Key: unit.Key{Number: s.Number, Errno: s.Errno}, Stack: a.stackOf(i, s.Stack, threadtrace.KindCall)}, s.N)
	}
	for _, r := range i.Refused {
		h.AddRefused(unit.Key{Number: r.Number, Errno: r.Errno}, hop.Span{ThreadID: r.Thread, Start: r.First, End: r.Last})
	}
	addMachine(h, i)
	a.addFlows(h, i)
	h.AddLooked(&hop.Looked{
		From: i.From, To: i.To, Time: i.Looked, Traced: i.Traced, CPU: i.CPUTime, RunDelay: i.RunDelay,
		SamplePeriod: i.SamplePeriod, SnapshotPeriod: i.SnapshotPeriod,
		CPUOutside: i.CPUOutside, Gaps: i.Gaps, Looks: i.Looks, Functions: i.Functions, Dropped: i.Dropped,
	})
}

// addMachine folds what was lacked of the machine into a hop; what is numbered is named
// by its number. How many records that was is not kept: an interval is as long as the usual one.
func addMachine(h *hop.Open, i *thin.Interval) {
	m := &i.Machine
	if m.Known == 0 {
		return
	}
	sum := hop.Machine{Seconds: float64(m.Known) / 1e9, Records: float64(m.Known) / float64(i.End-i.Start), Figures: make(map[hop.Resource]float64, len(m.Readings)), Users: make(map[hop.User]float64, len(m.Users))}
	for _, r := range m.Readings {
		at := hop.Resource{Measure: r.Measure}
		if r.Resource != 0 {
			at.Name = fmt.Sprintf("resource %d", r.Resource)
		}
		sum.Figures[at] = float64(r.Value)
	}
	for _, u := range m.Users {
		sum.Users[hop.User{Of: u.Of, Name: fmt.Sprintf("neighbour %d", u.Who)}] = float64(u.Value)
	}
	h.AddSums(&sum)
}

func (a *Analyzer) addCell(h *hop.Open, i *thin.Interval, c *thin.Cell) {
	kind := threadtrace.KindSample
	if c.Waiting {
		kind = threadtrace.KindBlocked
	}
	th := a.threads[c.Thread]
	stack := a.stackOf(i, c.Stack, kind)
	a.recognise(h, th, stack)
	seen := hop.Seen{Time: c.Time, Longest: c.Longest, Moments: moments(h, i, c.Moments), Population: c.Population}
	part := (i.End - i.Start) / thin.Parts
	seen.First = i.Start + int64(bits.TrailingZeros64(c.Moments)%thin.Parts)*part
	seen.Last = i.Start + int64(bits.Len64(c.Moments))*part
	at := hop.Cell{Thread: c.Thread, Stack: stack, Number: c.Number, Waiting: c.Waiting, Fresh: a.fresh(th)}
	h.AddCell(at, seen)
	if stack != 0 {
		h.CallsPackages(at, a.below(&i.Stacks[c.Stack-1], &a.dictionary[c.Stack-1], kind), c.Time)
	}
}

// stackOf is the identifier of a stack of the interval's dictionary.
func (a *Analyzer) stackOf(i *thin.Interval, n uint32, kind threadtrace.Kind) uint32 {
	if n == 0 || int(n) > len(i.Stacks) {
		return 0
	}
	return a.identify(&i.Stacks[n-1], &a.dictionary[n-1], kind)
}

// moments gives the parts of an interval as parts of a hop.
func moments(h *hop.Open, i *thin.Interval, in uint64) (out uint64) {
	length, part := h.End-h.Start, (i.End-i.Start)/thin.Parts
	for ; in != 0; in &= in - 1 {
		at := i.Start + int64(bits.TrailingZeros64(in))*part + part/2 - h.Start
		out |= 1 << min(hop.Moments-1, max(0, at*hop.Moments/length))
	}
	return out
}
