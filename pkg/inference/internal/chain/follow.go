package chain

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

// maxLinks bounds a chain.
const maxLinks = 8

// Link is one part of a chain.
type Link struct {
	Kind Kind
	// Function is what does it, an index in the table of stacks; -1 is not known.
	Function int32
	// Stack is the one with the most of it.
	Stack  uint32
	Number int32
	Name   string
	// Share is the part of the waits at the beginning of the chain that comes here, 0 to
	// 1; Waits the number of waits it is known from.
	Share, Waits float64
}

// group is nodes that are one link: waits in one function and call, whatever its
// callers; what is computed, all of it.
type group struct {
	kind     Kind
	function int32
	number   int32
	name     string
}

// Graph is what waits were spent on, by functions and calls.
type Graph struct {
	stacks *frames.Table
	out    map[group]map[group]Sum
	// to has the nodes that the waits of a group went to.
	to map[group]map[Node]float64
	// of has the nodes of a group with what came to them, or went from them.
	of map[group]map[Node]float64
	// computed are the stacks on which those computed who were waited for in a group,
	// released those on which they woke who waited, of times without samples.
	computed, released map[group]map[uint32]float64
}

func (g *Graph) group(n Node) group {
	switch n.Kind {
	case Waits, Other:
		f, ok := g.stacks.Leaf(n.Stack)
		if !ok {
			f = -1
		}
		return group{n.Kind, f, n.Number, n.Name}
	case Kernel:
		return group{kind: Kernel, function: -1, name: n.Name}
	case Unknown:
		if n.Stack != 0 { // who makes no long calls computes
			return group{kind: Computes, function: -1}
		}
	}
	return group{kind: n.Kind, function: -1}
}

// NewGraph sums flows up; stacks are those of their nodes.
func NewGraph(stacks *frames.Table, flows Flows) *Graph {
	g := &Graph{stacks: stacks, out: map[group]map[group]Sum{}, to: map[group]map[Node]float64{}, of: map[group]map[Node]float64{}, computed: map[group]map[uint32]float64{}, released: map[group]map[uint32]float64{}}
	for _, f := range flows.Keys() {
		s := flows[f]
		from, to := g.group(f.From), g.group(f.To)
		for at, n := range map[group]Node{from: f.From, to: f.To} {
			if g.of[at] == nil {
				g.of[at] = map[Node]float64{}
			}
			g.of[at][n] += s.Time
		}
		if to.kind == Computes {
			stacks := g.computed
			if f.To.Kind == Unknown {
				stacks = g.released
			}
			if stacks[from] == nil {
				stacks[from] = map[uint32]float64{}
			}
			stacks[from][f.To.Stack] += s.Time
		}
		if g.out[from] == nil {
			g.out[from], g.to[from] = map[group]Sum{}, map[Node]float64{}
		}
		g.to[from][f.To] += s.Time
		was := g.out[from][to]
		g.out[from][to] = Sum{was.Time + s.Time, was.Waits + s.Waits}
	}
	return g
}

// Follow is the chain from the place at which most is waited in excess to where most of
// that ends; excess is how much that is of a place. It is nil when too few waits are
// known there.
func (g *Graph) Follow(excess map[Place]float64) []Link {
	at, ok := g.start(excess)
	if !ok {
		return nil
	}
	links := []Link{g.link(at, at, 1, g.waits(at))}
	visited, share := map[group]bool{at: true}, 1.0
	for len(links) < maxLinks {
		next, part, waits := g.most(at, visited)
		if waits == 0 {
			break
		}
		share *= part
		links = append(links, g.link(at, next, share, waits))
		if visited[next] = true; next.kind != Waits {
			break
		}
		at = next
	}
	return links
}

// ShareFor tells which part of the waits at a place is for what is done on some stacks, by
// itself or for others that wait for it: the probability that a walk along the flows comes to
// one. Who queues at the same place waits for the same. Where too few waits are known it is
// zero.
func (g *Graph) ShareFor(is func(stack uint32) bool) func(at Place) float64 {
	from := slices.SortedFunc(maps.Keys(g.to), compareGroups)
	comes := make(map[group]float64, len(from))
	for range maxLinks {
		next := make(map[group]float64, len(from))
		for _, at := range from {
			next[at] = g.step(at, is, comes)
		}
		comes = next
	}
	return func(at Place) float64 {
		from := g.group(Node{Kind: Waits, Stack: at.Stack, Number: at.Number})
		if g.waits(from) < criteria.FewSightings {
			return 0
		}
		return comes[from]
	}
}

// step tells with which probability a walk from a group comes to some stacks, given how
// probably one from each other group does in fewer steps.
func (g *Graph) step(from group, is func(stack uint32) bool, comes map[group]float64) float64 {
	all, there := 0.0, 0.0
	for _, n := range slices.SortedFunc(maps.Keys(g.to[from]), compareNodes) {
		to, t := g.group(n), g.to[from][n]
		if to == from {
			continue
		}
		all += t
		if n.Stack != 0 && is(n.Stack) {
			there += t
		} else {
			there += t * comes[to]
		}
	}
	if all <= 0 {
		return 0
	}
	return there / all
}

// Place is where a thread waits.
type Place struct {
	Stack  uint32
	Number int32
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Number, b.Number))
}

// start is the group of waits with the most excess of which enough are told.
func (g *Graph) start(excess map[Place]float64) (best group, ok bool) {
	sums := map[group]float64{}
	for _, at := range slices.SortedFunc(maps.Keys(excess), comparePlaces) {
		if e := excess[at]; e > 0 {
			sums[g.group(Node{Kind: Waits, Stack: at.Stack, Number: at.Number})] += e
		}
	}
	most := 0.0
	for _, at := range slices.SortedFunc(maps.Keys(sums), compareGroups) {
		if sums[at] > most && g.waits(at) >= criteria.FewSightings {
			best, most, ok = at, sums[at], true
		}
	}
	return best, ok
}

func (g *Graph) waits(at group) (n float64) {
	for _, to := range slices.SortedFunc(maps.Keys(g.out[at]), compareGroups) {
		n += g.out[at][to].Waits
	}
	return n
}

// most is where most of the waits of a group go that has not been visited, and which part
// of all that go on to others: who queues at the same place waits for the same. What is left
// out of a wait so, of its time and of its being one, the others share.
func (g *Graph) most(at group, visited map[group]bool) (best group, part, waits float64) {
	all, most, others, queued := 0.0, 0.0, 0.0, 0.0
	for _, to := range slices.SortedFunc(maps.Keys(g.out[at]), compareGroups) {
		s := g.out[at][to]
		if visited[to] {
			queued += s.Waits
			continue
		}
		all += s.Time
		others += s.Waits
		if s.Time > most {
			best, most, waits = to, s.Time, s.Waits
		}
	}
	if all == 0 {
		return best, 0, 0
	}
	if others > 0 {
		waits *= 1 + queued/others
	}
	return best, most / all, waits
}

func (g *Graph) link(from, at group, share, waits float64) Link {
	l := Link{Kind: at.kind, Function: at.function, Number: at.number, Name: at.name, Share: share, Waits: waits}
	if at.kind == Computes {
		on := g.computed[from]
		if len(on) == 0 {
			on = g.released[from]
		}
		l.Function, l.Stack = g.computes(on)
		return l
	}
	most := 0.0
	for n, t := range g.of[at] {
		if t > most || t == most && n.Stack < l.Stack {
			most, l.Stack = t, n.Stack
		}
	}
	return l
}

// computes is the innermost function that has at least half of what was computed on some
// stacks, and the stack with the most of it.
func (g *Graph) computes(on map[uint32]float64) (function int32, stack uint32) {
	type sum struct{ time, depth float64 }
	all, most := 0.0, 0.0
	below := map[int32]sum{}
	for _, id := range slices.Sorted(maps.Keys(on)) {
		t := on[id]
		all += t
		for depth, f := range g.stacks.Get(id).Frames {
			s := below[f]
			below[f] = sum{s.time + t, s.depth + t*float64(depth)}
		}
	}
	function = -1
	nearest := 0.0
	for _, f := range slices.Sorted(maps.Keys(below)) {
		s := below[f]
		if depth := s.depth / s.time; 2*s.time >= all && (function < 0 || depth < nearest) {
			function, nearest = f, depth
		}
	}
	for _, id := range slices.Sorted(maps.Keys(on)) {
		if on[id] > most && (function < 0 || slices.Contains(g.stacks.Get(id).Frames, function)) {
			most, stack = on[id], id
		}
	}
	return function, stack
}

func compareGroups(a, b group) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.function, b.function), cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
}
