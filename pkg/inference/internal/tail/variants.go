package tail

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/cluster"
)

const (
	// maxAppearances bounds the sets of calls of a role that are known, maxCalls the calls
	// of a unit, maxVariants the variants of a role.
	maxAppearances, maxCalls, maxVariants = 256, 24, 3
	// leastVariant is the share of a role's units that makes a variant, and fewUnits how
	// many there must be at least.
	leastVariant, fewUnits = 0.05, 20.0
)

// variants tells apart what threads of one role do, by which system calls appear in their
// units: top-down clusters of appearance vectors (PerfScope, SoCC 2014, section 3.2). A
// cheap kind of request beside a dear one has no tail otherwise: what is slow for it is
// nothing beside what is dear. It knows at most maxKinds roles.
type variants map[string]*role

type role struct {
	tracker cluster.Tracker
	// units has how many have a set of calls, fading; of is the cluster of each set.
	units map[string]float64
	of    map[string]int
	// found are the clusters that are variants.
	found map[int]Variant
}

// Variant is one of several kinds of units of a role.
type Variant struct {
	// Role is the kind that all of them are together, empty where this is no variant.
	Role string
	// With are calls that most of its units make and most of others do not, Without the
	// reverse.
	With, Without []int32
}

// take counts units, of which by is what is left of earlier ones.
func (v variants) take(pending []Request, until int64, by float64) {
	for _, r := range v {
		for set := range r.units {
			if r.units[set] *= by; r.units[set] < 0.1 {
				delete(r.units, set)
			}
		}
	}
	for i := range pending {
		p := &pending[i]
		if p.Calls == "" || p.End > until {
			continue
		}
		r := v[p.Kind]
		if r == nil {
			if len(v) >= maxKinds {
				continue
			}
			r = &role{units: map[string]float64{}}
			v[p.Kind] = r
		}
		if _, known := r.units[p.Calls]; known || len(r.units) < maxAppearances {
			r.units[p.Calls]++
		}
	}
	for name, r := range v {
		if len(r.units) == 0 {
			delete(v, name)
			continue
		}
		r.cluster(name)
	}
}

func (r *role) cluster(name string) {
	sets := slices.Sorted(maps.Keys(r.units))
	vectors := make([]cluster.Vector, len(sets))
	for i, set := range sets {
		vectors[i] = cluster.Vector{Appearance: set, Weight: r.units[set]}
	}
	ids := r.tracker.Assign(vectors)
	r.of = make(map[string]int, len(sets))
	units, calls, all := map[int]float64{}, map[int]map[int32]float64{}, 0.0
	for i, set := range sets {
		id, n := ids[i], r.units[set]
		r.of[set] = id
		units[id], all = units[id]+n, all+n
		if calls[id] == nil {
			calls[id] = map[int32]float64{}
		}
		for _, call := range unpack(set) {
			calls[id][call] += n
		}
	}
	heavy := slices.SortedFunc(maps.Keys(units), func(a, b int) int { return cmp.Or(cmp.Compare(units[b], units[a]), cmp.Compare(a, b)) })
	heavy = slices.DeleteFunc(heavy, func(id int) bool { return units[id] < max(fewUnits, leastVariant*all) })
	heavy = heavy[:min(maxVariants, len(heavy))]
	r.found = map[int]Variant{}
	if len(heavy) < 2 {
		return
	}
	for _, id := range heavy {
		found := Variant{Role: name}
		for _, call := range slices.Sorted(maps.Keys(union(calls))) {
			here, elsewhere, everywhere := 2*calls[id][call] > units[id], false, true
			for _, other := range heavy {
				if other != id {
					makes := 2*calls[other][call] > units[other]
					elsewhere, everywhere = elsewhere || makes, everywhere && makes
				}
			}
			switch {
			case here && !elsewhere:
				found.With = append(found.With, call)
			case !here && everywhere:
				found.Without = append(found.Without, call)
			}
		}
		r.found[id] = found
	}
}

func union(of map[int]map[int32]float64) map[int32]bool {
	all := map[int32]bool{}
	for _, calls := range of {
		for call := range calls {
			all[call] = true
		}
	}
	return all
}

// variant is that of a unit, false where its role has none.
func (v variants) variant(r *Request) (id int, of Variant, ok bool) {
	if r.Calls == "" || v[r.Kind] == nil {
		return 0, Variant{}, false
	}
	id = v[r.Kind].of[r.Calls]
	of, ok = v[r.Kind].found[id]
	return id, of, ok
}

// appearances makes sets of calls appearance vectors, of which there are few: it keeps up to
// maxAppearances.
type appearances struct {
	known  map[string]string
	packed []byte
}

// of is the vector of calls in their order.
func (a *appearances) of(calls []int32) string {
	a.packed = a.packed[:0]
	for _, c := range calls {
		a.packed = append(a.packed, byte(c>>8), byte(c), 0, 0)
	}
	if set, ok := a.known[string(a.packed)]; ok {
		return set
	}
	set := string(a.packed)
	if a.known == nil {
		a.known = map[string]string{}
	}
	if len(a.known) < maxAppearances {
		a.known[set] = set
	}
	return set
}

func unpack(set string) (calls []int32) {
	for i := 0; i+4 <= len(set); i += 4 {
		calls = append(calls, int32(set[i])<<8|int32(set[i+1]))
	}
	return calls
}

// makes notes a call of a unit.
func (k *work) makes(call int32) {
	if call < 0 || call > math.MaxUint16 || len(k.calls) >= maxCalls {
		return
	}
	if i, known := slices.BinarySearch(k.calls, call); !known {
		k.calls = slices.Insert(k.calls, i, call)
	}
}

func (v variants) bytes() (n int64) {
	const perSet = 160
	for _, r := range v {
		n += perSet * int64(len(r.units))
	}
	return n
}
