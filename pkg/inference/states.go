package inference

import (
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/memory"
)

const (
	// apart is how far apart two occasions are that are not the same one.
	apart = int64(20 * time.Hour)
	// sameHour is how far from the hour of day of an earlier occasion one may be.
	sameHour = int64(time.Hour)
	// oftenEnough is on how many occasions a state must have been seen to be known at
	// any hour.
	oftenEnough = 3
	// longer is how many times as long as ever a known state may last.
	longer = 2
	// unseen is how much farther from the past a state may go of which one hop is known,
	// as a fraction; of n hops it is an nth part, as the largest of n was chance.
	unseen = 2.0
)

// state is what the service was like during an anomaly that was told and went away.
type state struct {
	// instance and id are those under which it was told first.
	instance, id string
	// times are when it began, the newest last; seen counts all of them.
	times    []int64
	first    int64
	seen     int
	longest  int64
	expected bool
	hops     []*hop.Closed
}

// knownAt reports whether the state is one that the service is in at such times: it was
// seen at this hour on an earlier day, or on several days at any hour, or somebody said
// that it is expected. That it was seen a minute ago says nothing: a fault comes back.
func (s *state) knownAt(at int64) bool {
	if s.expected {
		return true
	}
	occasions, before := 0, int64(0)
	for _, t := range s.times {
		if at-t < apart {
			continue
		}
		if occasions == 0 || t-before >= apart {
			occasions, before = occasions+1, t
		}
		const day = int64(24 * time.Hour)
		if by := ((at-t)%day + day) % day; min(by, day-by) <= sameHour {
			return true
		}
	}
	return occasions >= oftenEnough
}

// saw adds an occasion.
func (s *state) saw(at, until int64) {
	s.seen++
	s.times = append(s.times, at)
	s.times = last(s.times, memory.MaxTimes)
	s.longest = max(s.longest, until-at)
}

// states are those that are known of a service, the one seen last at the end.
type states struct{ list []*state }

// add takes a state; one that is known already is left as it is, but for what was said
// of it.
func (s *states) add(st *state) {
	for _, known := range s.list {
		if known.id == st.id && known.instance == st.instance {
			known.expected = known.expected || st.expected
			return
		}
	}
	s.list = append(s.list, st)
	slices.SortStableFunc(s.list, func(a, b *state) int {
		x, y := a.times[len(a.times)-1], b.times[len(b.times)-1]
		return int(min(1, max(-1, x-y)))
	})
	if over := len(s.list) - memory.MaxStates; over > 0 {
		// What somebody said is forgotten last.
		i := max(0, slices.IndexFunc(s.list, func(x *state) bool { return !x.expected }))
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// recognition is what an episode reminds of.
type recognition struct {
	// state was seen before, with its trial; nil when none is like it.
	state *state
	trial *trial
	// known is set while the episode is a known state, or of the service's weeks, and not
	// told. A state is left as it is come back from: when unlike, the hops in a row that it
	// does not explain, are two.
	known  bool
	unlike int
	// left is the start of the first of these hops.
	left int64
	// hour is the hour since the Unix epoch of the trial by the outline, hops those that
	// were explained so.
	hour int64
	hops []*hop.Closed
}

// times is how often, this time among them, and since when it was seen; zero when it
// was not.
func (r *recognition) times() (seen int, first int64) {
	if r.state == nil {
		return 0, 0
	}
	return r.state.seen + 1, r.state.first
}

// trial compares hops with what the service was like in a state, or at other times.
type trial struct {
	normal   *normal
	detector *detect.Detector
	machine  cause.Test
}

// comparison is what a verdict beside a state is made of: those by the past and by the
// state.
type comparison struct {
	trial       *trial
	past, state verdict
}

func (b *comparison) commit() {
	b.trial.detector.Commit(&b.state.Verdict)
	b.trial.machine.Commit(&b.state.machine)
}

// byPast is the verdict by the past alone.
func (v *verdict) byPast() *verdict {
	if v.beside != nil {
		return &v.beside.past
	}
	return v
}

// newTrial has hops be compared with others, of a state or of the weeks. What these have
// beyond the past counts as larger, as there are few of them.
func (a *Analyzer) newTrial(n *normal, other []*hop.Closed) *trial {
	further := unseen / float64(len(other))
	of := &normal{interpreted: n.interpreted, idling: n.idling, views: n.views, ofState: true}
	vectors := make([]*baseline.Vector, 0, len(other))
	for _, c := range other {
		vectors = append(vectors, of.views.Of(c, true).Further(n.past, further))
	}
	of.past = baseline.NewPast(vectors)
	for _, v := range vectors {
		v.Load = of.past.Work(v, a.habit.index)
	}
	of.past.Reload()
	return &trial{normal: of, detector: detect.New(a.cfg.decision(), a.classes, a.habit.index)}
}

// compareState is the verdict on a hop beside a state: of what is beyond the past, which is
// another verdict, what is beyond the state, too.
func (a *Analyzer) compareState(t *trial, past *verdict, c *hop.Closed) verdict {
	detector, machine := a.detector, a.machine
	a.detector, a.machine = t.detector, t.machine
	state := a.compareThreads(t.normal, c, past.fresh)
	v := *past
	v.plain = false
	least := a.detector.Beside(&past.Verdict, &state.Verdict)
	v.Verdict = least
	a.weighMachine(t.normal, &v)
	a.detector, a.machine = detector, machine
	state.machine = v.machine
	if cause.Outside(past.machine.Doubts) < cause.Outside(v.machine.Doubts) {
		v.Verdict, v.machine = least, past.machine
		a.addMachine(&v)
	}
	v.beside = &comparison{trial: t, past: *past, state: state}
	return v
}

// explains reports whether a hop is as in a trial, as far as it is beyond the past.
func (a *Analyzer) explains(t *trial, past *verdict, c *hop.Closed) bool {
	beside := a.compareState(t, past, c)
	beside.beside.commit()
	return beside.Doubt < doubtful
}

// isKnown reports whether an abnormal hop is one of a state that is known, in which case
// it is neither told nor learned, or what the service does at such times. Otherwise the
// verdict is the one beside the state that explains most of it, as from now on.
func (a *Analyzer) isKnown(e *episode, v *verdict, c *hop.Closed) bool {
	r := &e.seen
	if e.reported != 0 || e.hops > 0 && !r.known {
		return false
	}
	if r.state == nil {
		nearest, known := a.isOfKnown(e, v, c)
		if known || a.isOfItsWeeks(e, v, c) {
			return true
		}
		if nearest != nil {
			nearest.beside.commit()
			e.goOnBeside(v, *nearest)
		}
		return false
	}
	beside := a.compareState(r.trial, v, c)
	beside.beside.commit()
	if beside.Doubt < doubtful {
		r.unlike = 0
	} else if r.unlike++; r.unlike == 1 {
		r.left = c.Start
	}
	// What lasts much longer than ever is something else.
	lasts := c.End-e.onset > longer*max(r.state.longest, int64(time.Minute))
	r.known = r.unlike < criteria.Repeated && !lasts
	switch {
	case r.known:
		e.until = c.End
	case !lasts:
		r.state.saw(e.onset, r.left)
		e.onset = r.left
		e.goOnBeside(v, beside)
	}
	return r.known
}

// isOfKnown reports whether a hop, the first of its episode, is of a known state. If not
// the nearest is the verdict beside the state that explains most of it, of those that the
// service is in.
func (a *Analyzer) isOfKnown(e *episode, v *verdict, c *hop.Closed) (nearest *verdict, known bool) {
	least := v.Doubt
	for _, s := range slices.Backward(a.states.list) {
		if e.seen.known || !s.knownAt(c.Start) || len(s.hops) == 0 {
			continue
		}
		t := a.newTrial(e.normal, s.hops)
		beside := a.compareState(t, v, c)
		if beside.Doubt < doubtful {
			beside.beside.commit()
			e.seen = recognition{state: s, trial: t, known: true}
			e.until = c.End
			return nil, true
		}
		if beside.Doubt < least && a.isIn(s, e.normal, v) {
			nearest, least = &beside, beside.Doubt
		}
	}
	return nearest, false
}

// isIn reports whether the service is in a state: at least half of what that has beyond the
// past, function by function, is there.
func (a *Analyzer) isIn(s *state, n *normal, v *verdict) bool {
	own := &baseline.Past{}
	for _, c := range s.hops {
		own.Add(n.views.Of(c, true))
	}
	all, there := 0.0, 0.0
	for id := range int32(a.habit.index.Len()) { //nolint:gosec // bounded by MaxCells
		if cell := a.habit.index.Cell(id); cell.Inclusive || cell.State == baseline.Refused {
			continue
		}
		usual := n.past.Mean(id)
		more := max(0, own.Mean(id)-usual)
		all += more
		there += min(more, max(0, v.Vector.Time(id)-usual))
	}
	return 2*there >= all
}

// goOnBeside has an episode be one beside a known state: it ends when the service is as in
// its past or as in that state.
func (e *episode) goOnBeside(v *verdict, beside verdict) {
	n := *e.normal
	n.beside = beside.beside.trial
	e.normal, e.seen = &n, recognition{}
	*v = beside
}

// findState looks which state an episode that is told now reminds of.
func (a *Analyzer) findState(e *episode, v *verdict) {
	if e.seen.state != nil {
		return
	}
	for _, s := range slices.Backward(a.states.list) {
		if len(s.hops) == 0 {
			continue
		}
		if t := a.newTrial(e.normal, s.hops); a.explains(t, v.byPast(), v.hop) {
			e.seen = recognition{state: s, trial: t}
			return
		}
	}
}

// keep keeps an abnormal hop of an episode: the first ones, and the last.
func (e *episode) keep(c *hop.Closed) {
	const half = memory.MaxStateHops / 2
	kept := *c
	kept.DropThreads()
	kept.Units = nil
	if len(e.kept) < 2*half {
		e.kept = append(e.kept, &kept)
		return
	}
	copy(e.kept[half:], e.kept[half+1:])
	e.kept[2*half-1] = &kept
}

// end takes an episode that went away for one of the states, if it was told or known.
func (s *states) end(e *episode) {
	r := &e.seen
	switch {
	case r.state != nil && (e.reported != 0 || r.known):
		r.state.saw(e.onset, e.until)
		if len(e.kept) > 0 {
			r.state.hops = e.kept
		}
	case e.reported != 0 && len(e.kept) > 0:
		s.add(&state{instance: e.instance, id: e.id, times: []int64{e.onset}, first: e.onset, seen: 1, longest: e.until - e.onset, hops: e.kept})
	}
}

// Expect says that an anomaly was expected: which reports whether it is the one with
// an instance and an ID. From then on its state is known and not told. An open anomaly
// is over then. It is false when there is no such anomaly, or it is forgotten.
func (a *Analyzer) Expect(which func(instance, id string) bool) (over *Anomaly, known bool) {
	if e := a.episode; e != nil && e.reported != 0 && len(e.kept) > 0 && which(e.instance, e.id) {
		a.states.end(e)
		st := e.seen.state
		if st == nil {
			st = a.states.list[slices.IndexFunc(a.states.list, func(s *state) bool { return s.id == e.id && s.instance == e.instance })]
		}
		st.expected = true
		cleared := e.last.Clear(e.until, a.lastClosed, EndExpected)
		a.keepEpisode(e, cleared)
		a.episode = nil
		a.detector.Reset()
		return &cleared, true
	}
	for _, s := range a.states.list {
		if which(s.instance, s.id) {
			s.expected, known = true, true
		}
	}
	return nil, known
}
