package inference

import (
	"slices"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// thread is what is known of one thread.
type thread struct {
	segmenter *unit.Segmenter
	// place is where it is in the signatures, if there are any.
	place    signature.Thread
	order    hop.Order
	lastSeen int64
	// hops is in how many hops it was seen.
	hops int
	// known is set once the thread was seen in code that the service's past has, or
	// in enough hops, or at once when threads of its role are always new: until then
	// it may be a new part of the service (a pool that is started, a backup, one that
	// was stopped) that has no past.
	known bool
	// placed is set once its role is known.
	placed bool
	// brokenAt is the edge of a burst at which its unit was last broken.
	brokenAt int64
}

// threads are those of a service by their identifiers.
type threads map[int32]*thread

func (t threads) of(id int32, at int64, classes *threadtrace.Classes) *thread {
	th := t[id]
	if th == nil && len(t) < maxThreads {
		th = &thread{segmenter: unit.NewSegmenter(classes, id), lastSeen: at}
		t[id] = th
	}
	return th
}

// fresh reports whether a thread has no past while the service has one.
func (a *Analyzer) fresh(th *thread) bool {
	return th != nil && !th.known && a.habit.learned >= minPast
}

// recognise marks a thread as known once it runs or waits in familiar code, or when
// threads of its role were born in at least half of the past hops: a server that
// makes one per connection.
func (a *Analyzer) recognise(h *hop.Open, th *thread, stack uint32) {
	if th == nil || stack == 0 || th.placed && th.known {
		return
	}
	if role, ok := a.stacks.Role(stack); ok && !th.placed {
		if a.stacks.Function(role).Unknown() {
			// Where it was started its stack does not tell: as others are, if some always are.
			th.known = th.known || a.habit.bears()
		} else {
			th.placed = true
			h.Born[role] = true
			th.known = th.known || a.habit.bearsIn(role) || a.inherits(role)
		}
	}
	th.known = th.known || a.habit.familiar.has(a.stacks.Plain(stack))
}

// setParkedApart counts the wait of one thread alone among those of threads without
// a past, if it could be waiting for something to do and does none of the service's
// work. A connection's thread that a cache keeps for the next one has worked at
// places that are known, and now waits where none has waited before; a background
// thread that mostly idles (a checkpoint that spreads its writes) does so at another
// place for a while. One that was started since the service is known goes on to rest where it
// rested at first. Where a call hangs there is soon a second thread, or a lock, or
// less is done.
func (a *Analyzer) setParkedApart(c *hop.Closed) {
	if a.habit.learned < minPast {
		return
	}
	for i := range c.Cells {
		cell := &c.Cells[i]
		if !cell.Waiting || cell.Fresh {
			continue
		}
		at := hop.Place{Stack: cell.Stack, Number: cell.Number}
		w, ok := c.Wait[at]
		if !ok || w.Threads != 1 || !a.habit.may.At(at) {
			continue
		}
		th := a.threads[cell.Thread]
		late := th != nil && (th.hops <= minPast || th.hops < a.habit.learned && a.habit.restsApart(at))
		if !late && (w.Longest >= hop.StuckAfter || a.habit.workOf(cell.Thread) >= criteria.Little || !a.habit.mostlyIdles(cell.Thread)) {
			continue
		}
		c.Fresh[at] = c.Fresh[at].And(w)
		delete(c.Wait, at)
	}
}

// habit is what the service did so far.
type habit struct {
	may   baseline.MayIdle
	index *baseline.Index
	limit int
	// hops are those of the window, learned how many there were in all.
	hops    []*hop.Closed
	learned int
	// familiar has the stacks of the past hops.
	familiar stackSet
	vectors  learnedVectors
	computed map[*hop.Closed]computed
}

// stackSet is a set of stacks, by their identifiers.
type stackSet []bool

func (s stackSet) has(stack uint32) bool { return int(stack) < len(s) && s[stack] }

func (s *stackSet) add(stack uint32) {
	if more := int(stack) + 1 - len(*s); more > 0 {
		*s = append(*s, make([]bool, more)...)
	}
	(*s)[stack] = true
}

func newHabit(may baseline.MayIdle, index *baseline.Index, limit int) habit {
	return habit{may: may, index: index, limit: limit}
}

// bearsIn reports whether threads of a role are always new.
func (b *habit) bearsIn(role int32) bool {
	births := 0
	for _, c := range b.hops {
		if c.Born[role] {
			births++
		}
	}
	return births >= minPast/2 && 2*births >= len(b.hops)
}

// bears reports whether threads of any role are.
func (b *habit) bears() bool {
	if len(b.hops) == 0 {
		return false
	}
	for role := range b.hops[len(b.hops)-1].Born {
		if b.bearsIn(role) {
			return true
		}
	}
	return false
}

// workOf is the share of the service's CPU time that a thread had in the past.
func (b *habit) workOf(thread int32) float64 {
	own, all := 0.0, 0.0
	for _, c := range b.hops {
		own += c.ThreadCPU[thread]
		all += c.CPU.Sum()
	}
	if all == 0 {
		return 0
	}
	return own / all
}

// restsApart reports whether threads without a past wait at a place in the past.
func (b *habit) restsApart(at hop.Place) bool {
	return slices.ContainsFunc(b.hops, func(c *hop.Closed) bool {
		_, ok := c.Fresh[at]
		return ok
	})
}

// mostlyIdles reports whether a thread idled in at least half of the past hops.
func (b *habit) mostlyIdles(thread int32) bool {
	n := 0
	for _, c := range b.hops {
		if _, ok := c.Homes[thread]; ok {
			n++
		}
	}
	return 2*n >= len(b.hops)
}

// remember adds a hop to the past.
func (b *habit) remember(c *hop.Closed) {
	c.DropThreads()
	b.hops = append(b.hops, c)
	b.learned++
	if len(b.hops) > b.limit {
		b.hops = append(b.hops[:0:0], b.hops[len(b.hops)-b.limit:]...)
	}
	// The newest hop is not yet compared with anything, so what it has first is not
	// familiar before the next.
	if n := len(b.hops); n > 1 {
		b.familiarise(b.hops[n-2])
	}
}

func (b *habit) familiarise(c *hop.Closed) {
	for stack := range c.CPU.All() {
		b.familiar.add(stack)
	}
	for at := range c.Wait {
		b.familiar.add(b.may.Stacks.Plain(at.Stack))
	}
	for at := range c.Fresh {
		if b.may.At(at) {
			b.familiar.add(b.may.Stacks.Plain(at.Stack))
		}
	}
}
