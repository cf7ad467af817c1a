package signature

import (
	"cmp"
	"slices"
)

const (
	// leastSeen is how often an episode must be seen before anything is
	// concluded from it: of fewer than sixteen matches that are all right,
	// the share that is right in the long run may be below four in five
	// (the lower limit of Wilson's interval at 95 %).
	leastSeen = 16
	// leastShare of the invocations must hold an episode: one that is rarer
	// is met too seldom to be worth its place.
	leastShare = 0.01
	// maxLevel bounds the episodes of one length; the more frequent ones stay.
	maxLevel = 256
	// maxInvocations bounds the distinct invocations of a function that are
	// mined; the more frequent ones stay.
	maxInvocations = 4096
)

// frequent is an episode with what it was seen in.
type frequent struct {
	Episode
	// support is how many invocations hold it, ends how many calls end it.
	support, ends uint64
	// in has the distinct invocations that hold it.
	in []match
}

// match is where an episode ends in one invocation.
type match struct {
	invocation int
	ends       uint64
}

// mineInvocations finds the episodes that are frequent in the invocations of a
// function, a priori: from frequent single calls up, since an episode is at most
// as frequent as what it is made of (Agrawal and Srikant, ICDE 1995, on
// sequences). It returns the closed ones: those for which no episode that asks
// for more ends at as many calls. Closed is meant for the calls at which
// episodes end, since it is these that are to be named.
func mineInvocations(invocations []sequence) []frequent {
	total := uint64(0)
	for i := range invocations {
		total += invocations[i].weight
	}
	least := max(leastSeen, uint64(leastShare*float64(total)))
	level := singles(invocations, least)
	var closed []frequent
	calls := level
	for n := 1; len(level) > 0; n++ {
		var next []frequent
		if n < MaxSteps {
			next = extend(invocations, level, calls, least)
		}
		closed = append(closed, closedAmong(level, next)...)
		level = next
	}
	return closed
}

func singles(invocations []sequence, least uint64) []frequent {
	of := map[Symbol]*frequent{}
	for i := range invocations {
		for _, at := range invocations[i].at {
			f := of[at.call]
			if f == nil {
				f = &frequent{Episode: Episode{{Call: at.call}}}
				of[at.call] = f
			}
			f.see(invocations, i, at.mask)
		}
	}
	var level []frequent
	for _, f := range of {
		if f.support >= least {
			level = append(level, *f)
		}
	}
	return foremost(level)
}

func (f *frequent) see(invocations []sequence, i int, ends uint64) {
	f.support += invocations[i].weight
	f.ends += invocations[i].count(ends)
	f.in = append(f.in, match{i, ends})
}

// extend makes the frequent episodes that are one call longer.
func extend(invocations []sequence, level, calls []frequent, least uint64) []frequent {
	known := make(map[string]bool, len(level))
	for i := range level {
		known[level[i].key()] = true
	}
	var next []frequent
	for i := range level {
		for j := range calls {
			for _, gap := range []bool{false, true} {
				step := Step{Call: calls[j].Episode[0].Call, Gap: gap}
				e := append(slices.Clone(level[i].Episode), step)
				// A priori: what it is made of must be frequent, too.
				if len(e) > 2 && !known[e.without(0).key()] {
					continue
				}
				f := frequent{Episode: e}
				for _, m := range level[i].in {
					if ends := invocations[m.invocation].follow(m.ends, step); ends != 0 {
						f.see(invocations, m.invocation, ends)
					}
				}
				if f.support >= least {
					next = append(next, f)
				}
			}
		}
	}
	return foremost(next)
}

// foremost keeps the episodes with the most support, in the order of their
// steps.
func foremost(level []frequent) []frequent {
	if len(level) > maxLevel {
		slices.SortFunc(level, func(a, b frequent) int {
			return cmp.Or(cmp.Compare(b.support, a.support), a.Compare(b.Episode))
		})
		level = level[:maxLevel]
	}
	slices.SortFunc(level, func(a, b frequent) int { return a.Compare(b.Episode) })
	return level
}

// closedAmong leaves out the episodes of a level that end at no more calls than
// one which asks for more: another call, or no gap.
func closedAmong(level, longer []frequent) []frequent {
	most := map[string]uint64{}
	note := func(general Episode, ends uint64) {
		if k := general.key(); most[k] < ends {
			most[k] = ends
		}
	}
	for i := range longer {
		e := longer[i].Episode
		for j := range len(e) - 1 { // the last call stays
			note(e.without(j), longer[i].ends)
		}
	}
	for i := range level {
		e := level[i].Episode
		for j := 1; j < len(e); j++ {
			if !e[j].Gap {
				loose := slices.Clone(e)
				loose[j].Gap = true
				note(loose, level[i].ends)
			}
		}
	}
	var closed []frequent
	for i := range level {
		if most[level[i].key()] < level[i].ends {
			closed = append(closed, level[i])
		}
	}
	return closed
}
