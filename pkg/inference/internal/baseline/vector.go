package baseline

import (
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Views turns hops into vectors.
type Views struct {
	Stacks *frames.Table
	Index  *Index
	// Idle tells the places where threads wait for work; they have no cell.
	Idle func(hop.Place) bool
	// Refusal tells the failures that are refusals.
	Refusal func(unit.Key) bool
}

// Of returns the vector of a hop: of the threads with a past, or of all.
func (w *Views) Of(c *hop.Closed, fresh bool) *Vector {
	w.number(c, fresh)
	s := &w.Index.sums
	s.begin(w.Index.Len())
	w.onCPU(c.CPU)
	w.waits(c.Wait)
	if fresh {
		w.onCPU(c.FreshCPU)
		w.waits(c.Fresh)
	}
	// Of the service as a whole the CPU time is exact, but for threads left out.
	total := c.CPUTotal
	if !fresh {
		total -= c.FreshCPU.Sum()
	}
	if id, ok := w.Index.Of(whole); ok && total > 0 {
		s.set(id, total)
	}
	for k, t := range c.Calls {
		if w.Refusal(k) {
			if id, ok := w.Index.Of(refused(k)); ok {
				s.add(id, t.N)
			}
		}
	}
	v := s.vector()
	v.Hop = c
	return v
}

// Further is a vector whose times beyond the mean of a past are larger by a fraction of
// what is beyond.
func (v *Vector) Further(p *Past, by float64) *Vector {
	out := *v
	out.times = make([]float64, 0, len(v.times))
	for e := range v.Entries() {
		out.times = append(out.times, e.Time+by*max(0, e.Time-p.Mean(e.ID)))
	}
	return &out
}

// whole is the cell of the CPU time of the service.
var whole = Cell{Function: Whole, State: OnCPU, Inclusive: true}

func refused(k unit.Key) Cell { return Cell{Function: k.Errno, Number: k.Number, State: Refused} }

// number gives the cells that are new their numbers, in an order that does not change:
// the load depends on it.
func (w *Views) number(c *hop.Closed, fresh bool) {
	news := w.newOf(c, fresh)
	unknown := []Cell{whole}
	for _, stack := range news.running {
		unknown = append(unknown, w.cells(stack, 0, false)...)
	}
	for _, at := range news.waiting {
		unknown = append(unknown, w.cells(at.Stack, at.Number, true)...)
	}
	for k := range c.Calls {
		if w.Refusal(k) {
			unknown = append(unknown, refused(k))
		}
	}
	slices.SortFunc(unknown, Cell.compare)
	for _, cell := range unknown {
		w.Index.Of(cell)
	}
	for _, stack := range news.running {
		w.Index.setRunning(stack, w.ids(w.cells(stack, 0, false)))
	}
	for _, at := range news.waiting {
		w.Index.waits[at] = w.ids(w.cells(at.Stack, at.Number, true))
	}
}

// news are the stacks of a hop of which the cells are not known.
type news struct {
	running []uint32
	waiting []hop.Place
}

func (w *Views) newOf(c *hop.Closed, fresh bool) (n news) {
	cpus, waits := []hop.Times{c.CPU}, []map[hop.Place]hop.Wait{c.Wait}
	if fresh {
		cpus, waits = append(cpus, c.FreshCPU), append(waits, c.Fresh)
	}
	for _, cpu := range cpus {
		for stack := range cpu.All() {
			if w.Index.running(stack) == nil {
				n.running = append(n.running, stack)
			}
		}
	}
	for _, places := range waits {
		for at := range places {
			if _, known := w.Index.waits[at]; !known && !w.Idle(at) {
				n.waiting = append(n.waiting, at)
			}
		}
	}
	return n
}

// cells are those that the time of a stack is added to: its innermost function, all
// functions on it, and the service as a whole.
func (w *Views) cells(stack uint32, number int32, waiting bool) []Cell {
	c := CellOf(w.Stacks, stack, number, waiting)
	cells := []Cell{c, {Function: Whole, State: c.State, Inclusive: true}}
	for _, f := range w.Stacks.Get(stack).Frames {
		cells = append(cells, Cell{Function: f, State: c.State, Inclusive: true})
	}
	return cells
}

// ids are the numbers of cells, of those that have one.
func (w *Views) ids(cells []Cell) []int32 {
	ids := make([]int32, 0, len(cells))
	for _, cell := range cells {
		if id, ok := w.Index.Of(cell); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *Views) onCPU(cpu hop.Times) {
	for stack, t := range cpu.All() {
		for _, id := range w.Index.running(stack) {
			w.Index.sums.add(id, t)
		}
	}
}

func (w *Views) waits(waits map[hop.Place]hop.Wait) {
	for at, t := range waits {
		if w.Idle(at) {
			continue
		}
		seen := Waited{Moments: t.Moments, Exact: t.Exact, Threads: t.Threads, Longest: t.Longest}
		for _, id := range w.Index.waits[at] {
			w.Index.sums.addWait(id, t.Time, seen)
		}
	}
}

// CellOf is the cell of a stack, by its innermost function. Time spent spinning for a
// lock is waiting for who holds it.
func CellOf(stacks *frames.Table, stack uint32, number int32, waiting bool) Cell {
	s := stacks.Get(stack)
	c := Cell{Function: Whole, Lock: s.Lock}
	if len(s.Frames) > 0 {
		c.Function = s.Frames[0]
	}
	if waiting || s.Spin {
		c.State, c.Number = Waiting, number
	}
	return c
}
