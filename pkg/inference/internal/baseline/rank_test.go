package baseline

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestARankIsThatOfSortedValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		values := make([]float64, 1+rng.IntN(70))
		for i := range values {
			values[i] = float64(rng.IntN(1 + rng.IntN(100))) // many are equal
		}
		sorted := slices.Sorted(slices.Values(values))
		rank := rng.IntN(len(values))
		if got := ranked(slices.Clone(values), rank); got != sorted[rank] {
			t.Fatalf("of %v the one of rank %d is %v, not %v", values, rank, sorted[rank], got)
		}
		if got := middle(values); got != sorted[(len(sorted)-1)/2] {
			t.Fatalf("the middle of %v is not %v", sorted, got)
		}
	}
}
