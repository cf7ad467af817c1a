package baseline

import (
	"cmp"
	"iter"
	"math/bits"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// State is what a cell is the time of.
type State uint8

const (
	// OnCPU is time on a CPU.
	OnCPU State = iota
	// Waiting is time waiting in a call amid work.
	Waiting
	// Refused counts calls that are refused.
	Refused
)

// Cell is what is compared with its own past.
type Cell struct {
	// Function indexes frames.Table; of a refusal it is the errno. A negative one
	// stands for the whole service.
	Function int32
	// Number is the call that is waited in, or refused.
	Number int32
	State  State
	// Lock is set on a wait for a lock.
	Lock bool
	// Inclusive is set on a node of the call tree: the function with all that it
	// calls. Without it the function is the innermost of its stacks.
	Inclusive bool
}

func (c Cell) compare(o Cell) int {
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(c.Function, o.Function), cmp.Compare(c.Number, o.Number), cmp.Compare(c.State, o.State),
		truth(c.Lock)-truth(o.Lock), truth(c.Inclusive)-truth(o.Inclusive),
	)
}

// Whole is the function of a cell that stands for the whole service.
const Whole int32 = -1

// Index gives cells small numbers. It is not safe for concurrent use.
type Index struct {
	ids   map[Cell]int32
	cells []Cell
	// onCPU has the cells of each stack that was seen running, by its identifier, waits
	// those of each place; sums is what a vector is made in.
	onCPU [][]int32
	waits map[hop.Place][]int32
	sums  sums
}

// MaxCells bounds the cells of one service; those beyond are left out, the
// service as a whole is still compared.
const MaxCells = 32768

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{ids: map[Cell]int32{}, waits: map[hop.Place][]int32{}} }

// Of returns the number of a cell, false when there is no room for it.
func (x *Index) Of(c Cell) (int32, bool) {
	id, ok := x.ids[c]
	if !ok {
		if len(x.cells) >= MaxCells {
			return 0, false
		}
		id = int32(len(x.cells)) //nolint:gosec // bounded above
		x.ids[c] = id
		x.cells = append(x.cells, c)
	}
	return id, true
}

// running are the cells of a stack on CPU; nil when it was never seen so.
func (x *Index) running(stack uint32) []int32 {
	if int(stack) < len(x.onCPU) {
		return x.onCPU[stack]
	}
	return nil
}

func (x *Index) setRunning(stack uint32, ids []int32) {
	if more := int(stack) + 1 - len(x.onCPU); more > 0 {
		x.onCPU = append(x.onCPU, make([][]int32, more)...)
	}
	x.onCPU[stack] = ids
}

// Cell returns the cell of a number.
func (x *Index) Cell(id int32) Cell { return x.cells[id] }

// Len is the number of cells.
func (x *Index) Len() int { return len(x.cells) }

// Entry is one cell of a vector.
type Entry struct {
	ID int32
	// Time is in nanoseconds per second; of refusals, calls per second.
	Time float64
}

// Waited is how the wait of a cell was seen.
type Waited struct {
	// Moments has a bit for each part of the hop in which it was seen.
	Moments uint64
	// Exact is set when the time is that of calls, not of snapshots.
	Exact bool
	// Threads is how many threads were seen there, Longest for how long the longest
	// single wait had lasted, in nanoseconds.
	Threads int
	Longest int64
}

// Vector is a hop as cells, ordered by ID, at a load. A past has some ten thousand of them, so
// that each takes no more than its time. It is not safe for concurrent use.
type Vector struct {
	Hop *hop.Closed
	// Load is the work of the hop relative to the usual; see Past.Load.
	Load float64
	// cells are those of the hop, times what each has.
	cells cellSet
	times []float64
	// waiting are those that wait, waits how; a past does without.
	waiting cellSet
	waits   []Waited
}

// Len is the number of cells.
func (v *Vector) Len() int { return len(v.times) }

// Entries are the cells, by ID.
func (v *Vector) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		at := 0
		for n, b := range v.cells {
			for left := b.has; left != 0; left &= left - 1 {
				if !yield(Entry{int32(n<<blockBits + bits.TrailingZeros64(left)), v.times[at]}) { //nolint:gosec // bounded by MaxCells
					return
				}
				at++
			}
		}
	}
}

// Waited is how the wait of a cell was seen, the zero value of one that is no wait or of
// the past.
func (v *Vector) Waited(id int32) Waited {
	if at, ok := v.waiting.find(id); ok {
		return v.waits[at]
	}
	return Waited{}
}

// Learned is the vector as a past needs it.
func (v *Vector) Learned() *Vector {
	return &Vector{Hop: v.Hop, Load: v.Load, cells: v.cells, times: v.times}
}

// Time is that of a cell, zero when the hop has none: each cell of a past is looked for in all of
// its hops.
func (v *Vector) Time(id int32) float64 {
	if at, ok := v.cells.find(id); ok {
		return v.times[at]
	}
	return 0
}

// cellSet is a set of cells, by the blocks of their numbers.
type cellSet []block

// block is which of 64 numbers there are, and how many come before.
type block struct {
	has    uint64
	before int
}

const blockBits = 6

// find is where a cell is among those of the set.
func (s cellSet) find(id int32) (at int, ok bool) {
	n := int(id >> blockBits)
	if n < 0 || n >= len(s) {
		return 0, false
	}
	b, bit := &s[n], uint64(1)<<(id&(1<<blockBits-1))
	return b.before + bits.OnesCount64(b.has&(bit-1)), b.has&bit != 0
}
