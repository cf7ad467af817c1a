package signature

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
)

const (
	// Sequences bounds the distinct sequences kept of each class of length (1,
	// 2, 3-4, 5-8, … 33-64 calls) where mining is all that is done: what a
	// server does it does thousands of times, so that most have a few hundred;
	// what is beyond is a sample. FewSequences is for mining beside other work.
	Sequences    = 16384
	FewSequences = 2048
	// placeBytes is what a call takes in a key: its symbol and its stack.
	placeBytes = 8
)

var lengthClasses = bits.Len(maxSequence-1) + 1

// units counts the distinct sequences of calls with their stacks. Of each class
// of length it keeps those with the smallest hash of what they hold: a
// sample that does not depend on the order in which threads are seen, and in
// which each that is kept was counted from its first time on.
type units struct {
	limit   int
	of      map[string]*tally
	classes []tallies
	bytes   int64
	// seen and left count sequences, kept or not, and those not kept.
	seen, left uint64
}

// tally is how often one sequence was seen.
type tally struct {
	key  string
	hash uint64
	n    uint64
}

func newUnits(limit int) units {
	return units{limit: limit, of: map[string]*tally{}, classes: make([]tallies, lengthClasses)}
}

func (u *units) add(key []byte, hash uint64) {
	u.seen++
	if t := u.of[string(key)]; t != nil {
		t.n++
		return
	}
	class := &u.classes[bits.Len(uint(len(key)/placeBytes-1))]
	if len(*class) >= u.limit {
		if hash >= (*class)[0].hash {
			u.left++
			return
		}
		gone := heap.Pop(class).(*tally)
		delete(u.of, gone.key)
		u.bytes -= gone.size()
		u.left += gone.n
	}
	t := &tally{key: string(key), hash: hash, n: 1}
	u.of[t.key] = t
	u.bytes += t.size()
	heap.Push(class, t)
}

// size estimates what a tally takes with its places in map and heap.
func (t *tally) size() int64 { return int64(len(t.key)) + 96 }

// sorted gives the tallies in an order that depends on what they hold alone.
func (u *units) sorted() []*tally {
	return slices.SortedFunc(maps.Values(u.of), func(a, b *tally) int { return cmp.Compare(a.hash, b.hash) })
}

// tallies is a heap with the largest hash on top.
type tallies []*tally

func (t tallies) Len() int           { return len(t) }
func (t tallies) Less(i, j int) bool { return t[i].hash > t[j].hash }
func (t tallies) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *tallies) Push(x any)        { *t = append(*t, x.(*tally)) }
func (t *tallies) Pop() any {
	last := len(*t) - 1
	x := (*t)[last]
	*t = (*t)[:last]
	return x
}

func appendPlace(key []byte, call Symbol, stack uint32) []byte {
	key = binary.LittleEndian.AppendUint32(key, uint32(call))
	return binary.LittleEndian.AppendUint32(key, stack)
}

// decode takes a key apart.
func (t *tally) decode() (calls []Symbol, stacks []uint32) {
	n := len(t.key) / placeBytes
	calls, stacks = make([]Symbol, n), make([]uint32, n)
	for i := range n {
		place := []byte(t.key[i*placeBytes : (i+1)*placeBytes])
		calls[i] = Symbol(binary.LittleEndian.Uint32(place))
		stacks[i] = binary.LittleEndian.Uint32(place[4:])
	}
	return calls, stacks
}

// mix folds a value into a hash: multiplication and shift as in SplitMix64
// (Steele, Lea, Flood, OOPSLA 2014), which spreads small differences over all
// bits.
func mix(hash, value uint64) uint64 {
	z := (hash ^ value) + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
