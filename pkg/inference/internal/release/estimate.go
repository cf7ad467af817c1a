package release

import (
	"math"
	"slices"
)

// figure is an estimate with its standard error.
type figure struct{ mean, err float64 }

// ratioOf estimates Σx/Σy over blocks of hops (the ratio estimator of sampling theory;
// Cochran, Sampling Techniques, 1977): what blocks differ by beyond the ratio is the
// error, whatever makes them differ.
func ratioOf(x, y []float64) figure {
	sx, sy := sum(x), sum(y)
	n := float64(len(x))
	if sy <= 0 || n < 2 {
		return figure{0, math.Inf(1)}
	}
	r, square := sx/sy, 0.0
	for i := range x {
		e := x[i] - r*y[i]
		square += e * e
	}
	return figure{r, math.Sqrt(square*n/(n-1)) / sy}
}

// blocks sums values of hops that follow each other: one hop reaches into the next.
func blocks(values []float64) []float64 {
	out := make([]float64, 0, len(values)/blockHops+1)
	for part := range slices.Chunk(values, blockHops) {
		if len(part) == blockHops || len(out) == 0 {
			out = append(out, 0)
		}
		out[len(out)-1] += sum(part)
	}
	return out
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// middle is the median of values by their weights.
func middle(values, weights []float64) float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return a - b
	})
	half, seen := sum(weights)/2, 0.0
	for _, i := range order {
		if seen += weights[i]; seen >= half {
			return values[i]
		}
	}
	return 1
}
