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
	// sets are the units by their calls, known the same in the order of those.
	sets  map[string]*set
	known []*set
	// news is set when one of them has no cluster yet.
	news bool
}

// set is the units of a role that make some calls.
type set struct {
	packed string
	calls  []int32
	// units is how many there are, fading; cluster is that of the set.
	units   float64
	cluster int
	// variant is what its cluster is, nil when that is no variant.
	variant *Variant
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
		r.fade(by)
	}
	kind, of := "", (*role)(nil) // of the last unit: they come thread by thread
	for i := range pending {
		p := &pending[i]
		if p.Calls == "" || p.End > until {
			continue
		}
		if of == nil || p.Kind != kind {
			kind, of = p.Kind, v.role(p.Kind)
		}
		if of != nil {
			p.set = of.take(p.Calls)
		}
	}
	for name, r := range v {
		if len(r.known) == 0 {
			delete(v, name)
			continue
		}
		r.cluster(name)
	}
}

// role is that of a name, nil when there is no room for it.
func (v variants) role(name string) *role {
	r := v[name]
	if r == nil && len(v) < maxKinds {
		r = &role{sets: map[string]*set{}}
		v[name] = r
	}
	return r
}

func (r *role) fade(by float64) {
	r.known = slices.DeleteFunc(r.known, func(s *set) bool {
		s.units *= by
		if s.units >= 0.1 {
			return false
		}
		delete(r.sets, s.packed)
		return true
	})
}

// take counts a unit, and returns its set, nil when there is no room for it.
func (r *role) take(calls string) *set {
	s := r.sets[calls]
	if s == nil {
		if len(r.known) >= maxAppearances {
			return nil
		}
		s = &set{packed: calls, calls: unpack(calls)}
		r.sets[calls], r.news = s, true
		at, _ := slices.BinarySearchFunc(r.known, calls, func(s *set, packed string) int { return cmp.Compare(s.packed, packed) })
		r.known = slices.Insert(r.known, at, s)
	}
	s.units++
	return s
}

// assign gives sets their clusters. Those of sets that are known stay as they are until there is
// a new one.
func (r *role) assign() {
	if !r.news {
		return
	}
	r.news = false
	vectors := make([]cluster.Vector, len(r.known))
	for i, s := range r.known {
		vectors[i] = cluster.Vector{Appearance: s.packed, Weight: s.units}
	}
	for i, id := range r.tracker.Assign(vectors) {
		r.known[i].cluster = id
	}
}

// cluster finds the clusters that are variants.
func (r *role) cluster(name string) {
	r.assign()
	units, all := map[int]float64{}, 0.0
	for _, s := range r.known {
		s.variant = nil
		units[s.cluster], all = units[s.cluster]+s.units, all+s.units
	}
	heavy := slices.SortedFunc(maps.Keys(units), func(a, b int) int { return cmp.Or(cmp.Compare(units[b], units[a]), cmp.Compare(a, b)) })
	heavy = slices.DeleteFunc(heavy, func(id int) bool { return units[id] < max(fewUnits, leastVariant*all) })
	heavy = heavy[:min(maxVariants, len(heavy))]
	if len(heavy) < 2 {
		return
	}
	found := tellApart(heavy, units, r.callsOf(heavy))
	for i := range found {
		found[i].Role = name
	}
	for _, s := range r.known {
		if at := slices.Index(heavy, s.cluster); at >= 0 {
			s.variant = &found[at]
		}
	}
}

// callsOf is, by call, how many units of each of the heavy clusters make it. What only others
// make tells none of these apart.
func (r *role) callsOf(heavy []int) map[int32]*[maxVariants]float64 {
	calls := map[int32]*[maxVariants]float64{}
	for _, s := range r.known {
		at := slices.Index(heavy, s.cluster)
		if at < 0 {
			continue
		}
		for _, call := range s.calls {
			if calls[call] == nil {
				calls[call] = new([maxVariants]float64)
			}
			calls[call][at] += s.units
		}
	}
	return calls
}

// tellApart describes heavy clusters by the calls that one of them alone makes, or alone does
// not.
func tellApart(heavy []int, units map[int]float64, calls map[int32]*[maxVariants]float64) []Variant {
	found := make([]Variant, len(heavy))
	for _, call := range slices.Sorted(maps.Keys(calls)) {
		var makes [maxVariants]bool
		makers := 0
		for i, id := range heavy {
			if makes[i] = 2*calls[call][i] > units[id]; makes[i] {
				makers++
			}
		}
		for i := range heavy {
			switch {
			case makes[i] && makers == 1:
				found[i].With = append(found[i].With, call)
			case !makes[i] && makers == len(heavy)-1:
				found[i].Without = append(found[i].Without, call)
			}
		}
	}
	return found
}

// variant is that of a unit, nil where its role has none.
func (r *Request) variant() (id int, of *Variant) {
	if r.set == nil || r.set.variant == nil {
		return 0, nil
	}
	return r.set.cluster, r.set.variant
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
	const perSet = 256
	for _, r := range v {
		n += perSet * int64(len(r.known))
	}
	return n
}
