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
	d := newDistances(vectors, head)
	all := make([]int, len(head))
	for i := range all {
		all[i] = i
	}
	parts := []part{d.describe(all)}
	for {
		widest := 0
		for i := range parts {
			if parts[i].diameter > parts[widest].diameter {
				widest = i
			}
		}
		if float64(parts[widest].diameter) <= maxDiameter {
			break
		}
		a, b := d.split(parts[widest])
		parts[widest] = d.describe(a)
		parts = append(parts, d.describe(b))
	}
	clusters := make([]Cluster, len(parts))
	for i, p := range parts {
		c := Cluster{Medoid: vectors[head[p.medoid]].Appearance, Diameter: float64(p.diameter)}
		for _, m := range p.members {
			c.Members = append(c.Members, head[m])
			c.Weight += vectors[head[m]].Weight
		}
		clusters[i] = c
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

// distances are those of all pairs, since splitting asks for each many times.
type distances struct {
	n       int
	of      []float32
	weights []float64
}

// part is a cluster while splitting; its numbers index the distances.
type part struct {
	members      []int
	diameter     float32
	poleA, poleB int
	medoid       int
}

func newDistances(vectors []Vector, chosen []int) *distances {
	d := &distances{n: len(chosen), of: make([]float32, len(chosen)*len(chosen)), weights: make([]float64, len(chosen))}
	for i, v := range chosen {
		d.weights[i] = vectors[v].Weight
		for j := range i {
			x := float32(Distance(vectors[v].Appearance, vectors[chosen[j]].Appearance))
			d.of[i*d.n+j], d.of[j*d.n+i] = x, x
		}
	}
	return d
}

// split bisects a part around the two members that are farthest apart.
func (d *distances) split(p part) (a, b []int) {
	for _, m := range p.members {
		if d.of[m*d.n+p.poleA] <= d.of[m*d.n+p.poleB] {
			a = append(a, m)
		} else {
			b = append(b, m)
		}
	}
	return a, b
}

// describe finds the diameter with its two ends, and the weighted medoid.
func (d *distances) describe(members []int) part {
	p := part{members: members, poleA: members[0], poleB: members[0], medoid: members[0]}
	best := -1.0
	for _, m := range members {
		row := d.of[m*d.n : (m+1)*d.n]
		sum := 0.0
		for _, n := range members {
			x := row[n]
			sum += float64(x) * d.weights[n]
			if x > p.diameter {
				p.diameter, p.poleA, p.poleB = x, m, n
			}
		}
		if best < 0 || sum < best {
			best, p.medoid = sum, m
		}
	}
	return p
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

// Tracker keeps the identity of clusters from one hop to the next, so that
// each has a past, and clusters anew only when vectors come that no known
// cluster holds. It remembers at most MaxVectors medoids, the least recently
// matched going first, and 4 * MaxVectors vectors.
type Tracker struct {
	known []tracked
	of    map[string]int
	next  int
	round int
}

type tracked struct {
	id     int
	medoid string
	round  int
}

// Assign returns the identity of each vector's cluster.
func (t *Tracker) Assign(vectors []Vector) []int {
	ids := make([]int, len(vectors))
	if !t.lookup(vectors, ids) {
		clusters := TopDown(vectors, MaxDiameter)
		t.match(clusters)
		t.of = make(map[string]int, len(vectors))
		for _, c := range clusters {
			for _, m := range c.Members {
				ids[m] = c.ID
				t.of[vectors[m].Appearance] = c.ID
			}
		}
	}
	return ids
}

// lookup assigns what is known or lies well inside a known cluster; false when
// something does not.
func (t *Tracker) lookup(vectors []Vector, ids []int) bool {
	if len(t.of) > 4*MaxVectors {
		return false
	}
	for i, v := range vectors {
		id, ok := t.of[v.Appearance]
		if !ok {
			best := MaxDiameter / 2
			for _, k := range t.known {
				if d := Distance(k.medoid, v.Appearance); k.round == t.round && d <= best {
					best, id, ok = d, k.id, true
				}
			}
			if !ok {
				return false
			}
			t.of[v.Appearance] = id
		}
		ids[i] = id
	}
	return true
}

// match sets the ID of each cluster: that of the nearest known medoid within
// MaxDiameter which no heavier cluster has taken, else a new one.
func (t *Tracker) match(clusters []Cluster) {
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
