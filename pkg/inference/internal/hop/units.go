package hop

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
)

// UnitSample keeps a bounded sample of a hop's units: the longest half for
// certain, since the abnormal ones are among them, the rest at random.
type UnitSample struct {
	limit   int
	longest []*unit.Unit
	random  []*unit.Unit
	Seen    uint64
	Evicted uint64
	rng     *rand.Rand
}

func newUnitSample(limit int, seed uint64) UnitSample {
	return UnitSample{limit: max(2, limit), rng: rand.New(rand.NewPCG(seed, 0))}
}

// Add copies the unit if it is kept.
func (s *UnitSample) Add(u *unit.Unit) {
	s.Seen++
	if half := s.limit / 2; len(s.longest) < half {
		s.longest = append(s.longest, u.Clone())
		if len(s.longest) == half {
			slices.SortFunc(s.longest, byDuration)
		}
		return
	} else if u.Duration() > s.longest[0].Duration() {
		displaced := s.longest[0]
		at, _ := slices.BinarySearchFunc(s.longest, u, byDuration)
		copy(s.longest, s.longest[1:at])
		s.longest[at-1] = u.Clone()
		s.maybe(displaced, false)
		return
	}
	s.maybe(u, true)
}

// maybe keeps a unit with the probability of a reservoir sample.
func (s *UnitSample) maybe(u *unit.Unit, clone bool) {
	at := len(s.random)
	if at >= s.limit-s.limit/2 {
		s.Evicted++
		if at = int(s.rng.Uint64N(s.Seen)); at >= len(s.random) {
			return
		}
	} else {
		s.random = append(s.random, nil)
	}
	if clone {
		u = u.Clone()
	}
	s.random[at] = u
}

func (s *UnitSample) kept() []*unit.Unit {
	kept := append(slices.Clone(s.longest), s.random...)
	slices.SortFunc(kept, func(a, b *unit.Unit) int {
		if a.Start != b.Start {
			return cmp.Compare(a.Start, b.Start)
		}
		return cmp.Compare(a.ThreadID, b.ThreadID)
	})
	return kept
}

func byDuration(a, b *unit.Unit) int { return cmp.Compare(a.Duration(), b.Duration()) }
