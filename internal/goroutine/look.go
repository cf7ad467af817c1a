package goroutine

import (
	"encoding/binary"
	"math/rand/v2"
)

const (
	// MaxSlots bounds the goroutines that one look reads, MaxStacks those of them
	// that wait whose stacks it reads.
	MaxSlots  = 1024
	MaxStacks = 64
	// maxStack bounds the bytes of one stack, maxStacks those of a look.
	maxStack  = 16 << 10
	maxStacks = 512 << 10
)

// Look is a random sample of the goroutines of a process at an instant.
type Look struct {
	// Slots is how many goroutines the runtime has room for, Read how many of
	// those were looked at.
	Slots, Read int
	// Waiting is how many of those wait, by creator.
	Waiting map[uint64]int
	// Stacks are some of those that wait, with their stacks: of each creator a
	// random sample.
	Stacks []Goroutine
	// Torn counts the goroutines that moved on while they were read, Bad those
	// that contradict themselves.
	Torn, Bad int
}

// Scale is for how many goroutines of the process one of Waiting stands.
func (l *Look) Scale() float64 {
	if l.Read == 0 {
		return 0
	}
	return float64(l.Slots) / float64(l.Read)
}

// slot is what was found at one place of the table.
type slot struct {
	Goroutine
	bad bool
}

// Look takes a sample. It costs at most five system calls, 1 MiB of memory, and
// the same whether there are a thousand goroutines or a million.
func (t *Table) Look(mem Memory, random *rand.Rand) (*Look, error) {
	array, n, err := t.bounds(mem)
	if err != nil {
		return nil, err
	}
	slots := sequence(min(n, MaxSlots))
	if n > MaxSlots {
		slots = choose(n, MaxSlots, random)
	}
	all, err := t.read(mem, array, slots)
	if err != nil {
		return nil, err
	}
	l := &Look{Slots: n, Read: len(all), Waiting: map[uint64]int{}}
	var parked []Goroutine
	for i := range all {
		switch {
		case all[i].bad:
			l.Bad++
		case all[i].status == statusWaiting:
			l.Waiting[all[i].Creator]++
			parked = append(parked, all[i].Goroutine)
		}
	}
	random.Shuffle(len(parked), func(i, j int) { parked[i], parked[j] = parked[j], parked[i] })
	parked = stratify(parked)
	l.Stacks, err = t.stacks(mem, parked)
	l.Torn = len(parked) - len(l.Stacks)
	return l, err
}

// stratify takes MaxStacks of some goroutines in a random order, a few of each
// creator before more of those that have many: a worker among a thousand idle
// connections is seen at every look.
func stratify(parked []Goroutine) []Goroutine {
	const few = 4
	if len(parked) <= MaxStacks {
		return parked
	}
	out, rest := make([]Goroutine, 0, MaxStacks), make([]Goroutine, 0, len(parked))
	taken := map[uint64]int{}
	for _, g := range parked {
		if taken[g.Creator] < few && len(out) < MaxStacks {
			taken[g.Creator]++
			out = append(out, g)
		} else {
			rest = append(rest, g)
		}
	}
	return append(out, rest[:MaxStacks-len(out)]...)
}

// bounds are the address of the array of pointers, and its length.
func (t *Table) bounds(mem Memory) (array uint64, n int, err error) {
	// The length is read first: the array only grows, and a new one holds all.
	read, err := mem.Read([]Range{{t.length, 8}, {t.first, 8}})
	if err != nil {
		return 0, 0, err
	}
	if len(read) != 2 || len(read[0]) != 8 || len(read[1]) != 8 {
		return 0, 0, ErrNotFound
	}
	length := binary.LittleEndian.Uint64(read[0])
	array = binary.LittleEndian.Uint64(read[1])
	if length == 0 || length > maxGoroutines || array == 0 || array%8 != 0 {
		return 0, 0, ErrNotFound
	}
	return array, int(length), nil //nolint:gosec // bounded
}

// read reads the goroutines at some places of the array.
func (t *Table) read(mem Memory, array uint64, slots []int) ([]slot, error) {
	ranges := make([]Range, len(slots))
	for i, s := range slots {
		ranges[i] = Range{array + uint64(s)*8, 8} //nolint:gosec // not negative
	}
	pointers, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	ranges = ranges[:0]
	for _, p := range pointers {
		if len(p) == 8 {
			ranges = append(ranges, Range{binary.LittleEndian.Uint64(p), t.layout.size})
		}
	}
	read, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	out := make([]slot, len(ranges))
	for i, r := range ranges {
		g, ok := t.layout.parse(read[i], r.Addr)
		out[i] = slot{g, !ok}
	}
	return out, nil
}

// stacks reads the stacks of goroutines, and leaves out those that have moved on
// meanwhile: their stacks are of two instants.
func (t *Table) stacks(mem Memory, parked []Goroutine) ([]Goroutine, error) {
	ranges := make([]Range, 0, len(parked))
	total := 0
	for i := range parked {
		size := int(min(parked[i].high-parked[i].SP, maxStack)) //nolint:gosec // bounded
		if total += size; total > maxStacks {
			break
		}
		ranges = append(ranges, Range{parked[i].SP, size})
	}
	parked = parked[:len(ranges)]
	copies, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	ranges = ranges[:0]
	for i := range parked {
		ranges = append(ranges, Range{parked[i].at, t.layout.size})
	}
	again, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	out := parked[:0]
	for i := range parked {
		g := parked[i]
		now, ok := t.layout.parse(again[i], g.at)
		if ok && copies[i] != nil && now.status == statusWaiting && now.ID == g.ID && now.SP == g.SP && now.PC == g.PC {
			g.Stack = copies[i]
			out = append(out, g)
		}
	}
	return out, nil
}

func sequence(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// choose gives k different numbers below n, in no order (Floyd's algorithm).
func choose(n, k int, random *rand.Rand) []int {
	seen := make(map[int]bool, k)
	out := make([]int, 0, k)
	for j := n - k; j < n; j++ {
		v := random.IntN(j + 1)
		if seen[v] {
			v = j
		}
		seen[v] = true
		out = append(out, v)
	}
	return out
}
