package signature

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
)

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
	// invocations counts the unbroken runs of calls, sequences those that hold
	// any.
	invocations, sequences uint64
	scenes                 []scene
}

// mining is one look at everything a Miner holds.
type mining struct {
	seen []observed
	// columns have the places of each call in all of them.
	columns map[Symbol]*column
	calls   uint64
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
	w := &mining{columns: map[Symbol]*column{}}
	found := w.look(m)
	f := &File{Program: base.Program, Load: base.Load, Calls: base.Calls + w.calls, Sequences: base.Sequences + m.units.seen}
	f.Arch = m.arch
	named := map[frames.Function]*evidence{}
	for id, e := range found {
		fn := m.stacks.Function(id)
		named[frames.Function{Name: fn.Name, Module: fn.Module}] = e
	}
	for i := range base.Functions {
		key := frames.Function{Name: base.Functions[i].Name, Module: base.Functions[i].Module}
		if named[key] == nil {
			named[key] = &evidence{}
		}
	}
	for key, e := range named {
		fn := Function{Name: key.Name, Module: key.Module, Calls: e.calls, Beneath: e.beneath}
		w.scenesOf(e)
		fn.Invocations = e.invocations
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
	tallies := m.units.sorted()
	words := (len(tallies) + 63) / 64
	for i, t := range tallies {
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
			if w.columns[at.call] == nil {
				w.columns[at.call] = &column{held: make([]uint64, words)}
			}
			w.columns[at.call].add(i, at.mask)
		}
		w.seen = append(w.seen, o)
	}
	for _, c := range w.columns {
		c.done()
	}
	return found
}

// scenesOf gathers the distinct scenes of a function. What comes after its last
// call says nothing about it.
func (w *mining) scenesOf(e *evidence) {
	type distinct struct {
		scene
		key string
	}
	of := map[string]*distinct{}
	var key []byte
	for _, a := range e.appearances {
		o := &w.seen[a.in]
		e.sequences += o.weight
		e.invocations += o.weight * uint64(bits.OnesCount64(a.mask&^(a.mask<<1)))
		calls := o.calls[:bits.Len64(a.mask)]
		key = binary.BigEndian.AppendUint64(key[:0], a.mask)
		key = appendCalls(key, calls)
		if d := of[string(key)]; d != nil {
			d.weight += o.weight
		} else {
			of[string(key)] = &distinct{scene{newSequence(calls, o.weight), a.mask}, string(key)}
		}
	}
	all := slices.SortedFunc(maps.Values(of), func(a, b *distinct) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.key, b.key))
	})
	for _, d := range all[:min(len(all), maxScenes)] {
		e.scenes = append(e.scenes, d.scene)
	}
}

// signatures chooses what tells the function from the others, out of what is
// mined now and what was known before. Episodes of its own calls go first; calls
// that none of them names may be told by what led into them.
func (w *mining) signatures(e *evidence, known []Signature) []Signature {
	c := chooser{scenes: e.scenes, covered: make([]uint64, len(e.scenes)), have: map[string]bool{}}
	for _, s := range known {
		old, _ := w.assess(e, s.Episode, true)
		old.Right += s.Right
		old.Total += s.Total
		if old.good() {
			c.take(old)
		}
		c.have[s.Episode.key()] = true
	}
	consider := func(found []frequent, part float64) {
		var candidates []candidate
		for _, f := range found {
			if !c.have[f.key()] {
				if a, ok := w.assess(e, f.Episode, false); ok {
					candidates = append(candidates, a)
				}
			}
		}
		c.choose(candidates, part)
	}
	// What a function always does is asked for in full: the same call may be made
	// elsewhere under another load. What leads into it is a matter of the load.
	consider(mineScenes(invocations(e.scenes), closed), 1e-6)
	if rest := c.rest(); len(rest) > 0 {
		consider(mineScenes(rest, all), 0.01)
	}
	slices.SortFunc(c.chosen, func(a, b Signature) int { return a.Episode.Compare(b.Episode) })
	return c.chosen
}

// candidate is a signature that may be chosen.
type candidate struct {
	Signature
	// right and all are the calls behind Right and Total.
	right, all uint64
	// ends has the function's calls at which it ends, by scene.
	ends []uint64
}

// good reports whether it is sure enough, by sequences and by calls.
func (c *candidate) good() bool {
	return c.Confidence() >= sure && float64(c.right) >= sure*float64(c.all)
}

// fraction is the unit in which parts of sequences are counted.
const fraction = 1 << 20

// assess counts how often an episode is right. What repeats within a sequence
// is no further evidence: a sequence counts as one, with the part of its matches
// that is right. It gives up, and returns false, once too much is wrong for what
// is left to make good; with whole it does not.
func (w *mining) assess(e *evidence, ep Episode, whole bool) (candidate, bool) {
	c := candidate{Signature: Signature{Episode: ep}}
	wrong, parts, left := uint64(0), uint64(0), e.appearances
	remaining := e.sequences
	columns := w.columnsOf(ep)
	for word := 0; columns != nil && word < len(columns[0].held); word++ {
		for set := holding(columns, word); set != 0; set &= set - 1 {
			i := word*64 + bits.TrailingZeros64(set)
			for len(left) > 0 && left[0].in < i {
				remaining -= w.seen[left[0].in].weight
				left = left[1:]
			}
			o := &w.seen[i]
			all := ep.endsAt(columns, i) & o.known
			if all == 0 {
				continue
			}
			n := uint64(bits.OnesCount64(all))
			c.Total += o.weight
			c.all += n * o.weight
			right := uint64(0)
			if len(left) > 0 && left[0].in == i {
				right = uint64(bits.OnesCount64(all & left[0].mask))
			}
			c.right += right * o.weight
			parts += o.weight * (fraction * right / n)
			if right == 0 {
				wrong += o.weight
				if !whole && float64(wrong)*sure > (1-sure)*float64(parts/fraction+remaining) {
					return c, false
				}
			}
		}
	}
	c.Right = (parts + fraction/2) / fraction
	c.ends = make([]uint64, len(e.scenes))
	for i := range e.scenes {
		c.ends[i] = e.scenes[i].ends(ep) & e.scenes[i].places
	}
	return c, true
}

func appendCalls(key []byte, calls []Symbol) []byte {
	for _, c := range calls {
		key = binary.BigEndian.AppendUint32(key, uint32(c))
	}
	return key
}
