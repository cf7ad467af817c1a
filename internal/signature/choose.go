package signature

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// maxSignatures bounds the signatures of one function.
const maxSignatures = 16

// chooser takes signatures of one function, so that few name most of its calls.
type chooser struct {
	scenes []scene
	// covered has the calls that are named, by scene.
	covered []uint64
	chosen  []Signature
	// have has the episodes that were decided on.
	have map[string]bool
}

// asMuch is the part of the most calls from which a candidate is said to name as
// many.
const asMuch = 0.98

// choose takes of the candidates that are good the one first that names the most
// calls which none before it does; of those that name as many the surest, then
// the simplest. How much surer counts is a part of one: below, asking for more
// calls is no gain.
func (c *chooser) choose(candidates []candidate, part float64) {
	candidates = slices.DeleteFunc(candidates, func(c candidate) bool { return !c.good() })
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(len(a.Episode), len(b.Episode)), a.Episode.Compare(b.Episode))
	})
	least := leastShare * fraction * float64(c.sequences())
	gains := make([]float64, 0, len(candidates))
	for len(c.chosen) < maxSignatures && len(candidates) > 0 {
		gains = gains[:0]
		for i := range candidates {
			gains = append(gains, float64(c.gain(&candidates[i])))
		}
		most := slices.Max(gains)
		if most == 0 || most < least {
			return
		}
		best, surest := -1, 0.0
		for i := range candidates {
			sure := math.Round(candidates[i].Confidence() / part)
			if gains[i] >= asMuch*most && sure > surest {
				best, surest = i, sure
			}
		}
		c.take(candidates[best])
		candidates = slices.Delete(candidates, best, best+1)
	}
}

func (c *chooser) take(s candidate) {
	for i, ends := range s.ends {
		c.covered[i] |= ends
	}
	c.chosen = append(c.chosen, s.Signature)
	c.have[s.Episode.key()] = true
}

// gain is what a candidate names that is not named yet: of each sequence the
// part of the function's calls, in fractions.
func (c *chooser) gain(s *candidate) (parts uint64) {
	for i, ends := range s.ends {
		if more := bits.OnesCount64(ends &^ c.covered[i]); more > 0 {
			parts += c.scenes[i].weight * (fraction * uint64(more) / uint64(bits.OnesCount64(c.scenes[i].places)))
		}
	}
	return parts
}

func (c *chooser) sequences() (n uint64) {
	for i := range c.scenes {
		n += c.scenes[i].weight
	}
	return n
}

// rest are the scenes with the calls that are not named yet.
func (c *chooser) rest() []scene {
	var rest []scene
	for i, s := range c.scenes {
		if s.places &^= c.covered[i]; s.places != 0 {
			rest = append(rest, s)
		}
	}
	return rest
}
