package inference

import (
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/memory"
)

// startUp is how long after its start a service is not yet what it is later: its caches
// are empty, its code is being compiled.
const startUp = 5 * time.Minute

// start is what the first minutes of the service's processes were like.
type start struct {
	// began is when the present one started, zero when that is not known.
	began int64
	// inherited is set when the past is of another process.
	inherited bool
	// past are those of earlier processes, present the one at hand; own are its hops.
	past    []pastStart
	present pastStart
	own     []*hop.Closed
	// seen are all of its hops before the one at hand: where its threads rested from the
	// first.
	seen []*hop.Closed
}

// pastStart has some hops of a start, ever further apart.
type pastStart struct {
	began int64
	hops  []*hop.Closed
}

// isPart reports whether a hop is of a start that is judged by other starts.
func (s *start) isPart(c *hop.Closed) bool { return s.inherited && s.age(c) >= 0 }

// age is how long after the start a hop began; negative when it is no part of it.
func (s *start) age(c *hop.Closed) int64 {
	if s.began == 0 || c.Start-s.began >= int64(startUp) {
		return -1
	}
	return max(0, c.Start-s.began)
}

// note keeps a hop if enough time has gone since the one before: a quarter of the age.
func (s *start) note(c *hop.Closed) {
	age := s.age(c)
	p := &s.present
	p.began = s.began
	if n := len(p.hops); age < 0 || n >= memory.MaxStartHops || n > 2 && 4*(c.Start-p.hops[n-1].Start) < age {
		return
	}
	kept := *c
	kept.DropThreads()
	kept.Units = nil
	p.hops = append(p.hops, &kept)
}

// look keeps a hop for where threads rest.
func (s *start) look(c *hop.Closed) {
	if s.isPart(c) {
		kept := *c
		kept.DropThreads()
		kept.Units = nil
		s.seen = append(s.seen, &kept)
	}
}

// add takes the start of another process.
func (s *start) add(began int64, hops []*hop.Closed) {
	known := slices.ContainsFunc(s.past, func(p pastStart) bool { return p.began == began })
	if known || began == s.began && len(s.present.hops) > 0 || len(hops) == 0 {
		return
	}
	s.past = append(s.past, pastStart{began, hops})
	slices.SortFunc(s.past, func(a, b pastStart) int { return int(min(1, max(-1, a.began-b.began))) })
	s.past = last(s.past, memory.MaxStarts)
}

// all are the starts that are known, the newest last.
func (s *start) all() []pastStart {
	list := slices.DeleteFunc(slices.Clone(s.past), func(p pastStart) bool { return p.began == s.present.began })
	if len(s.present.hops) > 0 {
		list = append(list, s.present)
	}
	return last(list, memory.MaxStarts)
}

// alike are the hops of earlier starts that are of about the age of one.
func (s *start) alike(c *hop.Closed) (hops []*hop.Closed) {
	age := s.age(c)
	const near = int64(10 * time.Second)
	for _, p := range s.past {
		for _, h := range p.hops {
			if by := h.Start - p.began - age; max(by, -by) <= max(near, age/2) {
				hops = append(hops, h)
			}
		}
	}
	if len(hops) > 0 {
		return hops
	}
	// None has lived that long: what they were like in the end is nearest.
	for _, p := range s.past {
		if n := len(p.hops); n > 0 && p.hops[n-1].Start-p.began < age {
			hops = append(hops, p.hops[n-1])
		}
	}
	return hops
}

// normalAtStart is what a hop of a start is compared with: hops of earlier starts at that
// age beside what is inherited; while none is known, the hops of this one.
func (a *Analyzer) normalAtStart(c *hop.Closed) *normal {
	alike := a.start.alike(c)
	if len(alike) == 0 {
		return a.normalOf(c, a.start.own)
	}
	return a.combined(settled(a.habit.hops), alike, a.start.seen)
}

// combined is the past with some hops more, often enough for what they reach to count as
// usual (see baseline.Past.Reached). Where threads rested in those hops and in further ones,
// they idle.
func (a *Analyzer) combined(hops, more, rested []*hop.Closed) *normal {
	const recent = 24
	out := &normal{interpreted: a.interprets(hops), combined: true}
	out.idling = baseline.NewIdling(slices.Concat(hops, more, rested), a.habit.may, out.interpreted)
	out.views = a.views(out.idling)
	list := slices.Clone(last(hops, recent))
	for added := 0; added < 4 || 10*added < len(list); {
		list = append(list, more...)
		added += len(more)
	}
	vectors := make([]*baseline.Vector, 0, len(list))
	of := map[*hop.Closed]*baseline.Vector{}
	for _, c := range list {
		v := of[c]
		if v == nil {
			v = out.views.Of(c, true)
			of[c] = v
		}
		vectors = append(vectors, v)
	}
	out.past = baseline.NewPast(vectors)
	for _, v := range vectors {
		v.Load = out.past.Work(v, a.habit.index)
	}
	out.past.Reload()
	return out
}
