package signature

import (
	"math/bits"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxSequence bounds the calls that are looked at together. A unit that makes
// more is cut: what lies further back says nothing about the present call. It
// is also the width of a mask.
const maxSequence = 64

// cut says what a call does to its thread's sequence: calls so long without an
// idle wait, n of them so far, begin a new one.
func cut(classes *threadtrace.Classes, e *threadtrace.Event, n int) bool {
	return n >= maxSequence || unit.Waits(classes.Of(e.Number), e.Duration)
}

// sequence is the calls of one thread between two cuts, or a part of them.
// Places are bits: the first call is bit 0.
type sequence struct {
	calls []Symbol
	// at has the places of each distinct call, in the order of their first.
	at []places
	// weight is how often the sequence was seen.
	weight uint64
}

type places struct {
	call Symbol
	mask uint64
}

func newSequence(calls []Symbol, weight uint64) sequence {
	s := sequence{calls: calls, weight: weight}
next:
	for i, c := range calls {
		for j := range s.at {
			if s.at[j].call == c {
				s.at[j].mask |= 1 << i
				continue next
			}
		}
		s.at = append(s.at, places{c, 1 << i})
	}
	return s
}

func (s *sequence) of(call Symbol) uint64 {
	for i := range s.at {
		if s.at[i].call == call {
			return s.at[i].mask
		}
	}
	return 0
}

// following gives the places of a call that an episode can go on with after the
// places where it ends so far.
func following(ends, places uint64, gap bool) uint64 {
	if gap {
		first := ends & -ends
		return places &^ (first | (first - 1))
	}
	return places & (ends << 1)
}

// ends gives the places where an episode ends.
func (s *sequence) ends(e Episode) uint64 {
	if len(e) == 0 {
		return 0
	}
	mask := s.of(e[0].Call)
	for _, step := range e[1:] {
		if mask == 0 {
			return 0
		}
		mask = following(mask, s.of(step.Call), step.Gap)
	}
	return mask
}

func (s *sequence) count(places uint64) uint64 {
	return s.weight * uint64(bits.OnesCount64(places))
}
