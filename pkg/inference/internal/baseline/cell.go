package baseline

import (
	"cmp"
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

// Entry is one cell of a vector. A past has some ten thousand of them.
type Entry struct {
	ID int32
	// waited is where the vector has more of it, counted from one; zero is nowhere.
	waited int32
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

// Vector is a hop as cells, ordered by ID, at a load. It is not safe for concurrent use.
type Vector struct {
	Entries []Entry
	Hop     *hop.Closed
	// Load is the work of the hop relative to the usual; see Past.Load.
	Load float64
	// waits are those of the entries; a past does without.
	waits []Waited
	// blocks say where the entries are, once that is asked for.
	blocks []block
}

// block is where the entries of 64 numbers are: which of them there are, and how many entries come before.
type block struct {
	has    uint64
	before int
}

// Waited is how the wait of an entry was seen, the zero value of one that is no wait or of
// the past.
func (v *Vector) Waited(e Entry) Waited {
	if e.waited == 0 || v.waits == nil {
		return Waited{}
	}
	return v.waits[e.waited-1]
}

// Learned is the vector as a past needs it.
func (v *Vector) Learned() *Vector {
	return &Vector{Entries: v.Entries, Hop: v.Hop, Load: v.Load, blocks: v.blocks}
}

// Time is that of a cell, zero when the hop has none.
func (v *Vector) Time(id int32) float64 {
	at, ok := v.search(id)
	if !ok {
		return 0
	}
	return v.Entries[at].Time
}

// search is where a cell is among the entries: each cell of a past is looked for in all of its
// hops.
func (v *Vector) search(id int32) (at int, ok bool) {
	if v.blocks == nil {
		v.index()
	}
	n := int(id >> blockBits)
	if n < 0 || n >= len(v.blocks) {
		return 0, false
	}
	b, bit := &v.blocks[n], uint64(1)<<(id&(1<<blockBits-1))
	return b.before + bits.OnesCount64(b.has&(bit-1)), b.has&bit != 0
}

const blockBits = 6

// index notes where the entries are.
func (v *Vector) index() {
	v.blocks = []block{}
	if n := len(v.Entries); n > 0 {
		v.blocks = make([]block, v.Entries[n-1].ID>>blockBits+1)
	}
	for _, e := range v.Entries {
		v.blocks[e.ID>>blockBits].has |= 1 << (e.ID & (1<<blockBits - 1))
	}
	before := 0
	for i := range v.blocks {
		v.blocks[i].before = before
		before += bits.OnesCount64(v.blocks[i].has)
	}
}
