package tail

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/cluster"
	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Outliers is what the units of a hop that are far from their clusters' past
// amount to.
type Outliers struct {
	// Score is Excess, in nanoseconds per second, over what would matter.
	Score, Excess float64
	Units         []*unit.Unit
	// Times is what was seen inside them.
	Times []attribute.Time
}

// Tail knows the clusters of a service's execution units.
type Tail struct {
	tracker cluster.Tracker
	// Clusters is how many there are.
	Clusters int
}

// Outliers finds the units of a hop that lie beyond degree from the past of
// their cluster, and weighs the time they took beyond the cluster's median.
// least is the excess that matters, in nanoseconds per second.
func (t *Tail) Outliers(learned []*hop.Closed, c *hop.Closed, least, degree float64) Outliers {
	var o Outliers
	past, present, clusterOf := t.clustered(learned, c)
	medians := map[int]float64{}
	for id, was := range past {
		medians[id] = medianDuration(was)
	}
	all := 0.0
	for _, id := range slices.Sorted(maps.Keys(present)) {
		was, now := past[id], present[id]
		long, excess, total := slow(medians[id], now, c.Seconds)
		all += total / c.Seconds
		// Neighbours are costly to find, and most hops have nothing to tell.
		if total/c.Seconds < least {
			continue
		}
		keys := unionKeys(was, long)
		for i, d := range outlier.Degrees(features(was, keys), features(long, keys)) {
			if d > degree {
				o.Excess += excess[i] / c.Seconds
				o.Units = append(o.Units, long[i])
			}
		}
	}
	if o.Excess > 0 {
		// Units took longer in some past hops, too: what the worst of them
		// amounted to is the service's habit.
		worst := 0.0
		for _, h := range learned {
			sum := 0.0
			for _, u := range h.Units {
				sum += beyondMedian(u, medians[clusterOf(u)], h.Seconds)
			}
			// Of the present hop only what was seen counts, of the past what
			// that stands for.
			worst = max(worst, sum/cmp.Or(h.CallSeconds, h.Seconds))
		}
		o.Excess = max(0, min(o.Excess, all-worst))
	}
	if o.Excess > 0 {
		o.Score = o.Excess / least
		o.Times = stackTimes(o.Units, c.Seconds)
	}
	return o
}

// slow returns the units that took more than the median of the past ones, by
// how many nanoseconds each, and the sum of that.
func slow(median float64, present []*unit.Unit, seconds float64) (long []*unit.Unit, excess []float64, total float64) {
	for _, u := range present {
		if x := beyondMedian(u, median, seconds); x > 0 {
			long, excess, total = append(long, u), append(excess, x), total+x
		}
	}
	return long, excess, total
}

// beyondMedian is by how much a unit took longer, as far as it was seen at
// work in this hop, which lasted for seconds: a unit also grows while others
// have the CPU, and what it took before was judged before.
func beyondMedian(u *unit.Unit, median, seconds float64) float64 {
	return max(0, min(float64(u.Duration())-median, float64(u.Recent()), seconds*1e9))
}

func medianDuration(units []*unit.Unit) float64 {
	durations := make([]float64, len(units))
	for i, u := range units {
		durations[i] = float64(u.Duration())
	}
	return baseline.Median(durations)
}

// clustered groups the units of the past and of the hop by cluster; clusterOf
// gives the cluster of each of them.
func (t *Tail) clustered(learned []*hop.Closed, c *hop.Closed) (past, present map[int][]*unit.Unit, clusterOf func(*unit.Unit) int) {
	index := map[string]int{}
	var vectors []cluster.Vector
	each := func(units []*unit.Unit) {
		for _, u := range units {
			a := u.Appearance()
			at, ok := index[a]
			if !ok {
				at = len(vectors)
				index[a] = at
				vectors = append(vectors, cluster.Vector{Appearance: a})
			}
			vectors[at].Weight++
		}
	}
	for _, h := range learned {
		each(h.Units)
	}
	each(c.Units)
	of := t.tracker.Assign(vectors)
	distinct := map[int]bool{}
	for _, id := range of {
		distinct[id] = true
	}
	t.Clusters = len(distinct)
	clusterOf = func(u *unit.Unit) int { return of[index[u.Appearance()]] }
	past, present = map[int][]*unit.Unit{}, map[int][]*unit.Unit{}
	for _, h := range learned {
		for _, u := range h.Units {
			id := clusterOf(u)
			past[id] = append(past[id], u)
		}
	}
	for id, units := range past {
		past[id] = thin(units)
	}
	for _, u := range c.Units {
		id := clusterOf(u)
		present[id] = append(present[id], u)
	}
	return past, present, clusterOf
}

// maxNeighbours bounds the past units of one cluster that others are compared
// with.
const maxNeighbours = 256

// thin keeps evenly spaced units.
func thin(units []*unit.Unit) []*unit.Unit {
	if len(units) <= maxNeighbours {
		return units
	}
	kept := make([]*unit.Unit, maxNeighbours)
	for i := range kept {
		kept[i] = units[i*len(units)/maxNeighbours]
	}
	return kept
}

func unionKeys(groups ...[]*unit.Unit) []unit.Key {
	seen := map[unit.Key]bool{}
	var keys []unit.Key
	for _, units := range groups {
		for _, u := range units {
			for _, c := range u.Calls {
				if !seen[c.Key] && len(keys) < unit.MaxKeys {
					seen[c.Key] = true
					keys = append(keys, c.Key)
				}
			}
		}
	}
	return keys
}

// features are the frequency and time vectors of each unit on a logarithmic
// scale, times in microseconds, with the time between calls as one more.
func features(units []*unit.Unit, keys []unit.Key) [][]float64 {
	points := make([][]float64, len(units))
	for i, u := range units {
		p := make([]float64, 2*len(keys)+1)
		for _, c := range u.Calls {
			if k := slices.Index(keys, c.Key); k >= 0 {
				p[2*k] = math.Log1p(float64(c.N))
				p[2*k+1] = math.Log1p(float64(c.Time) / 1e3)
			}
		}
		p[len(p)-1] = math.Log1p(float64(u.Gap) / 1e3)
		points[i] = p
	}
	return points
}

// recentShare is the share of what was observed of a unit that is new.
func recentShare(u *unit.Unit) float64 {
	return share(float64(u.Recent()), float64(u.Observed()))
}

// stackTimes sums what was seen inside units, in nanoseconds per second.
func stackTimes(units []*unit.Unit, seconds float64) []attribute.Time {
	type key struct {
		stack   uint32
		call    int32
		waiting bool
	}
	sums := map[key]float64{}
	for _, u := range units {
		for _, t := range u.Stacks {
			sums[key{t.Stack, t.Number, t.Waiting}] += float64(t.Time) * recentShare(u) / seconds
		}
	}
	var times []attribute.Time
	for k, t := range sums {
		kind := attribute.EvidenceOnCPU
		if k.waiting {
			kind = attribute.EvidenceBlocked
		}
		times = append(times, attribute.Time{Stack: k.stack, Kind: kind, Now: t, Excess: t, Call: k.call})
	}
	slices.SortFunc(times, func(a, b attribute.Time) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Call, b.Call))
	})
	return times
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
