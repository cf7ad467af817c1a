package inference

import (
	"fmt"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// judge compares a hop with the past and reports whether there is something to
// tell of it.
func (a *Analyzer) judge(c *hop.Closed) (Anomaly, bool) {
	a.dropStale(c)
	a.served = a.served || cause.SeesClients(c)
	defer func() {
		if a.episode == nil {
			a.start.look(c)
		}
	}()
	if e := a.episode; e != nil {
		return a.judgeEpisode(e, c)
	}
	if a.inherited.unproven {
		a.prove(c)
		return Anomaly{}, false
	}
	n := a.normalFor(c)
	a.latest = n
	if n == nil {
		var found Anomaly
		ok := false
		if !a.start.isPart(c) { // what is inherited has no units
			found, ok = a.warmUp(c)
		}
		a.remember(c)
		return found, ok
	}
	v := a.compare(n, c)
	a.note(&v)
	if v.Doubt < doubtful {
		a.commit(&v)
		if v.plain && !n.combined && !a.start.isPart(c) {
			a.habit.vectors.keep(v.Vector, n.idling.At)
		}
		a.remember(c)
		return a.endWarmUp(c)
	}
	a.episode = &episode{id: fmt.Sprintf("%016x", uint64(c.Start)), onset: c.Start, instance: a.inherited.instance, normal: n} //nolint:gosec // an identifier
	return a.judgeEpisode(a.episode, c)
}

// note keeps the figures of the hop for Stats.
func (a *Analyzer) note(v *verdict) {
	a.stats.Score, a.stats.Evidence, a.stats.Load, a.stats.Active = v.Score(), v.Evidence, v.byPast().Load.Work, v.Active/1e9
	a.recent.judged(v)
}

// normal is what a hop is compared with.
type normal struct {
	past   *baseline.Past
	idling *baseline.Idling
	views  baseline.Views
	// interpreted is set when most of what the service computes is in a runtime,
	// combined when some hops of the past count several times, ofState when it is what the
	// service is like in a state, which costs what it does at any load.
	interpreted, combined, ofState bool
	// beside is the known state that the service is in, if it is in one.
	beside *trial
	// machine, resting and active are made when they are asked for.
	machine *cause.Past
	resting map[int32]int32
	active  float64
}

// hops are those of the past.
func (n *normal) hops() (list []*hop.Closed) {
	for _, v := range n.past.Hops() {
		list = append(list, v.Hop)
	}
	return list
}

// normalFor is the past of a hop, nil when there is not enough of it.
func (a *Analyzer) normalFor(c *hop.Closed) *normal {
	if a.start.isPart(c) {
		return a.normalAtStart(c)
	}
	return a.normalOf(c, a.habit.hops)
}

// normalOf is the past of a hop, of those of some hops that are like it.
func (a *Analyzer) normalOf(c *hop.Closed, hops []*hop.Closed) *normal {
	// The newest hop may hold the beginning of what is found now.
	if len(hops) > minPast && a.cfg.follows(RuleNewestApart) {
		hops = hops[:len(hops)-1]
	}
	if works(c) {
		// Hops without work say nothing about what work costs.
		var working []*hop.Closed
		for _, h := range hops {
			if works(h) {
				working = append(working, h)
			}
		}
		hops = working
	}
	if len(hops) < minPast {
		return nil
	}
	if a.cfg.follows(RuleSettled) {
		hops = settled(hops)
	}
	if n := a.latest; n != nil && !n.combined && n.isStillOf(hops) {
		return n
	}
	return a.newNormal(hops)
}

// isStillOf reports whether at most a tenth of some hops, in the order of time, are not in
// the past. A past is not made anew for one hop: that is most of what judging costs.
func (n *normal) isStillOf(hops []*hop.Closed) bool {
	past, added := n.past.Hops(), 0
	for _, h := range hops {
		for len(past) > 0 && past[0].Hop.Start < h.Start {
			past = past[1:]
		}
		if len(past) > 0 && past[0].Hop == h {
			past = past[1:]
		} else if added++; 10*added > len(hops) {
			return false
		}
	}
	return 10*n.past.Len() <= 11*len(hops)
}

func (a *Analyzer) newNormal(hops []*hop.Closed) *normal {
	n := &normal{interpreted: a.interprets(hops)}
	n.idling = baseline.NewIdling(slices.Concat(hops, a.start.seen), a.habit.may, n.interpreted)
	n.views = a.views(n.idling)
	vectors := a.habit.vectors.of(hops, a.habit.hops, &n.views)
	// The load of each is known by all of them.
	if a.latest == nil || a.latest.combined {
		n.past = baseline.NewPast(vectors)
	} else {
		n.past = a.latest.past.With(vectors)
	}
	for _, v := range vectors {
		v.Load = n.past.Work(v, a.habit.index)
	}
	n.past.Reload()
	return n
}

// views turn hops into vectors, where threads idle as they are known to.
func (a *Analyzer) views(idling *baseline.Idling) baseline.Views {
	return baseline.Views{
		Stacks: a.stacks, Index: a.habit.index, Idle: idling.At,
		Refusal: func(k unit.Key) bool { return detect.IsRefusal(k, a.classes) },
	}
}

// works reports whether the service was asked for something in a hop.
func works(c *hop.Closed) bool {
	if !c.Traced() {
		return c.CPUTotal >= criteria.LeastCPU
	}
	for _, m := range hop.WorkMeasures {
		if c.Measures[m.Count] >= criteria.ManyTimes*criteria.Seldom { // a health check is no work
			return true
		}
	}
	return false
}

// settled leaves out the hops in which the service was still getting ready, as far
// as enough of a past remains: at first caches are empty and a JIT compiler is at
// work, and that is no habit.
func settled(hops []*hop.Closed) []*hop.Closed {
	const above = 1 + criteria.Matters
	for len(hops) > minPast {
		rest := make([]float64, 0, len(hops)-1)
		for _, h := range hops[1:] {
			rest = append(rest, h.CPUTotal)
		}
		if hops[0].CPUTotal <= above*baseline.Median(rest) {
			break
		}
		hops = hops[1:]
	}
	return hops
}

// verdict is how a hop compares with the past, and whether that is with the threads
// that have none.
type verdict struct {
	detect.Verdict
	hop *hop.Closed
	// past is what the hop is nearest to, beside what a verdict beside a state is made of.
	past   *baseline.Past
	beside *comparison
	// machine is what the machine has to do with it, outside the time lost that way
	// which the code's figures do not have, usual the activity of the past; in
	// nanoseconds per second.
	machine cause.Verdict
	outside float64
	usual   float64
	// codeEffect is the effect without what the machine adds to it.
	codeEffect float64
	// waits shares the waits in excess by what their calls can wait for. queues is set when
	// they matter only with the time for which the threads queue for a CPU after them.
	waits  cause.Waits
	queues bool
	fresh  bool
	idle   func(hop.Place) bool
	// plain is set when its vector is what it will be in the past: of all threads, with
	// the idling of the past.
	plain bool
}

// compare judges a hop: the code, and what the machine has to do with it.
func (a *Analyzer) compare(n *normal, c *hop.Closed) verdict {
	v := a.compareCode(n, c)
	a.weighMachine(n, &v)
	if n.beside != nil {
		v = a.compareState(n.beside, &v, c)
	}
	return v
}

// commit takes the tests of a verdict as those of the hops so far.
func (a *Analyzer) commit(v *verdict) {
	if b := v.beside; b != nil {
		a.commit(&b.past)
		b.commit()
		return
	}
	a.detector.Commit(&v.Verdict)
	a.machine.Commit(&v.machine)
}

// compareCode judges a hop by what the service does. Threads without a past (a backup, a pool that was just
// started) count only when the others are hurt: less work is done, or they are
// slower, too.
func (a *Analyzer) compareCode(n *normal, c *hop.Closed) verdict {
	if !a.cfg.follows(RuleFreshApart) {
		return a.compareThreads(n, c, true)
	}
	v := a.compareThreads(n, c, false)
	if len(c.Fresh)+c.FreshCPU.Len() > 0 && (v.Load.Less() || v.Score() >= 1) {
		v = a.compareThreads(n, c, true)
	}
	return v
}

// load is that of a hop. A state may cost with less work what it did with more: a backup
// does not know of requests.
func (n *normal) load(v *baseline.Vector, index *baseline.Index) baseline.Load {
	load := n.past.Load(v, index)
	if n.ofState {
		load.Work, load.Waits, load.Busy = max(1, load.Work), max(1, load.Waits), false
	}
	return load
}

func (a *Analyzer) compareThreads(n *normal, c *hop.Closed, fresh bool) verdict {
	views := n.views
	of := c
	c = n.asRestedBefore(n.asSeenBefore(c), a.habit.may.At)
	v := verdict{hop: c, fresh: fresh, idle: views.Idle, plain: c == of && len(c.Fresh)+c.FreshCPU.Len() == 0}
	vector := views.Of(c, fresh)
	load := n.load(vector, a.habit.index)
	if load.Less() {
		views.Idle = n.idling.Unasked(c)
		v.idle, v.plain = views.Idle, false
		vector = views.Of(c, fresh)
	}
	if fresh {
		// What may be the idling of threads without a past is no wait amid work.
		idle := views.Idle
		views.Idle = func(p hop.Place) bool {
			_, known := c.Wait[p]
			return idle(p) || !known && a.habit.may.At(p)
		}
		v.idle, v.plain = views.Idle, false
		vector = views.Of(c, fresh)
	}
	vector.Load = load.Work
	v.Verdict = a.detector.Compare(n.past, vector, load)
	return v
}
