package window

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// episode is a service away from its past, from the first abnormal hop until
// two hops in a row are back.
type episode struct {
	id      string
	onset   int64
	past    *past
	learned []*closedHop
	merged  *closedHop
	pending []*closedHop
	// recent are the hops before the present one, of an episode that no hop
	// tells by itself.
	recent []*closedHop
	// sum is that of the scores so far, quiet the hops in a row that are back.
	sum      float64
	quiet    int
	reported int64
	top      string
}

const (
	// quietHops end an episode.
	quietHops = 2
	// doubt is the score from which a hop may belong to an episode: it is
	// neither told yet nor learned. Scores of hops in a row add up until they
	// are certain (as in Page's cumulative sum test, Biometrika 1954): a small
	// departure that lasts is as good a reason as a large one, and would
	// otherwise become the past that hides it. Three in a row are the least:
	// a third of certain.
	doubt = certain / 3
)

// Decided is the instant, at most now, up to which what was told will not change:
// hops in doubt may be told with a later one.
func (s *Service) Decided(now int64) int64 {
	if e := s.episode; e != nil && len(e.pending) > 0 {
		return min(now, e.pending[0].start)
	}
	return now
}

func newEpisode(p *past, learned []*closedHop, c *closedHop) *episode {
	return &episode{id: fmt.Sprintf("%016x", uint64(c.start)), onset: c.start, past: p, learned: learned}
}

// judgeEpisode judges a hop while the service is away from its past.
func (s *Service) judgeEpisode(e *episode, c *closedHop) (suspect.Anomaly, bool) {
	v := s.compare(e.past, c)
	o := s.outlierUnits(e.past, e.learned, c, v.active)
	s.note(v, o)
	score := max(v.score, o.score)
	if len(e.recent) > 0 {
		if pooled := s.comparePooled(e, c); score < doubt && pooled.score >= doubt {
			v, score = pooled, pooled.score
		}
		e.recent = append(e.recent[max(0, len(e.recent)-maxPooled+2):len(e.recent):len(e.recent)], c)
	}
	if score < doubt {
		a := s.tail(e, c, v, o)
		return a, s.settle(e, c)
	}
	e.quiet = 0
	e.sum += score
	e.merge(c)
	if e.reported == 0 && e.sum < certain {
		e.pending = append(e.pending, c)
		return suspect.Anomaly{}, true
	}
	pending := e.pending
	e.pending = nil
	if c.end-e.onset > int64(forget) {
		// The service is different now: learn it anew.
		s.episode, s.closed = nil, nil
		return suspect.Anomaly{}, false
	}
	a := s.describe(e, c, v, o)
	a.Score = suspect.Round(score)
	// What was in doubt is certain now: it began when that did.
	for i := len(pending) - 1; i >= 0; i-- {
		h := pending[i]
		a.Start = h.start
		a.Units = append(s.abnormalSpans(e.past, h, s.compare(e.past, h), outliers{}), a.Units...)
	}
	top := topOf(&a)
	a.Repeat = e.reported > 0 && top == e.top && c.end-e.reported < int64(remind)
	if !a.Repeat {
		e.reported, e.top = c.end, top
	}
	return a, true
}

// tail is what the first hop that is back says of an episode: it may have ended
// within that hop, too early for it to be abnormal as a whole. Only functions that
// are new tell until when.
func (s *Service) tail(e *episode, c *closedHop, v verdict, o outliers) (a suspect.Anomaly) {
	if e.reported == 0 || e.quiet > 0 {
		return a
	}
	if _, to := s.within(e.past, c, v); to == c.end {
		return a
	}
	a = s.describe(e, c, v, o)
	a.Score, a.Repeat = suspect.Round(v.score), true
	return a
}

// settle counts a normal hop of an episode and reports whether the hop is
// kept out of the past.
func (s *Service) settle(e *episode, c *closedHop) bool {
	if e.quiet++; e.quiet < quietHops && e.reported > 0 {
		return true
	}
	// What did not last long enough to be told is part of the habit.
	for _, h := range e.pending {
		s.remember(h)
	}
	s.episode = nil
	return false
}

// merge adds a hop to the mean over the episode's abnormal hops.
func (e *episode) merge(c *closedHop) {
	if e.merged == nil {
		m := *c
		m.cpu, m.wait = maps.Clone(c.cpu), maps.Clone(c.wait)
		m.freshCPU, m.fresh = maps.Clone(c.freshCPU), maps.Clone(c.fresh)
		m.calls, m.callSites, m.timedOut = maps.Clone(c.calls), maps.Clone(c.callSites), maps.Clone(c.timedOut)
		m.measures = slices.Clone(c.measures)
		m.units = nil
		e.merged = &m
		return
	}
	m := e.merged
	// The first abnormal hop began somewhere inside it: weights follow time.
	w := c.seconds / (m.seconds + c.seconds)
	mean := func(a, b float64) float64 { return a*(1-w) + b*w }
	meanTime := func(a, b float64) float64 { return math.Round(mean(a, b)) }
	// Of calls that is the time in which they were recorded.
	wc := share(c.callSeconds, m.callSeconds+c.callSeconds)
	meanCalls := func(a, b float64) float64 { return a*(1-wc) + b*wc }
	mix(m.cpu, c.cpu, meanTime)
	mix(m.freshCPU, c.freshCPU, meanTime)
	mix(m.callSites, c.callSites, meanCalls)
	mix(m.timedOut, c.timedOut, func(a, b float64) float64 { return math.Round(meanCalls(a, b)) })
	mixWaits(m.wait, c.wait, meanTime)
	mixWaits(m.fresh, c.fresh, meanTime)
	for k := range union(m.calls, c.calls) {
		a, b := m.calls[k], c.calls[k]
		m.calls[k] = callTotals{meanCalls(a.n, b.n), meanCalls(a.time, b.time), meanCalls(a.bytes, b.bytes)}
	}
	for i := range m.measures {
		m.measures[i] = meanCalls(m.measures[i], c.measures[i])
	}
	m.cpuOutside, m.cpuTotal = mean(m.cpuOutside, c.cpuOutside), mean(m.cpuTotal, c.cpuTotal)
	m.seconds += c.seconds
	m.callSeconds += c.callSeconds
	m.end = c.end
	m.spans, m.spinning, m.holey = c.spans, c.spinning, c.holey
	m.threads = max(m.threads, c.threads)
	m.starved = m.starved && c.starved
	m.period.sample, m.period.snapshot = m.period.sample*(1-w), m.period.snapshot*(1-w)
}

func mixWaits(a, b map[waitSite]waitTime, mean func(a, b float64) float64) {
	for k := range union(a, b) {
		x, y := a[k], b[k]
		a[k] = waitTime{mean(x.time, y.time), max(x.threads, y.threads), max(x.longest, y.longest), x.exact || y.exact}
	}
}

func mix[K comparable](a, b map[K]float64, mean func(a, b float64) float64) {
	for k := range union(a, b) {
		a[k] = mean(a[k], b[k])
	}
}

func union[K comparable, V any](a, b map[K]V) map[K]struct{} {
	u := make(map[K]struct{}, len(a)+len(b))
	for k := range a {
		u[k] = struct{}{}
	}
	for k := range b {
		u[k] = struct{}{}
	}
	return u
}

// describe says what is abnormal: the evidence of the whole episode ranks the
// functions, the present hop says when and in which threads.
func (s *Service) describe(e *episode, c *closedHop, v verdict, o outliers) suspect.Anomaly {
	a := suspect.Anomaly{ID: e.id, Onset: e.onset, Start: c.start, End: c.end, Kind: suspect.KindPopulationShift}
	whole := s.compare(e.past, e.merged)
	times := append(whole.times, s.callEvidence(e, whole)...)
	var cause suspect.Cause
	switch {
	case onlyUnits(v, o):
		// The service as a whole is as ever, some of its units are not: what
		// was seen inside them is the evidence.
		a.Kind = suspect.KindOutlierUnit
		times = append(times, o.times...)
		whole.cpuExcess, whole.waitExcess, whole.waiting, whole.waited = o.onCPU, o.waited, o.waiting, o.waiting
	case onlyRefusals(whole, o):
		times, cause.Refused = s.refusalEvidence(e, whole), s.describeRefusal(e.merged, whole)
	case 2*v.stuck > v.cpuExcess+v.waitWeight:
		a.Kind = suspect.KindSilence
	}
	times = inOrder(times)
	a.Suspects = suspect.Rank(s.stacks, times, s.cfg.MaxSuspects)
	rates := callRates(e.past, e.merged.calls)
	timedOut := map[int32]float64{}
	for nr, t := range e.merged.timedOut {
		timedOut[nr] = share(t-e.past.timedOut[nr], whole.waited[nr])
	}
	features := suspect.Features{
		Classes: s.classes, Doing: suspect.DoingOf(s.stacks, times, a.Suspects),
		Calls: rates, TimedOut: timedOut, OnlyRefusals: cause.Refused != "",
	}
	features.CPUOutsideCalls = features.CPU * share(e.merged.cpuOutside, sum(e.merged.cpu))
	a.Pattern = features.Name()
	a.Deviations = suspect.Deviations(s.arch, rates, e.past.means(), whole.waiting)
	a.Impact = suspect.Round(impact(c, v, o))
	a.Units = s.abnormalSpans(e.past, c, v, o)
	if len(a.Suspects) > 0 {
		a.Path = suspect.PathTo(s.stacks, times, a.Suspects[0])
		a.Order = s.orderTo(c, a.Suspects[0])
		if c.functions > 0 {
			a.Scope = float64(len(a.Suspects)) / float64(c.functions)
		}
	}
	if call, waits := features.Waited(); waits {
		cause.Waited = syscalltrace.Name(s.arch, call)
	}
	a.Summary = suspect.Summarise(&a, cause)
	return a
}

// warmUp looks for units far from the others while there is no past.
func (s *Service) warmUp(c *closedHop) (suspect.Anomaly, bool) {
	if len(s.closed) < minPast/2 {
		return suspect.Anomaly{}, false
	}
	o := s.outliers(s.closed, c, c.cpuTotal, certain)
	if o.score < 1 {
		return suspect.Anomaly{}, false
	}
	a := suspect.Anomaly{
		ID: fmt.Sprintf("%016x", uint64(c.start)), Onset: c.start, Start: c.start, End: c.end,
		Kind: suspect.KindOutlierUnit, Warmup: true, Score: o.score,
		Impact: min(1, share(o.excess, max(o.excess, c.cpuTotal))),
		Units:  s.abnormalSpans(nil, c, verdict{}, o),
	}
	a.Suspects = suspect.Rank(s.stacks, o.times, s.cfg.MaxSuspects)
	if len(a.Suspects) > 0 {
		a.Path = suspect.PathTo(s.stacks, o.times, a.Suspects[0])
	}
	a.Summary = suspect.Summarise(&a, suspect.Cause{})
	return a, false
}

func sum[K comparable](m map[K]float64) float64 {
	total := 0.0
	for _, v := range m {
		total += v
	}
	return total
}
