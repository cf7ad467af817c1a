package inference

import (
	"fmt"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// partial is a hop that was told before it was over: what there was before it, and what
// it added.
type partial struct {
	before []*hop.Closed
	added  toll
}

// Ahead judges the hop that is still open once half of it is over by now (nanoseconds
// since the epoch, in the events' time), and returns what is certain in it already. It
// must show as much as a whole hop must. Whatever it says, the hop is judged as a whole
// when it is over: it is neither learned nor taken for evidence before.
func (a *Analyzer) Ahead(now int64) (Anomaly, bool) {
	e := a.episode
	if len(a.open) == 0 || !a.cfg.follows(RuleAhead) || a.inherited.unproven || e != nil && (e.reported != 0 || e.seen.known) {
		return Anomaly{}, false
	}
	h := a.open[0]
	if h.Start == a.aheadOf || now < h.Start+int64(a.cfg.Hop)/2 {
		return Anomaly{}, false
	}
	c, enough := a.soFar(h)
	if enough {
		a.aheadOf = h.Start
	}
	if c == nil {
		return Anomaly{}, false
	}
	a.describeHop(c)
	n := a.latestNormal(c)
	if n == nil {
		return Anomaly{}, false
	}
	v := a.compare(n, c)
	if v.Doubt < doubtful {
		return Anomaly{}, false
	}
	trial := a.withPartial(n, &v)
	if trial.hops == 1 && a.remindsOfKnown(trial, &v, c) || !a.certain(trial, &v) {
		return Anomaly{}, false
	}
	a.episode = trial
	trial.keep(c) // who says at once that it is expected means this
	a.begin(trial, &v)
	trial.partial.before = trial.pending
	return a.tell(trial, &v), true
}

// soFar is an open hop as far as it goes, nil when nothing in it can matter yet; enough
// reports whether so much of it was looked at that it can be judged. In nearly all hops no
// more is done, waited for or refused than in the past, which is cheaper to know than how
// they compare. What is missed so (less is done at the same cost) is told when the hop is
// over.
func (a *Analyzer) soFar(h *hop.Open) (c *hop.Closed, enough bool) {
	n := a.latest
	if n == nil {
		return nil, false
	}
	active, enough := h.Active(n.idling.At)
	if !enough {
		return nil, false
	}
	d := a.cfg.decision()
	if a.episode == nil && !h.Refuses() && active-n.usualActive() < max(d.Least, d.Share*active) {
		return nil, true
	}
	return h.SoFar(a.classes, &a.adder), true
}

// usualActive is what hop.Open.Active is in the hops of the past.
func (n *normal) usualActive() (active float64) {
	if n.active == 0 {
		for _, v := range n.past.Hops() {
			n.active += v.Hop.RunDelay / float64(n.past.Len())
		}
		for _, state := range []baseline.State{baseline.OnCPU, baseline.Waiting} {
			if id, ok := n.views.Index.Of(baseline.Cell{Function: baseline.Whole, State: state, Inclusive: true}); ok {
				n.active += n.past.Mean(id)
			}
		}
	}
	return n.active
}

// latestNormal is the past of the hop at hand, that of the episode if there is one.
func (a *Analyzer) latestNormal(c *hop.Closed) *normal {
	if a.episode != nil {
		return a.episode.normal
	}
	return a.normalFor(c)
}

// withPartial is the present episode, or a new one, with a part of a hop; the present one
// is not changed.
func (a *Analyzer) withPartial(n *normal, v *verdict) *episode {
	c := v.hop
	e := episode{id: fmt.Sprintf("%016x", uint64(c.Start)), onset: c.Start, instance: a.inherited.instance, normal: n} //nolint:gosec // an identifier
	if a.episode != nil {
		e = *a.episode
	}
	e.partial = &partial{added: v.toll()}
	e.elsewhere = v.elsewhere()
	e.charge(e.partial.added, 1)
	e.until = c.End
	e.mergeAnew(append(e.pending[:len(e.pending):len(e.pending)], c))
	return &e
}

// mergeAnew has some hops be all of an episode.
func (e *episode) mergeAnew(hops []*hop.Closed) {
	e.merged, e.later = nil, nil
	for _, h := range hops {
		e.merge(h)
	}
}

// dropPartial takes the part of a hop out of an episode, for the whole one.
func (e *episode) dropPartial() {
	p := e.partial
	if p == nil {
		return
	}
	e.partial, e.wasPartial = nil, true
	e.kept = e.kept[:len(e.kept)-1]
	e.charge(p.added, -1)
	e.mergeAnew(p.before)
}

// remindsOfKnown reports whether a part of a hop may be what the service is known to do now
// and then. A part differs from the whole, so that it is for the whole hop to say.
func (a *Analyzer) remindsOfKnown(e *episode, v *verdict, c *hop.Closed) bool {
	for _, s := range a.states.list {
		if s.knownAt(c.Start) && len(s.hops) > 0 {
			return true
		}
	}
	return a.tryOutline(e, v, c) != nil
}
