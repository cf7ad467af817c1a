// Package outlier says how far an execution unit lies from its neighbours in its
// cluster: the paper's frequency and time outliers.
package outlier

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/spatial/vptree"
	"gonum.org/v1/gonum/stat"
)

// Neighbours is the k of the k nearest neighbours: PerfScope looks at the
// local density, and five others are the fewest that one odd twin or two
// cannot fake.
const Neighbours = 5

// minScale keeps a dimension that never varies in the past from making every
// change infinite: features are logarithms, and a tenth more or less of a
// count or a time is not a difference.
const minScale = 0.1

// farAtLeast is the distance, in robust standard deviations over all
// dimensions, below which nothing is far, however dense its cluster: three
// of them hold 99.7 % of a normal distribution.
const farAtLeast = 3.0

// Degrees returns for each present point how far it lies from its nearest
// neighbours in the past, in multiples of what the 99th percentile of the
// past's own points lie from theirs: above 1 is an outlier. All points have
// the same number of dimensions, logarithms of counts and times. It is nil when the past has
// fewer than 4 * Neighbours points, from which nothing can be learnt.
//
// The measure is the mean distance to the k nearest neighbours (Angiulli and
// Pizzuti, 2002) over robustly scaled dimensions.
func Degrees(past, present [][]float64) []float64 {
	if len(past) < 4*Neighbours || len(present) == 0 {
		return nil
	}
	scale := robustScale(past)
	points := make([]vptree.Comparable, len(past))
	for i, p := range past {
		points[i] = scaled(p, scale)
	}
	// The tree's shape decides in which order distances are added up: the same
	// points always get the same one.
	tree, err := vptree.New(points, 0, rand.NewPCG(1, 2))
	if err != nil {
		return nil
	}
	own := make([]float64, len(past))
	for i, p := range points {
		own[i] = meanDistance(tree, p, true)
	}
	slices.Sort(own)
	far := max(farAtLeast, stat.Quantile(0.99, stat.Empirical, own, nil))
	degrees := make([]float64, len(present))
	for i, p := range present {
		degrees[i] = meanDistance(tree, scaled(p, scale), false) / far
	}
	return degrees
}

// robustScale is 1.4826 times the median absolute deviation of each
// dimension (the standard deviation, if it were normal), at least minScale.
func robustScale(points [][]float64) []float64 {
	scale := make([]float64, len(points[0]))
	column := make([]float64, len(points))
	for d := range scale {
		for i, p := range points {
			column[i] = p[d]
		}
		scale[d] = max(minScale, 1.4826*mad(column))
	}
	return scale
}

// mad is the median absolute deviation; x is reordered.
func mad(x []float64) float64 {
	m := Median(x)
	for i := range x {
		x[i] = math.Abs(x[i] - m)
	}
	return Median(x)
}

// Median sorts x in place and returns its median, 0 if x is empty.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return stat.Quantile(0.5, stat.Empirical, x, nil)
}

// meanDistance to the nearest neighbours; itself counts as none of them.
func meanDistance(tree *vptree.Tree, p vptree.Comparable, itself bool) float64 {
	k := Neighbours
	if itself {
		k++
	}
	keep := vptree.NewNKeeper(k)
	tree.NearestSet(keep, p)
	sum, n, skipped := 0.0, 0, !itself
	for _, c := range keep.Heap {
		if c.Comparable == nil {
			continue
		}
		if !skipped && c.Dist == 0 {
			skipped = true
			continue
		}
		sum += c.Dist
		n++
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// point is a position in scaled feature space.
type point []float64

func scaled(p, scale []float64) point {
	q := make(point, len(p))
	for i := range p {
		q[i] = p[i] / scale[i]
	}
	return q
}

// Distance implements vptree.Comparable: Euclidean.
func (p point) Distance(c vptree.Comparable) float64 {
	q := c.(point)
	sum := 0.0
	for i := range p {
		sum += (p[i] - q[i]) * (p[i] - q[i])
	}
	return math.Sqrt(sum)
}
