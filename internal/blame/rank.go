package blame

import (
	"cmp"
	"slices"
)

// Pair is a function of a service, ranked.
type Pair struct {
	Service, Function, Module string
	// Score is the share of the excess that points to it, 0 to 1.
	Score float64
	Role  Role
	// Anomalies are the ids of its service's anomalies, one of each instance
	// that has the same first suspect, Pattern what it does.
	Anomalies []string
	Pattern   string
}

// Ranking is what is to blame, most first: causes, then victims, then what is
// not linked to any of them.
type Ranking []Pair

// MaxPairs bounds a ranking: as many functions as one anomaly lists by default.
const MaxPairs = 10

// Load is what a service lost in one trace or over some time.
type Load struct {
	Service string
	// Excess is its own time beyond the usual, in nanoseconds.
	Excess    int64
	Anomalies []Anomaly
	// Calls are the services it calls.
	Calls []string
	// Linked is set when traces lead through it.
	Linked bool
}

// Rank ranks the functions of the abnormal ones among some services.
func Rank(loads []Load) Ranking {
	by := make(map[string]*Load, len(loads))
	total := int64(0)
	for i := range loads {
		by[loads[i].Service] = &loads[i]
		if len(loads[i].Anomalies) > 0 {
			total += loads[i].Excess
		}
	}
	var pairs Ranking
	for i := range loads {
		l := &loads[i]
		if len(l.Anomalies) == 0 {
			continue
		}
		role, weight := roleOf(l, by), 0.0
		switch {
		case !l.Linked:
			weight = l.Anomalies[0].Impact
		case total > 0:
			weight = float64(l.Excess) / float64(total)
		}
		for _, same := range alike(l.Anomalies) {
			suspects := same.worst.Suspects
			if len(suspects) == 0 {
				suspects = []Suspect{{Score: 1}} // of the service no more is known
			}
			for _, s := range suspects {
				pairs = append(pairs, Pair{
					Service: l.Service, Function: s.Function, Module: s.Module, Score: weight * s.Score, Role: role,
					Anomalies: same.ids, Pattern: same.worst.Pattern,
				})
			}
		}
	}
	slices.SortStableFunc(pairs, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(order(a.Role), order(b.Role)), cmp.Compare(b.Score, a.Score),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Function, b.Function))
	})
	return spread(pairs)
}

// replicas are anomalies of instances of one service with one first suspect; the
// suspects are those of the one that is worst.
type replicas struct {
	ids   []string
	worst *Anomaly
}

// alike puts anomalies of one service together by their first suspect, and those
// that have none.
func alike(list []Anomaly) (out []replicas) {
	type key struct{ function, module string }
	index := map[key]int{}
	for i := range list {
		a := &list[i]
		k := key{}
		if len(a.Suspects) > 0 {
			k = key{a.Suspects[0].Function, a.Suspects[0].Module}
		}
		at, known := index[k]
		if !known {
			at = len(out)
			index[k] = at
			out = append(out, replicas{worst: a})
		}
		r := &out[at]
		if r.ids = append(r.ids, a.ID); a.Impact > r.worst.Impact {
			r.worst = a
		}
	}
	return out
}

func order(r Role) int { return slices.Index([]Role{Cause, Victim, Unlinked}, r) }

// spread keeps MaxPairs, and of every service at least its first.
func spread(pairs Ranking) Ranking {
	if len(pairs) <= MaxPairs {
		return pairs
	}
	first := map[string]bool{}
	heads := 0
	for _, p := range pairs {
		if !first[p.Service] {
			first[p.Service] = true
			heads++
		}
	}
	room := MaxPairs - min(heads, MaxPairs)
	kept := pairs[:0]
	for _, p := range pairs {
		switch {
		case first[p.Service] && len(kept) < MaxPairs:
			first[p.Service] = false
			kept = append(kept, p)
		case room > 0 && !first[p.Service]:
			room--
			kept = append(kept, p)
		}
	}
	return kept
}

// roleOf compares the excess of a service with that of the abnormal ones it
// calls, directly or through others.
func roleOf(l *Load, by map[string]*Load) Role {
	if !l.Linked {
		return Unlinked
	}
	below := int64(0)
	abnormal := false
	seen := map[string]bool{l.Service: true}
	var visit func(*Load)
	visit = func(at *Load) {
		for _, name := range at.Calls {
			next := by[name]
			if next == nil || seen[name] {
				continue
			}
			seen[name] = true
			if len(next.Anomalies) > 0 {
				abnormal = true
				below += next.Excess
			}
			visit(next)
		}
	}
	visit(l)
	if abnormal && below >= l.Excess {
		return Victim
	}
	return Cause
}
