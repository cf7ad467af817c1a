package inference

import (
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
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
	// hour is the hour since the Unix epoch of the trial by the outline, hops those that
	// it explained.
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

// trial compares an episode with a state.
type trial struct {
	normal   *normal
	detector *detect.Detector
	machine  cause.Test
}

// tryState returns the trial of a state.
func (a *Analyzer) tryState(e *episode, s *state) *trial {
	return a.newTrial(e, e.normal.hops(), s.hops, unseen/float64(len(s.hops)))
}

// newTrial has hops be compared with the past of an episode and what the service was
// like at other times.
func (a *Analyzer) newTrial(e *episode, past, other []*hop.Closed, further float64) *trial {
	return &trial{
		normal:   a.combined(past, other, e.normal.idling, e.normal, further),
		detector: detect.New(a.cfg.decision(), a.classes, a.habit.index),
	}
}

// explains reports whether a hop is within the past and the state of a trial together.
func (a *Analyzer) explains(t *trial, c *hop.Closed) bool {
	detector, machine := a.detector, a.machine
	a.detector, a.machine = t.detector, t.machine
	v := a.compare(t.normal, c)
	a.commit(&v)
	t.machine = a.machine
	a.detector, a.machine = detector, machine
	return v.Doubt < doubtful
}

// isKnown reports whether an abnormal hop is one of a state that is known, in which case
// it is neither told nor learned, or what the service does at such times.
func (a *Analyzer) isKnown(e *episode, c *hop.Closed) bool {
	r := &e.seen
	if e.reported != 0 || e.hops > 0 && !r.known {
		return false
	}
	if r.state == nil {
		for _, s := range slices.Backward(a.states.list) {
			if r.known || !s.knownAt(c.Start) || len(s.hops) == 0 {
				continue
			}
			if t := a.tryState(e, s); a.explains(t, c) {
				*r = recognition{state: s, trial: t, known: true}
				e.until = c.End
				return true
			}
		}
		return a.isOfItsWeeks(e, c)
	}
	if a.explains(r.trial, c) {
		r.unlike = 0
	} else {
		r.unlike++
	}
	// What lasts much longer than ever is something else.
	r.known = r.unlike < quietHops && c.End-e.onset <= longer*max(r.state.longest, int64(time.Minute))
	if r.known {
		e.until = c.End
	}
	return r.known
}

// findState looks which state an episode that is told now reminds of.
func (a *Analyzer) findState(e *episode, c *hop.Closed) {
	if e.seen.state != nil {
		return
	}
	for _, s := range slices.Backward(a.states.list) {
		if len(s.hops) == 0 {
			continue
		}
		if t := a.tryState(e, s); a.explains(t, c) {
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
