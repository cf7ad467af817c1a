package signature

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxSteps bounds an episode. The paper's have at most a handful of calls;
// what four calls in order do not tell apart, a fifth hardly does.
const MaxSteps = 5

// Step is one call of an episode.
type Step struct {
	Call Symbol
	// Gap says that other calls may come between the step before and this
	// one. It is false on the first step.
	Gap bool
}

// Episode is calls in order. It ends at a call of a sequence when the calls
// before that one hold the rest of it.
type Episode []Step

// Compare orders episodes by their steps, shorter ones first where one is the
// other's beginning.
func (e Episode) Compare(o Episode) int {
	return slices.CompareFunc(e, o, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Call, b.Call), cmp.Compare(gap(a), gap(b)))
	})
}

func gap(s Step) int {
	if s.Gap {
		return 1
	}
	return 0
}

const wildcard = "*"

// Text writes the episode as "openat, *, close", its calls by their names on
// the architecture.
func (e Episode) Text(arch string) string {
	var b strings.Builder
	for i, s := range e {
		if i > 0 {
			b.WriteString(", ")
		}
		if s.Gap {
			b.WriteString(wildcard + ", ")
		}
		b.WriteString(s.Call.text(arch))
	}
	return b.String()
}

// ParseEpisode reads what Text writes.
func ParseEpisode(arch, text string) (Episode, error) {
	var e Episode
	gap := false
	for word := range strings.SplitSeq(text, ", ") {
		if word == wildcard {
			if gap || len(e) == 0 {
				return nil, errors.New(`"*" stands between two calls`)
			}
			gap = true
			continue
		}
		call, err := parseSymbol(arch, word)
		if err != nil {
			return nil, err
		}
		if len(e) == MaxSteps {
			return nil, fmt.Errorf("an episode has at most %d calls", MaxSteps)
		}
		e = append(e, Step{Call: call, Gap: gap})
		gap = false
	}
	if gap {
		return nil, errors.New(`"*" stands between two calls`)
	}
	return e, nil
}

// key is the episode as a map's key.
func (e Episode) key() string {
	b := make([]byte, 0, 5*len(e))
	for _, s := range e {
		b = append(b, byte(gap(s)), byte(s.Call>>24), byte(s.Call>>16), byte(s.Call>>8), byte(s.Call))
	}
	return string(b)
}

// without is the episode less one step. What the step stood between may then
// have calls between it.
func (e Episode) without(i int) Episode {
	out := slices.Delete(slices.Clone(e), i, i+1)
	switch {
	case len(out) == 0:
	case i == 0:
		out[0].Gap = false
	case i < len(out):
		out[i].Gap = true
	}
	return out
}
