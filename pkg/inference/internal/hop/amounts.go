package hop

import (
	"cmp"
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// Amounts is how much there is of each of some keys, in an order that does not change: a past
// has some ten thousand of these, which are gone through often and hardly ever looked for.
type Amounts[K comparable] struct {
	keys []K
	of   []float64
}

// Times is how long each stack was on CPU, in the order of their identifiers.
type Times = Amounts[uint32]

// Sites is how often each call was made at a stack.
type Sites = Amounts[Site]

// TimesOf puts times in order.
func TimesOf(times map[uint32]float64) Times { return amountsOf(times, cmp.Compare[uint32]) }

// SitesOf is TimesOf of sites.
func SitesOf(sites map[Site]float64) Sites { return amountsOf(sites, Site.Compare) }

func amountsOf[K comparable](amounts map[K]float64, compare func(a, b K) int) Amounts[K] {
	a := Amounts[K]{keys: slices.SortedFunc(maps.Keys(amounts), compare), of: make([]float64, 0, len(amounts))}
	for _, k := range a.keys {
		a.of = append(a.of, amounts[k])
	}
	return a
}

// Len is the number of keys.
func (a Amounts[K]) Len() int { return len(a.keys) }

// All are the keys with their amounts.
func (a Amounts[K]) All() iter.Seq2[K, float64] {
	return func(yield func(K, float64) bool) {
		for i, k := range a.keys {
			if !yield(k, a.of[i]) {
				return
			}
		}
	}
}

// Map has the same, to be looked for.
func (a Amounts[K]) Map() map[K]float64 {
	m := make(map[K]float64, len(a.keys))
	maps.Insert(m, a.All())
	return m
}

// Sum is the amount of all keys.
func (a Amounts[K]) Sum() (sum float64) {
	for _, x := range a.of {
		sum += x
	}
	return sum
}

// Those are the keys of which something holds.
func (a Amounts[K]) Those(hold func(K, float64) bool) (kept Amounts[K]) {
	for k, x := range a.All() {
		if hold(k, x) {
			kept.keys, kept.of = append(kept.keys, k), append(kept.of, x)
		}
	}
	return kept
}

// mixed is the mean of two, of which one may have keys that the other has not, by key.
func (a Amounts[K]) mixed(b Amounts[K], mean func(a, b float64) float64) map[K]float64 {
	m := a.Map()
	mix(m, b.Map(), mean)
	return m
}

// Adder sums up the times of stacks, of one hop after the other.
type Adder struct {
	// times is by stack, known has a bit for each that is in the sum: to go through them is to
	// have the stacks in order.
	times []float64
	known []uint64
	count int
}

func (a *Adder) add(stack uint32, time float64) {
	if n := int(stack) + 1; n > len(a.times) {
		a.times = append(a.times, make([]float64, n-len(a.times))...)
		a.known = append(a.known, make([]uint64, (len(a.times)+63)/64-len(a.known))...)
	}
	word, bit := stack/64, uint64(1)<<(stack%64)
	if a.known[word]&bit == 0 {
		a.known[word] |= bit
		a.count++
		a.times[stack] = 0
	}
	a.times[stack] += time
}

// sums returns what was summed up, and begins anew.
func (a *Adder) sums() Times {
	t := Times{keys: make([]uint32, 0, a.count), of: make([]float64, 0, a.count)}
	for word, left := range a.known {
		for ; left != 0; left &= left - 1 {
			stack := uint32(64*word + bits.TrailingZeros64(left)) //nolint:gosec // below the number of times
			t.keys, t.of = append(t.keys, stack), append(t.of, a.times[stack])
		}
		a.known[word] = 0
	}
	a.count = 0
	return t
}
