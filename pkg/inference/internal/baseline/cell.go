package baseline

import (
	"cmp"

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
	// stacks has the cells of each stack that was seen, sums what a vector is made in.
	stacks map[stackKey][]int32
	sums   sums
}

// stackKey is a stack on CPU, or waiting in a call.
type stackKey struct {
	stack   uint32
	number  int32
	waiting bool
}

// MaxCells bounds the cells of one service; those beyond are left out, the
// service as a whole is still compared.
const MaxCells = 32768

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{ids: map[Cell]int32{}, stacks: map[stackKey][]int32{}} }

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

// Cell returns the cell of a number.
func (x *Index) Cell(id int32) Cell { return x.cells[id] }

// Len is the number of cells.
func (x *Index) Len() int { return len(x.cells) }

// Entry is one cell of a vector.
type Entry struct {
	ID int32
	// Time is in nanoseconds per second; of refusals, calls per second.
	Time float64
	// Moments has a bit for each part of the hop in which it was seen; of waits.
	Moments uint64
	// Exact is set when Time is that of calls, not of snapshots.
	Exact bool
	// Threads is how many threads were seen there, Longest for how long the longest
	// single wait had lasted, in nanoseconds; of waits.
	Threads int
	Longest int64
}

// Vector is a hop as cells, ordered by ID, at a load.
type Vector struct {
	Entries []Entry
	Hop     *hop.Closed
	// Load is the work of the hop relative to the usual; see Past.Load.
	Load float64
}

// Time is that of a cell, zero when the hop has none.
func (v *Vector) Time(id int32) float64 {
	e, _ := v.find(id)
	return e.Time
}

// Entry returns that of a cell, false when the hop has none.
func (v *Vector) Entry(id int32) (Entry, bool) { return v.find(id) }

func (v *Vector) find(id int32) (Entry, bool) {
	n := len(v.Entries)
	if n == 0 {
		return Entry{}, false
	}
	// Numbers do not repeat: as many entries are before one as numbers at most, and
	// after it.
	lo, hi := max(0, n-1-int(v.Entries[n-1].ID-id)), min(n, int(id-v.Entries[0].ID)+1)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if v.Entries[mid].ID < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < n && v.Entries[lo].ID == id {
		return v.Entries[lo], true
	}
	return Entry{}, false
}
