package inference

import (
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// lasting is the sum of effects that matters, in the unit of effects.
	lasting = 1
	// doubtful is the effect from which a hop is not learned while it is not certain
	// that it is normal: half of what matters.
	doubtful = lasting / 2.0
)

// episode is a service away from its past, from the first hop in doubt until two
// hops in a row are back.
type episode struct {
	id    string
	onset int64
	// instance is whose it is.
	instance string
	normal   *normal
	// merged is all of its hops, later those after the first one.
	merged, later *hop.Closed
	// other is the last hop if it is of another matter than those before.
	other   *hop.Closed
	pending []*hop.Closed
	// partial is the part of the present hop that was told, if it was; wasPartial is set
	// when what was told last was a part of a hop.
	partial    *partial
	wasPartial bool
	// toll is that of all hops, outside that of those in which nothing of the code mattered.
	toll
	outside toll
	// housekeeping is set when most of it is what a runtime computes by itself.
	housekeeping bool
	// elsewhere says whether most of it is lost to the machine or a peer.
	elsewhere elsewhere
	// innocent is set when what was last told says nothing of what the code does now: it
	// blames the machine and no function, or names what is not done any more.
	innocent bool
	// quiet counts the hops in a row that are back.
	quiet    int
	reported int64
	top      string
	// chained is set once a chain of waits was told.
	chained bool
	// last is what was last said of it, until the end of what is abnormal.
	last  Anomaly
	until int64
	// kept are some of its hops, for a state to be known by; seen says which one it is,
	// if it was seen before.
	kept []*hop.Closed
	seen recognition
}

// toll is what hops come to: how many they are, the sum of their effects, that of those of
// refused calls, the time in excess in seconds, and that in which somebody waits for it.
type toll struct {
	hops                      int
	sum, refusals, lost, felt float64
	// looks is how many met somebody who waits longer than ever.
	looks float64
}

func (t *toll) add(o toll, times int) {
	n := float64(times)
	t.hops += times * o.hops
	t.sum += n * o.sum
	t.refusals += n * o.refusals
	t.lost += n * o.lost
	t.felt += n * o.felt
	t.looks += n * o.looks
}

func (v *verdict) toll() toll {
	t := toll{hops: 1, sum: v.Score(), refusals: v.Refusal, lost: v.lost() / 1e9 * v.hop.Seconds}
	if t.lost > 0 { // else who waits does so for another reason
		t.felt = v.machine.Felt / 1e9 * v.hop.Seconds
		t.looks = v.machine.Felt / v.hop.Machine.Look()
	}
	return t
}

// charge adds a hop, or takes it out again.
func (e *episode) charge(t toll, times int) {
	e.toll.add(t, times)
	if e.elsewhere == notTheCode {
		e.outside.add(t, times)
	}
}

// Decided is the instant, at most now, up to which what was told will not change:
// hops in doubt may be told with a later one.
func (a *Analyzer) Decided(now int64) int64 {
	if e := a.episode; e != nil && len(e.pending) > 0 {
		return min(now, e.pending[0].Start)
	}
	return now
}

// judgeEpisode judges a hop while the service is away from its past.
func (a *Analyzer) judgeEpisode(e *episode, c *hop.Closed) (Anomaly, bool) {
	v := a.compare(e.normal, c)
	a.note(&v)
	a.commit(&v)
	if v.Doubt < doubtful {
		if found, ok := a.last(e, &v); ok {
			e.quiet++
			return found, true
		}
		return a.settle(e, c)
	}
	e.quiet = 0
	if v.beside == nil && a.isKnown(e, &v, c) {
		return Anomaly{}, false
	}
	e.dropPartial()
	e.keep(c)
	if e.innocent && (v.onlyRefuses() || v.codeMatters(a.cfg.decision())) {
		e.merged, e.later = nil, nil // what was told so far is of the machine: it says nothing of the code
	}
	e.turn(c, a.another(e, &v))
	e.merge(c)
	e.elsewhere = v.elsewhere()
	e.charge(v.toll(), 1)
	e.until = c.End
	if e.reported == 0 && !a.certain(e, &v) {
		e.pending = append(e.pending, c)
		if len(e.pending) >= criteria.PriorHops {
			a.giveUp(e)
		}
		return Anomaly{}, false
	}
	if e.reported == 0 {
		a.begin(e, &v)
	}
	if c.End-e.onset > int64(forget) {
		// The service is different now: learn it anew.
		a.episode, a.habit.hops = nil, nil
		a.detector.Reset()
		a.machine.Reset()
		if e.reported == 0 {
			return Anomaly{}, false
		}
		e.last.Lost = e.lost
		over := e.last.Clear(c.End, c.End, EndLearned)
		a.keepEpisode(e, over)
		return over, true
	}
	return a.tell(e, &v), true
}

// turn leaves what was before out of what is told, at the second hop in a row that is of
// another matter: it began before the first one was over.
func (e *episode) turn(c *hop.Closed, another bool) {
	switch {
	case !another:
		e.other = nil
	case e.other == nil:
		e.other = c
	default:
		e.merged, e.later, e.other = e.other, nil, nil
	}
}

// another reports whether a hop that matters has suspects by itself, and what was told first
// so far is none of them.
func (a *Analyzer) another(e *episode, v *verdict) bool {
	if e.reported == 0 || v.Score() < 1 || v.onlyRefuses() {
		return false
	}
	// A package's function is named by its caller's time: it is none of the ranking here.
	was := slices.IndexFunc(e.last.Suspects, func(s Suspect) bool {
		_, ok := a.stacks.Lookup(s.Function, s.Module)
		return ok
	})
	if was < 0 {
		return false
	}
	first := e.last.Suspects[was]
	c := a.caseOf(e, v)
	suspects := attribute.Rank(a.stacks, c.Evidence(), attribute.Scale{
		Grain: v.hop.SamplePeriod, Hops: float64(v.past.Len()), Load: v.Load.Work * v.Load.Slow,
	}, a.cfg.MaxSuspects)
	return len(suspects) > 0 && !slices.ContainsFunc(suspects, func(s Suspect) bool {
		return s.Function == first.Function && s.Module == first.Module
	})
}

// tell says what is abnormal.
func (a *Analyzer) tell(e *episode, v *verdict) Anomaly {
	found := a.describe(e, v)
	if e.reported == 0 {
		a.findState(e, v)
	}
	pending := e.pending
	e.pending = nil
	// What was in doubt is certain now: it began when that did.
	for i := len(pending) - 1; i >= 0; i-- {
		before := a.compare(e.normal, pending[i])
		found.Start = pending[i].Start
		found.Units = append(a.spans(&before), found.Units...)
	}
	e.report(&found)
	a.recent.abnormal(e.onset)
	return found
}

// begin leaves out the hops in doubt before what is found now began: what they had is
// another matter, and part of the habit.
func (a *Analyzer) begin(e *episode, v *verdict) {
	if e.elsewhere == notTheCode {
		return // what functions show says nothing of when the machine began to lack something
	}
	since := v.Since()
	n := 0
	for n < len(e.pending) && e.pending[n].Start < since {
		if e.normal.beside == nil {
			a.habit.remember(e.pending[n])
		}
		n++
	}
	if n == 0 {
		return
	}
	e.pending = e.pending[n:]
	e.onset, e.merged, e.later = v.hop.Start, nil, nil
	if len(e.pending) > 0 {
		e.onset = e.pending[0].Start
	}
	for _, h := range e.pending {
		e.merge(h)
	}
	e.merge(v.hop)
}

func (e *episode) merge(h *hop.Closed) {
	if e.merged != nil {
		e.later = hop.Merge(e.later, h)
	}
	e.merged = hop.Merge(e.merged, h)
}

// last is what the first hop that is back says of an episode: it may have ended within
// that hop, too early for it to be abnormal as a whole.
func (a *Analyzer) last(e *episode, v *verdict) (found Anomaly, ok bool) {
	if e.reported == 0 || e.quiet > 0 {
		return found, false
	}
	_, to := a.within(v)
	if to == v.hop.End {
		return found, false
	}
	e.until = to
	e.lost += v.lost() / 1e9 * v.hop.Seconds
	found = a.describe(e, v)
	found.State, found.Lost, found.Repeat = StateUpdated, e.lost, true
	e.last = found
	a.recent.abnormal(e.onset)
	return found, true
}

// report sets where an anomaly is in its life.
func (e *episode) report(a *Anomaly) {
	a.State, a.Lost = StateUpdated, e.lost
	e.innocent = len(a.Causes) > 0 && (len(a.Suspects) == 0 || a.Causes[0].Kind == CauseUnanswered)
	a.Seen, a.FirstSeen = e.seen.times()
	if e.reported == 0 {
		a.State = StateRaised
	}
	top := topOf(a)
	chained := e.chained || len(a.Chain) == 0
	a.Repeat = e.reported > 0 && top == e.top && chained && !e.wasPartial && a.End-e.reported < int64(remind)
	e.wasPartial = false
	if !a.Repeat {
		e.reported, e.top, e.chained = a.End, top, e.chained || len(a.Chain) > 0
	}
	e.last = *a
}

// certain reports whether an episode is to be told: it is real, it matters, it is not
// over already, and it costs more than what healthy services do now and then.
func (a *Analyzer) certain(e *episode, v *verdict) bool {
	t := e.toll
	if e.elsewhere != notTheCode {
		t.add(e.outside, -1) // what was lost to others before says nothing of the code
	}
	if v.Evidence < a.cfg.decision().Evidence || t.sum < lasting {
		return false
	}
	// A runtime computes by itself, too: a collection of garbage, a compilation.
	if e.housekeeping = a.keepsHouse(e.normal, v); e.housekeeping && t.hops < notTheCode.leastHops() && a.cfg.follows(RuleHousekeeping) {
		return false
	}
	if a.cfg.follows(RuleUnfelt) && a.unfelt(e, &t, v) {
		return false
	}
	if t.hops < 2 && a.cfg.follows(RuleGoneAgain) && !a.goesOn(v) {
		return false
	}
	return t.hops >= e.elsewhere.leastHops() && (t.refusals >= lasting || t.lost >= a.rareCost())
}

// rareCost is what an episode must cost, in seconds, to be told.
func (a *Analyzer) rareCost() float64 {
	if !a.cfg.follows(RuleRareCost) {
		return 0
	}
	return a.excursions.Rare(a.cfg.FalseAlarms)
}

// keepsHouse reports whether most of what was found is computed by a runtime, in a
// service whose own work is not: an interpreter's work is the application's.
func (a *Analyzer) keepsHouse(n *normal, v *verdict) bool {
	own, all := 0.0, 0.0
	for _, f := range v.found() {
		switch {
		case a.manages(f.Cell):
			own += f.Excess
		case f.Cell.Function == baseline.Whole:
			continue
		}
		all += f.Excess
	}
	return own > all/2 && !n.interpreted
}

// unfelt reports whether what was found are threads that wait for any of several descriptors,
// or for a CPU that others have, while nobody waits for them: a connection at rest, a scheduler
// that polls where it slept or spins beside others. t is what the episode came to. Of a service
// whose clients were never seen that is not known.
func (a *Analyzer) unfelt(e *episode, t *toll, v *verdict) bool {
	if !a.served {
		return false
	}
	switch {
	case e.elsewhere == notTheCode && v.queued() > v.outside/2:
		// All threads queue, also those that nobody waits for. In a long time some look meets who
		// waits for another reason.
		return t.looks < criteria.FewSightings || t.felt < criteria.Little*t.lost
	case e.elsewhere == notTheCode:
		return v.machine.Felt < criteria.Little*v.lost()
	}
	polled, all := 0.0, 0.0
	for _, f := range v.found() {
		if f.Cell.Function == baseline.Whole {
			continue
		}
		all += f.Excess
		if f.Cell.State == baseline.Waiting && a.classes.Is(f.Cell.Number, threadtrace.ClassReadiness) {
			polled += f.Excess
		}
	}
	return 2*polled > all && v.machine.Felt < criteria.Little*polled
}

// found are the cells in excess, or the nodes where no cell is.
func (v *verdict) found() []detect.Finding {
	if len(v.Cells) > 0 {
		return v.Cells
	}
	return v.Nodes
}

// manages reports whether a cell is what a runtime does by itself: it computes, or gives
// and takes memory, as nobody's code is known to do.
func (a *Analyzer) manages(c baseline.Cell) bool {
	nameless := c.Function == baseline.Whole
	if c.State == baseline.Waiting {
		return a.classes.Is(c.Number, threadtrace.ClassMemory) && (nameless || a.stacks.IsRuntime(c.Function))
	}
	return c.State == baseline.OnCPU && !nameless && a.stacks.IsRuntime(c.Function)
}

// computed is the CPU time of a hop and how much of it was in a runtime, in nanoseconds
// per second.
type computed struct{ runtime, all float64 }

func (a *Analyzer) computed(h *hop.Closed) (c computed) {
	for stack, t := range h.CPU.All() {
		c.all += t
		if a.stacks.Get(stack).Runtime {
			c.runtime += t
		}
	}
	return c
}

// interprets reports whether nearly all of what a service computed was in a runtime: a
// virtual machine leaves more to its code.
func (a *Analyzer) interprets(hops []*hop.Closed) bool {
	known := make(map[*hop.Closed]computed, len(hops))
	var sum computed
	for _, h := range hops {
		c, ok := a.habit.computed[h]
		if !ok {
			c = a.computed(h)
		}
		known[h] = c
		sum = computed{sum.runtime + c.runtime, sum.all + c.all}
	}
	a.habit.computed = known
	return sum.runtime > criteria.NearlyAll*sum.all
}

// goesOn reports whether what was found was still seen at the end of the hop: a
// stall that is over before it is told is remembered, not told. Looks meet short waits
// by chance, the seldomer the longer they may have missed them since; what runs is
// sampled as it runs.
func (a *Analyzer) goesOn(v *verdict) bool {
	if len(v.Refused) > 0 {
		return true
	}
	hot := a.hot(v)
	runs, waits, moments := int64(0), int64(0), uint64(0)
	for _, t := range v.hop.Cells {
		switch {
		case !hot(t.Cell):
		case t.Waiting:
			waits, moments = max(waits, t.Last), moments|t.Moments
		default:
			runs = max(runs, t.Last)
		}
	}
	missed := int64(a.cfg.Hop) / 8
	switch n := int64(bits.OnesCount64(moments)); {
	case n > 0:
		return v.hop.End-runs < missed || v.hop.End-waits < max(missed, criteria.ManyTimes*(waits-v.hop.Start)/n)
	case runs > 0:
		return v.hop.End-runs < missed
	}
	return true // waits that are timed by their calls
}

// settle counts a normal hop of an episode, and tells when it is over.
func (a *Analyzer) settle(e *episode, c *hop.Closed) (Anomaly, bool) {
	if e.quiet++; e.quiet < criteria.Repeated && e.reported > 0 {
		return Anomaly{}, false
	}
	// What did not cost enough to be told is part of the habit.
	a.giveUp(e)
	if e.normal.beside == nil { // else it may be of the state
		a.remember(c)
	}
	a.states.end(e)
	if e.reported == 0 {
		return Anomaly{}, false
	}
	over := e.last.Clear(e.until, c.End, EndRecovered)
	a.keepEpisode(e, over)
	return over, true
}

// giveUp ends an episode; what was not told is learned, and so is what it cost.
func (a *Analyzer) giveUp(e *episode) {
	single := e.housekeeping && e.hops < notTheCode.leastHops() || e.elsewhere == notTheCode
	if !single && a.cfg.follows(RuleOwnExcursions) {
		a.excursions.Add(e.lost, a.excursions.Rare(a.cfg.FalseAlarms))
	}
	// A hop in which others had the machine says nothing of what the service is like, nor
	// does one in doubt beside a state.
	if e.normal.beside == nil && (e.outside.hops < e.hops || e.hops >= criteria.PriorHops) {
		for _, h := range e.pending {
			a.remember(h)
		}
	}
	a.episode = nil
	a.detector.Reset()
	a.machine.Reset()
}

// topOf is what a report is the same by: its first suspect and pattern, and what is
// lacking if that comes first.
func topOf(a *Anomaly) string {
	if len(a.Causes) > 0 && a.Causes[0].Kind != CauseCode && a.Causes[0].Kind != CauseUnknown {
		lacks := string(a.Causes[0].Kind) + " " + a.Causes[0].Resource
		if len(a.Suspects) == 0 {
			return lacks
		}
		return lacks + " " + a.Suspects[0].Function
	}
	if len(a.Suspects) == 0 {
		return a.Pattern
	}
	return a.Pattern + " " + a.Suspects[0].Function
}

func (a *Analyzer) caseOf(e *episode, v *verdict) attribute.Case {
	means := attribute.MeansOf(v.past)
	if v.beside != nil {
		means.Raise(attribute.MeansOf(v.beside.past.past))
	}
	return attribute.Case{
		Stacks: a.stacks, Classes: a.classes, Idle: v.idle, Fresh: v.fresh,
		Hop: v.hop, Verdict: &v.Verdict, Past: means,
	}
}
