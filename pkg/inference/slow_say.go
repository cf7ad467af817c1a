package inference

import (
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
)

// slowKind is what was said of a kind, and what the last hop found.
type slowKind struct {
	// first and differs are the first function that was told and how slow requests were said
	// to differ, zero as long as nothing was told.
	first   suspectName
	differs Difference
	changed TailChange
	// leading are those that led in the last hop, difference is what it found.
	leading    []Suspect
	difference Difference
}

type suspectName struct{ function, module string }

func nameOf(s *Suspect) suspectName { return suspectName{s.Function, s.Module} }

// maxTailKinds bounds the kinds of which it is known what was said.
const maxTailKinds = 64

// kind is what is known of a kind, nil when there is no room for it.
func (s *slowRequests) kind(name string) *slowKind {
	k := s.kinds[name]
	if k == nil && len(s.kinds) < maxTailKinds {
		k = &slowKind{}
		s.kinds[name] = k
	}
	return k
}

// leadingOf are the suspects of which each may be the first.
func leadingOf(ranked []Suspect) []Suspect {
	n := slices.IndexFunc(ranked, func(s Suspect) bool { return s.Score < attribute.Decay*ranked[0].Score })
	if n < 0 {
		n = len(ranked)
	}
	return slices.Clone(ranked[:n])
}

// settle puts the suspect first that led in two hops in a row, of several that with the
// highest score in both together: which of two that are close is ahead is chance. One that was
// told stays while it leads, unless another was ahead of it in both. It is certain when there is one.
func (k *slowKind) settle(ranked []Suspect) (settled []Suspect, certain bool) {
	was := k.leading
	k.leading = leadingOf(ranked)
	if len(k.leading) == 0 {
		return ranked, false
	}
	at := -1
	if len(was) == 0 || nameOf(&was[0]) != nameOf(&ranked[0]) {
		at = indexOf(k.leading, k.first)
	}
	if at < 0 {
		at = leadsInBoth(k.leading, was)
	}
	if at <= 0 {
		return ranked, at == 0
	}
	first := ranked[at]
	first.Score = ranked[0].Score
	return slices.Insert(slices.Delete(ranked, at, at+1), 0, first), true
}

// leadsInBoth is the place of the one with the highest score in both, -1 when there is none.
func leadsInBoth(now, was []Suspect) int {
	at, most := -1, 0.0
	for i := range now {
		before := indexOf(was, nameOf(&now[i]))
		if before >= 0 && was[before].Score+now[i].Score > most {
			at, most = i, was[before].Score+now[i].Score
		}
	}
	return at
}

func indexOf(list []Suspect, name suspectName) int {
	return slices.IndexFunc(list, func(s Suspect) bool { return nameOf(&s) == name })
}

// say decides whether a tail is spoken of, and whether that is news; certain is set when its
// first suspect is. That slow requests differ in another way is news once it was found twice.
func (k *slowKind) say(t *Tail, slow float64, certain bool) bool {
	again := k.difference == t.Difference
	k.difference = t.Difference
	if t.Difference == DifferenceUnexplained {
		if k.differs == "" && slow >= patienceSlow && again {
			k.differs, t.News = t.Difference, true
		}
		return k.differs == t.Difference
	}
	if !certain {
		return false
	}
	first := nameOf(&t.Suspects[0])
	if first != k.first || t.Difference != k.differs && again {
		t.News, k.differs = true, t.Difference
	}
	t.News = t.News || t.Change != "" && t.Change != k.changed
	k.first, k.changed = first, t.Change
	return true
}
