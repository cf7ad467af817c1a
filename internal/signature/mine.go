package signature

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/suspect"
)

// maxSignatures bounds the signatures of one function.
const maxSignatures = 8

// observed is a distinct sequence with its stacks.
type observed struct {
	sequence
	stacks []uint32
	// known has the places with a stack.
	known uint64
}

// appearance is where a function is on the stack in one distinct sequence.
type appearance struct {
	in   int
	mask uint64
}

// evidence is what a program's sequences say of one function.
type evidence struct {
	appearances    []appearance
	calls, beneath uint64
	invocations    []sequence
	count          uint64
}

// mining is one look at everything a Miner holds.
type mining struct {
	seen []observed
	// holding has the sequences that hold a call, by their place in seen.
	holding map[Symbol][]int
	calls   uint64
	totals  map[string]uint64
}

// Mine finds the signatures in all that was taken. What base says is added to
// it and not forgotten: functions that were not met this time stay, those that
// were gain what was found now, and signatures that turn out to fit other
// functions as well are left out. base may be nil. The caller fills in Program
// and Load.
func (m *Miner) Mine(base *File) *File {
	if base == nil {
		base = &File{}
	}
	w := &mining{holding: map[Symbol][]int{}, totals: map[string]uint64{}}
	found := w.look(m)
	f := &File{Program: base.Program, Load: base.Load, Calls: base.Calls + w.calls, Sequences: base.Sequences + m.units.seen}
	f.Arch = m.arch
	named := map[suspect.Function]*evidence{}
	for id, e := range found {
		fn := m.stacks.Function(id)
		named[suspect.Function{Name: fn.Name, Module: fn.Module}] = e
	}
	for i := range base.Functions {
		key := suspect.Function{Name: base.Functions[i].Name, Module: base.Functions[i].Module}
		if named[key] == nil {
			named[key] = &evidence{}
		}
	}
	for key, e := range named {
		fn := Function{Name: key.Name, Module: key.Module, Calls: e.calls, Beneath: e.beneath}
		w.invocationsOf(e)
		fn.Invocations = e.count
		var known []Signature
		if was := base.find(key.Module, key.Name); was != nil {
			fn.Calls += was.Calls
			fn.Invocations += was.Invocations
			fn.Beneath += was.Beneath
			known = was.Signatures
		}
		if f.Share(&fn) < common {
			fn.Signatures = w.signatures(e, known)
		}
		if len(fn.Signatures) > 0 {
			f.Functions = append(f.Functions, fn)
		}
	}
	slices.SortFunc(f.Functions, compareFunctions)
	return f
}

// look takes the sequences apart and gives what they say of each function.
func (w *mining) look(m *Miner) map[int32]*evidence {
	found := map[int32]*evidence{}
	masks := map[int32]uint64{}
	for i, t := range m.units.sorted() {
		calls, stacks := t.decode()
		o := observed{sequence: newSequence(calls, t.n), stacks: stacks}
		clear(masks)
		for place, id := range stacks {
			if id == 0 {
				continue
			}
			o.known |= 1 << place
			for depth, fn := range m.stacks.Get(id).Frames {
				masks[fn] |= 1 << place
				e := found[fn]
				if e == nil {
					e = &evidence{}
					found[fn] = e
				}
				e.calls += t.n
				e.beneath += uint64(depth) * t.n
			}
		}
		for fn, mask := range masks {
			found[fn].appearances = append(found[fn].appearances, appearance{i, mask})
		}
		w.calls += o.count(o.known)
		for _, at := range o.at {
			w.holding[at.call] = append(w.holding[at.call], i)
		}
		w.seen = append(w.seen, o)
	}
	return found
}

// invocationsOf gathers the distinct invocations: unbroken runs of calls.
func (w *mining) invocationsOf(e *evidence) {
	weights := map[string]uint64{}
	calls := map[string][]Symbol{}
	var key []byte
	for _, a := range e.appearances {
		o := &w.seen[a.in]
		for mask := a.mask; mask != 0; {
			from := bits.TrailingZeros64(mask)
			to := from + bits.TrailingZeros64(^(mask >> from))
			key = key[:0]
			for _, c := range o.calls[from:to] {
				key = appendPlace(key, c, 0)
			}
			if weights[string(key)] == 0 {
				calls[string(key)] = o.calls[from:to]
			}
			weights[string(key)] += o.weight
			e.count += o.weight
			if to == maxSequence {
				break
			}
			mask &= ^uint64(0) << to
		}
	}
	keys := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(a, b))
	})
	for _, k := range keys[:min(len(keys), maxInvocations)] {
		e.invocations = append(e.invocations, newSequence(calls[k], weights[k]))
	}
}

// signatures chooses what tells the function from the others, out of what is
// mined now and what was known before.
func (w *mining) signatures(e *evidence, known []Signature) []Signature {
	var choice []candidate
	have := map[string]bool{}
	for _, s := range known {
		c := w.assess(e, s.Episode)
		c.Right += s.Right
		c.Total += s.Total
		c.known = true
		choice = append(choice, c)
		have[s.Episode.key()] = true
	}
	for _, f := range mineInvocations(e.invocations) {
		if !have[f.key()] {
			choice = append(choice, w.assess(e, f.Episode))
		}
	}
	return choose(choice, e.invocations)
}

// candidate is a signature that may be chosen.
type candidate struct {
	Signature
	// ends has where it ends in each invocation.
	ends  []uint64
	known bool
}

// assess counts how often an episode is right.
func (w *mining) assess(e *evidence, ep Episode) candidate {
	c := candidate{Signature: Signature{Episode: ep}, ends: make([]uint64, len(e.invocations))}
	for i := range e.invocations {
		c.ends[i] = e.invocations[i].ends(ep)
		c.Right += e.invocations[i].count(c.ends[i])
	}
	c.Total = w.total(ep)
	return c
}

// total is how often an episode ends at all, at calls whose stack is known.
func (w *mining) total(ep Episode) uint64 {
	key := ep.key()
	if n, ok := w.totals[key]; ok {
		return n
	}
	rarest := w.holding[ep[0].Call]
	for _, s := range ep[1:] {
		if in := w.holding[s.Call]; len(in) < len(rarest) {
			rarest = in
		}
	}
	n := uint64(0)
	for _, i := range rarest {
		o := &w.seen[i]
		n += o.count(o.ends(ep) & o.known)
	}
	w.totals[key] = n
	return n
}

// choose takes the signatures that are sure, the one first that names the most
// calls of the function which none before it does. What was known stays.
func choose(choice []candidate, invocations []sequence) []Signature {
	choice = slices.DeleteFunc(choice, func(c candidate) bool { return c.Confidence() < sure })
	slices.SortFunc(choice, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(len(a.Episode), len(b.Episode)), a.Episode.Compare(b.Episode))
	})
	all := uint64(0)
	for i := range invocations {
		all += uint64(len(invocations[i].calls)) * invocations[i].weight
	}
	covered := make([]uint64, len(invocations))
	var chosen []Signature
	take := func(at int) {
		for i, ends := range choice[at].ends {
			covered[i] |= ends
		}
		chosen = append(chosen, choice[at].Signature)
		choice = slices.Delete(choice, at, at+1)
	}
	for at := 0; at < len(choice) && len(chosen) < maxSignatures; {
		if choice[at].known {
			take(at)
		} else {
			at++
		}
	}
	for len(chosen) < maxSignatures {
		best, most, surest := -1, uint64(0), 0.0
		for at := range choice {
			gain := uint64(0)
			for i, ends := range choice[at].ends {
				gain += invocations[i].count(ends &^ covered[i])
			}
			if c := choice[at].Confidence(); gain > most || gain == most && gain > 0 && c > surest {
				best, most, surest = at, gain, c
			}
		}
		if best < 0 || float64(most) < leastShare*float64(all) {
			break
		}
		take(best)
	}
	slices.SortFunc(chosen, func(a, b Signature) int { return a.Episode.Compare(b.Episode) })
	return chosen
}
