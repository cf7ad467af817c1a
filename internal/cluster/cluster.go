// Package cluster groups execution units top-down by which system calls
// appear in them, as PerfScope does (SoCC 2014, section 3.2): start from one
// cluster, split the one with the largest diameter, stop when all are tight.
// It works on distinct appearance vectors with weights, since millions of
// units have a few hundred distinct ones.
package cluster

import (
	"cmp"
	"slices"
)

// Vector is one distinct appearance vector: its dimensions in ascending
// order, each four bytes (unit.Unit.Appearance), and how many units have it.
type Vector struct {
	Appearance string
	Weight     float64
}

// Cluster is a group of vectors.
type Cluster struct {
	// ID is kept from one clustering to the next by Tracker.
	ID int
	// Medoid is the appearance of the member nearest to all others.
	Medoid string
	// Members index the vectors that were clustered.
	Members []int
	// Diameter is the largest distance between two members, 0 to 1.
	Diameter float64
	// Weight is the number of units.
	Weight float64
}

// Distance is the Jaccard distance of two appearance vectors: one minus the
// share of their calls that both have; 0 for equal, 1 for disjoint ones.
func Distance(a, b string) float64 {
	if a == b {
		return 0
	}
	both, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch cmp.Compare(a[i:i+4], b[j:j+4]) {
		case 0:
			both, i, j = both+1, i+4, j+4
		case -1:
			i += 4
		default:
			j += 4
		}
	}
	union := (len(a)+len(b))/4 - both
	if union == 0 {
		return 0
	}
	return 1 - float64(both)/float64(union)
}

// MaxDiameter is where splitting stops: any two units of a cluster have at
// least half of their calls in common, so that "how often" and "how long" can
// be compared between them.
const MaxDiameter = 0.5

// MaxVectors bounds what TopDown takes: distances are computed for all pairs.
const MaxVectors = 512

// TopDown clusters vectors; those beyond MaxVectors, lightest first, join the
// nearest medoid afterwards. The result is ordered by weight, heaviest first,
// and does not depend on the order of the vectors.
func TopDown(vectors []Vector, maxDiameter float64) []Cluster {
	if len(vectors) == 0 {
		return nil
	}
	order := make([]int, len(vectors))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(vectors[b].Weight, vectors[a].Weight); c != 0 {
			return c
		}
		return cmp.Compare(vectors[a].Appearance, vectors[b].Appearance)
	})
	head, tail := order, []int(nil)
	if len(order) > MaxVectors {
		head, tail = order[:MaxVectors], order[MaxVectors:]
	}
	clusters := []Cluster{describe(vectors, head)}
	for {
		widest := 0
		for i := range clusters {
			if clusters[i].Diameter > clusters[widest].Diameter {
				widest = i
			}
		}
		if clusters[widest].Diameter <= maxDiameter {
			break
		}
		a, b := split(vectors, clusters[widest].Members)
		clusters[widest] = describe(vectors, a)
		clusters = append(clusters, describe(vectors, b))
	}
	for _, v := range tail {
		c := &clusters[nearest(clusters, vectors[v].Appearance)]
		c.Members = append(c.Members, v)
		c.Weight += vectors[v].Weight
	}
	slices.SortStableFunc(clusters, func(a, b Cluster) int {
		if c := cmp.Compare(b.Weight, a.Weight); c != 0 {
			return c
		}
		return cmp.Compare(a.Medoid, b.Medoid)
	})
	return clusters
}

// split bisects members around the two that are farthest apart.
func split(vectors []Vector, members []int) (a, b []int) {
	var poleA, poleB int
	far := -1.0
	for i, m := range members {
		for _, n := range members[i+1:] {
			if d := Distance(vectors[m].Appearance, vectors[n].Appearance); d > far {
				far, poleA, poleB = d, m, n
			}
		}
	}
	for _, m := range members {
		toA := Distance(vectors[m].Appearance, vectors[poleA].Appearance)
		toB := Distance(vectors[m].Appearance, vectors[poleB].Appearance)
		if toA <= toB {
			a = append(a, m)
		} else {
			b = append(b, m)
		}
	}
	return a, b
}

// describe computes the diameter and the weighted medoid.
func describe(vectors []Vector, members []int) Cluster {
	c := Cluster{Members: members}
	best := -1.0
	for _, m := range members {
		c.Weight += vectors[m].Weight
		sum := 0.0
		for _, n := range members {
			d := Distance(vectors[m].Appearance, vectors[n].Appearance)
			sum += d * vectors[n].Weight
			c.Diameter = max(c.Diameter, d)
		}
		if best < 0 || sum < best {
			best, c.Medoid = sum, vectors[m].Appearance
		}
	}
	return c
}

func nearest(clusters []Cluster, appearance string) int {
	best, at := 2.0, 0
	for i := range clusters {
		if d := Distance(clusters[i].Medoid, appearance); d < best {
			best, at = d, i
		}
	}
	return at
}

// Tracker keeps the identity of clusters from one clustering to the next, so
// that each has a past. It holds one medoid per cluster seen, at most
// MaxVectors, the least recently matched going first.
type Tracker struct {
	known []tracked
	next  int
	round int
}

type tracked struct {
	id     int
	medoid string
	round  int
}

// Match sets the ID of each cluster: that of the nearest known medoid within
// MaxDiameter which no heavier cluster has taken, else a new one.
func (t *Tracker) Match(clusters []Cluster) {
	t.round++
	taken := make(map[int]bool, len(clusters))
	for i := range clusters {
		c := &clusters[i]
		best, at := MaxDiameter, -1
		for k := range t.known {
			if taken[k] {
				continue
			}
			if d := Distance(t.known[k].medoid, c.Medoid); d < best || d == 0 {
				best, at = d, k
			}
		}
		if at < 0 {
			t.next++
			t.known = append(t.known, tracked{id: t.next})
			at = len(t.known) - 1
		}
		taken[at] = true
		c.ID = t.known[at].id
		t.known[at].medoid, t.known[at].round = c.Medoid, t.round
	}
	if len(t.known) > MaxVectors {
		slices.SortStableFunc(t.known, func(a, b tracked) int { return cmp.Compare(b.round, a.round) })
		t.known = t.known[:MaxVectors]
	}
}
