package window

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/unit"
)

// onlyUnits reports whether the service as a whole is as ever, and some of its
// units are not.
func onlyUnits(v verdict, o outliers) bool { return v.score < 1 && o.score >= 1 }

// onlyRefusals reports whether calls are refused and no time is lost by it.
func onlyRefusals(v verdict, o outliers) bool {
	return v.refusalScore >= 1 && v.timeScore < 1 && o.score < 1
}

// impact is the excess as a share of the active time, or the share of the calls
// that are refused.
func impact(c *closedHop, v verdict, o outliers) float64 {
	if onlyRefusals(v, o) {
		_, refused := mostRefused(c, v)
		return refused
	}
	if !onlyUnits(v, o) {
		return min(1, share(v.cpuExcess+v.waitExcess, v.active))
	}
	return share(o.excess, max(v.active, o.excess))
}

// oftenFails is the share of the additional calls from which failing ones are
// taken for the reason of all: a loop around a failing call makes fewer than
// fifty others a turn.
const oftenFails = 0.02

// turn is the time in nanoseconds that one failing call at most stands for:
// a loop around it that burns CPU turns in microseconds, while callers that
// fail because they were kept waiting do so now and then.
const turn = 1e6

// callEvidence credits the stacks at calls that became more. The excess time
// in the call itself is the least it stands for; a call that newly fails is
// why its callers keep trying, so together such calls stand for half of the
// excess on CPU.
func (s *Service) callEvidence(e *episode, v verdict) []suspect.StackTime {
	excess := map[unit.Key]float64{}
	failing, more := 0.0, 0.0
	for _, k := range keysOf(e.merged.calls) {
		t := e.merged.calls[k]
		x := t.n - max(1, v.load)*e.past.callMean[k].n
		if x < suspect.NotRare || t.n < suspect.ManyTimes*e.past.callMean[k].n {
			continue
		}
		excess[k] = x
		more += x
		if k.Errno != 0 {
			failing += x
		}
	}
	perKey := map[unit.Key]float64{}
	for _, site := range slices.SortedFunc(maps.Keys(e.merged.callSites), callSite.compare) {
		perKey[site.key] += e.merged.callSites[site]
	}
	var times []suspect.StackTime
	for site, n := range e.merged.callSites {
		t := suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceSyscall, Now: n, Past: e.past.siteMean[site], Failing: site.key.Errno != 0}
		if x := excess[site.key]; x > 0 && v.cpuExcess > 0 {
			calls := e.merged.calls[site.key]
			cost := min(x*calls.time/calls.n, v.cpuExcess/2)
			if site.key.Errno != 0 && failing > oftenFails*more {
				cost = max(cost, min(v.cpuExcess/2*x/failing, x*turn))
			}
			t.Excess = cost * n / perKey[site.key]
		}
		times = append(times, t)
	}
	for site, n := range e.past.siteMean {
		if _, ok := e.merged.callSites[site]; !ok {
			times = append(times, suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceSyscall, Past: n})
		}
	}
	return times
}

// abnormalSpans are the stretches of threads with time in excess, one per
// thread, or the outlier units themselves.
func (s *Service) abnormalSpans(p *past, c *closedHop, v verdict, o outliers) []suspect.Span {
	from, to := s.within(p, c, v)
	byThread := map[int32]suspect.Span{}
	widen := func(id int32, start, end int64) {
		sp, ok := byThread[id]
		if !ok {
			sp = suspect.Span{ThreadID: id, Start: start, End: end}
		}
		sp.Start, sp.End = min(sp.Start, start), max(sp.End, end)
		byThread[id] = sp
	}
	for cell, t := range c.spans {
		id := cell.thread
		cell.thread = 0
		if id != 0 && v.hot[cell] && t.first <= to && t.last >= from {
			widen(id, max(from, t.first), min(to, t.last))
		}
	}
	if onlyUnits(v, o) {
		for _, u := range o.units {
			widen(u.ThreadID, u.Start, u.End)
		}
	}
	for _, k := range v.refused {
		for id, sp := range c.refused[k] {
			widen(id, sp.Start, sp.End)
		}
	}
	spans := slices.Collect(maps.Values(byThread))
	slices.SortFunc(spans, func(a, b suspect.Span) int { return cmp.Compare(a.ThreadID, b.ThreadID) })
	return spans
}

// topOf is what a report is the same by: its first suspect and pattern.
func topOf(a *suspect.Anomaly) string {
	if len(a.Suspects) == 0 {
		return a.Pattern
	}
	return a.Pattern + " " + a.Suspects[0].Function
}

// callRates sets the calls of a hop beside the past's.
func callRates(p *past, calls map[unit.Key]callTotals) []suspect.CallRate {
	rates := make([]suspect.CallRate, 0, len(calls))
	for _, k := range keysOf(calls) {
		t, was := calls[k], p.callMean[k]
		r := suspect.CallRate{Number: k.Number, Errno: k.Errno, Now: t.n, Past: was.n, BytesNow: t.bytes, BytesPast: was.bytes}
		if t.n > 0 {
			r.Mean = t.time / t.n
		}
		rates = append(rates, r)
	}
	for _, k := range keysOf(p.callMean) {
		if _, ok := calls[k]; !ok {
			was := p.callMean[k]
			rates = append(rates, suspect.CallRate{Number: k.Number, Errno: k.Errno, Past: was.n, BytesPast: was.bytes})
		}
	}
	return rates
}
