package signature

import (
	"encoding/binary"
	"maps"
	"slices"
)

// maxStates bounds the states of the automaton that are held at a time. A
// server's calls lead through some hundreds; beyond, all are forgotten and made
// anew as they are met.
const maxStates = 8192

// maxHeld bounds the nodes that all states hold together, 16 MiB of them.
const maxHeld = 4 << 20

// automaton runs all episodes at once. They are the paths of a tree, whose
// edges are calls that come next, or that come next but for others between.
// Where a sequence stands in it is a set of nodes; the sets are made when they
// are first met, each is a state from then on, and the way from one to the next
// is kept in a table (lazy determinisation, as regular expressions are run
// since Thompson, CACM 1968).
type automaton struct {
	nodes   []node
	root    int32
	columns int32 // the largest
	// describe makes what a state tells.
	describe func([]Named) *Match

	states []state
	ids    map[string]int32
	held   int // nodes in all states
	// generation changes when the states are forgotten.
	generation uint32
	key        []byte
}

// node is an episode, or the beginning of some.
type node struct {
	next, later map[int32]int32
	ends        []Named
}

// state is where a sequence stands: the nodes that its last call reached, and
// those reached before which may go on after other calls.
type state struct {
	reached, waiting []int32
	// to has the next state by column, -1 where that is not known yet.
	to    []int32
	match *Match
}

func (a *automaton) node() int32 {
	a.nodes = append(a.nodes, node{})
	return int32(len(a.nodes) - 1)
}

// grow gives the node behind an edge, which is made if it is not there.
func (a *automaton) grow(at int32, gap bool, column int32) int32 {
	edges := &a.nodes[at].next
	if gap {
		edges = &a.nodes[at].later
	}
	if to, ok := (*edges)[column]; ok {
		return to
	}
	to := int32(len(a.nodes))
	if *edges == nil {
		*edges = map[int32]int32{}
	}
	(*edges)[column] = to
	a.node()
	return to
}

// reset forgets all states but the first, in which a sequence begins.
func (a *automaton) reset() {
	a.generation++
	a.states, a.ids, a.held = nil, map[string]int32{}, 0
	a.state(nil, nil)
}

func (a *automaton) next(from, column int32) int32 {
	if to := a.states[from].to[column]; to >= 0 {
		return to
	}
	return a.make(from, column)
}

// make finds where a call leads.
func (a *automaton) make(from, column int32) int32 {
	s := &a.states[from]
	reached, waiting := map[int32]bool{}, map[int32]bool{}
	edge := func(edges map[int32]int32) {
		to, ok := edges[column]
		if !ok {
			return
		}
		reached[to] = true
		if len(a.nodes[to].later) > 0 {
			waiting[to] = true
		}
	}
	if column != 0 {
		edge(a.nodes[a.root].next)
		for _, n := range s.reached {
			edge(a.nodes[n].next)
		}
		for _, n := range s.waiting {
			edge(a.nodes[n].later)
		}
	}
	for _, n := range s.waiting {
		waiting[n] = true
	}
	sets := [2][]int32{slices.Sorted(maps.Keys(reached)), slices.Sorted(maps.Keys(waiting))}
	if len(a.states) >= maxStates || a.held+len(sets[0])+len(sets[1]) > maxHeld {
		a.reset()
		return a.state(sets[0], sets[1])
	}
	to := a.state(sets[0], sets[1])
	a.states[from].to[column] = to
	return to
}

// state gives the state of two sets of nodes.
func (a *automaton) state(reached, waiting []int32) int32 {
	a.key = a.key[:0]
	for _, n := range reached {
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(n))
	}
	a.key = binary.LittleEndian.AppendUint32(a.key, ^uint32(0))
	for _, n := range waiting {
		a.key = binary.LittleEndian.AppendUint32(a.key, uint32(n))
	}
	if id, ok := a.ids[string(a.key)]; ok {
		return id
	}
	a.held += len(reached) + len(waiting)
	s := state{reached: reached, waiting: waiting, to: make([]int32, a.columns+1)}
	for i := range s.to {
		s.to[i] = -1
	}
	var ends []Named
	for _, n := range reached {
		ends = append(ends, a.nodes[n].ends...)
	}
	s.match = a.describe(ends)
	id := int32(len(a.states))
	a.states = append(a.states, s)
	a.ids[string(a.key)] = id
	return id
}
