package signature

import (
	"cmp"
	"math/bits"
	"slices"
)

const (
	// leastSeen is how often an episode must be seen before anything is
	// concluded from it: of fewer than 35 matches that are all right, the share
	// that is right in the long run may be below nine in ten (see sure).
	leastSeen = 35
	// leastShare of the sequences with a function must hold an episode: one that
	// is rarer is met too seldom to be worth its place.
	leastShare = 0.01
	// maxLevel bounds the episodes of one length; the more frequent ones stay.
	maxLevel = 128
	// maxScenes bounds the distinct scenes of a function that are mined; the more
	// frequent ones stay.
	maxScenes = 2048
)

// scene is a sequence with the places of calls of one function: its invocations,
// and what led into them.
type scene struct {
	sequence
	places uint64
}

// frequent is an episode with what it was seen in.
type frequent struct {
	Episode
	// support is in how many sequences it ends at a call of the function.
	support uint64
	// in has the scenes of these.
	in []beginning
}

// beginning is the places of one scene at which an episode can begin so that it
// ends at a call of the function.
type beginning struct {
	scene  int
	places uint64
}

// mineScenes finds the episodes that frequently end at one of the places of the
// scenes, a priori: from frequent single calls up, since an episode is at most
// as frequent as what it is made of (Agrawal and Srikant, ICDE 1995, on
// sequences; the masks are those of SPAM, Ayres et al., KDD 2002). They grow to
// the front, as the last call is what is to be named. What is found of each
// length, and of the next, goes through choose.
func mineScenes(scenes []scene, choose func(level, longer []frequent) []frequent) []frequent {
	total := uint64(0)
	for i := range scenes {
		total += scenes[i].weight
	}
	least := max(leastSeen, uint64(leastShare*float64(total)))
	before := singles(scenes, least, func(*scene) uint64 { return ^uint64(0) })
	level := singles(scenes, least, func(s *scene) uint64 { return s.places })
	var found []frequent
	for n := 1; len(level) > 0; n++ {
		var next []frequent
		if n < MaxSteps {
			next = extend(scenes, level, before, least)
		}
		found = append(found, choose(level, next)...)
		level = next
	}
	return found
}

// invocations are the unbroken runs of the function's calls, as scenes without
// anything that led into them.
func invocations(scenes []scene) []scene {
	of := map[string]int{}
	var runs []scene
	var key []byte
	for i := range scenes {
		s := &scenes[i]
		for left := s.places; left != 0; {
			from := bits.TrailingZeros64(left)
			n := bits.TrailingZeros64(^(left >> from))
			run := ^uint64(0) >> (maxSequence - n)
			left &^= run << from
			calls := s.calls[from : from+n]
			key = appendCalls(key[:0], calls)
			at, known := of[string(key)]
			if !known {
				at = len(runs)
				of[string(key)] = at
				runs = append(runs, scene{newSequence(calls, 0), run})
			}
			runs[at].weight += s.weight
		}
	}
	return runs
}

// singles are the frequent calls, of those at some places of each scene.
func singles(scenes []scene, least uint64, among func(*scene) uint64) []frequent {
	of := map[Symbol]*frequent{}
	for i := range scenes {
		for _, at := range scenes[i].at {
			places := at.mask & among(&scenes[i])
			if places == 0 {
				continue
			}
			f := of[at.call]
			if f == nil {
				f = &frequent{Episode: Episode{{Call: at.call}}}
				of[at.call] = f
			}
			f.see(scenes, i, places)
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

func (f *frequent) see(scenes []scene, i int, places uint64) {
	f.support += scenes[i].weight
	f.in = append(f.in, beginning{i, places})
}

// extend makes the frequent episodes that have one call more in front.
func extend(scenes []scene, level, before []frequent, least uint64) []frequent {
	known := make(map[string]bool, len(level))
	for i := range level {
		known[level[i].key()] = true
	}
	var next []frequent
	for i := range level {
		for j := range before {
			for _, gap := range []bool{false, true} {
				call := before[j].Episode[0].Call
				e := append(Episode{{Call: call}}, level[i].Episode...)
				e[1].Gap = gap
				// A priori: what it is made of must be frequent, too.
				if len(e) > 2 && !known[e.without(1).key()] {
					continue
				}
				f := frequent{Episode: e}
				for _, b := range level[i].in {
					if places := scenes[b.scene].lead(b.places, call, gap); places != 0 {
						f.see(scenes, b.scene, places)
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

// lead gives the places of a call before others: right before one, or with a
// gap anywhere before one.
func (s *sequence) lead(places uint64, call Symbol, gap bool) uint64 {
	if gap {
		last := bits.Len64(places) - 1
		return s.of(call) & (1<<last - 1)
	}
	return s.of(call) & (places >> 1)
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

// all leaves nothing out.
func all(level, _ []frequent) []frequent { return level }

// closed leaves out the episodes of a level that have no more support than one
// which asks for more: another call before the last, or no gap.
func closed(level, longer []frequent) []frequent {
	most := map[string]uint64{}
	note := func(general Episode, support uint64) {
		if k := general.key(); most[k] < support {
			most[k] = support
		}
	}
	for i := range longer {
		e := longer[i].Episode
		for j := range len(e) - 1 { // the last call stays
			note(e.without(j), longer[i].support)
		}
	}
	for i := range level {
		e := level[i].Episode
		for j := 1; j < len(e); j++ {
			if !e[j].Gap {
				loose := slices.Clone(e)
				loose[j].Gap = true
				note(loose, level[i].support)
			}
		}
	}
	var kept []frequent
	for i := range level {
		if most[level[i].key()] < level[i].support {
			kept = append(kept, level[i])
		}
	}
	return kept
}
