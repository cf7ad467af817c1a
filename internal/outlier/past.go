package outlier

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// usual is the quantile of the past that counts as its upper edge: one hop in
// ten may hold the beginning of something abnormal that was not yet seen as
// such, and must not lift what is expected.
const usual = 0.9

// Past is what the past hops of a service say of one figure, each hop's value
// beside its load (see Loads).
type Past struct{ edge, perLoad, median float64 }

// NewPast summarises past values; loads has the load of each hop, 1 is usual.
// Hops without the figure count as zero.
func NewPast(values, loads []float64) Past {
	if len(values) == 0 {
		return Past{}
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	relative := make([]float64, len(values))
	for i, v := range values {
		// A hop with hardly any load says nothing about cost per load.
		relative[i] = v / max(loads[i], 0.25)
	}
	slices.Sort(relative)
	return Past{
		edge:    stat.Quantile(usual, stat.Empirical, sorted, nil),
		perLoad: stat.Quantile(usual, stat.Empirical, relative, nil),
		median:  stat.Quantile(0.5, stat.Empirical, sorted, nil),
	}
}

// WithoutChance is the past of what was sampled, without what chance adds to
// the edge: of counts of samples with the same mean, one in ten is 1.28 standard
// deviations above it, or more (Poisson's, for large counts). grain is what one
// sample stands for.
func (p Past) WithoutChance(grain float64) Past {
	p.edge, p.perLoad = withoutChance(p.edge, grain), withoutChance(p.perLoad, grain)
	return p
}

// withoutChance solves m + z*sqrt(m*grain) = edge for m.
func withoutChance(edge, grain float64) float64 {
	const z = 1.2816 // of the quantile "usual"
	a := z * math.Sqrt(grain)
	root := (math.Sqrt(a*a+4*edge) - a) / 2
	return root * root
}

// Median is the median of the values.
func (p Past) Median() float64 { return p.median }

// Edge is the upper edge of the values, whatever the load.
func (p Past) Edge() float64 { return p.edge }

// Expected is the largest value that a load lets expect: what the past
// reached at any load, or its cost per load times the present one.
func (p Past) Expected(load float64) float64 {
	if load <= 1 {
		return p.edge
	}
	return max(p.edge, p.perLoad*load)
}

// Proportional is what a load lets expect of the whole of a service. Above
// the usual load that is in proportion to it; below, to its square root,
// since a server that is asked less loses batching, and pays more per request.
func (p Past) Proportional(load float64) float64 {
	if load < 1 {
		return p.edge * math.Sqrt(max(load, 0))
	}
	return p.Expected(load)
}

// Measure is one measure of the work a service does, by column in the rows
// given to Loads: how often something happened and, if there is a Bytes
// column (not negative), how much was moved. The larger ratio counts: a client
// may ask for more at a time.
type Measure struct{ Count, Bytes int }

// Loads turns measures of work (one row a hop, all rows of the same length)
// into one load per hop, 1 being the median of the past hops. now is the row of
// the present hop, whose load is returned last; ok is false when no measure
// says anything, and every load is 1.
//
// Twice the requests move all measures together, while a bug that repeats
// calls or makes them smaller moves one or two: the load is the lower median
// of the measures' ratios to their own past. Measures that hardly occur
// (Count below minimum in the median hop) are left out.
func Loads(past [][]float64, now []float64, measures []Measure, minimum float64) (loads []float64, present float64, ok bool) {
	loads = make([]float64, len(past))
	typical := make([]float64, len(now))
	column := make([]float64, len(past))
	for d := range now {
		for i := range past {
			column[i] = past[i][d]
		}
		typical[d] = Median(column)
	}
	ratio := func(row []float64) float64 {
		var ratios []float64
		for _, m := range measures {
			if typical[m.Count] < minimum {
				continue
			}
			r := row[m.Count] / typical[m.Count]
			if m.Bytes >= 0 && typical[m.Bytes] > 0 {
				r = max(r, row[m.Bytes]/typical[m.Bytes])
			}
			ratios = append(ratios, r)
		}
		if len(ratios) == 0 {
			return 1
		}
		ok = true
		slices.Sort(ratios)
		return ratios[(len(ratios)-1)/2]
	}
	for i := range past {
		loads[i] = ratio(past[i])
	}
	return loads, ratio(now), ok
}
