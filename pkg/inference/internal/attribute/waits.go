package attribute

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// explainWaits takes from waits for other threads what those others' own excess
// explains. A thread that waits at a condition for a result (the followers of a
// group commit, a listener without an idle worker) is held up by what the one it
// waits for does: so many threads wait so many times as long as that one is busy,
// waits for something outside, or could run and has no CPU. So is one that queues for a lock, unless the
// function that takes it is the one that is busy, or nobody is: a lock that is only
// taken too often has no other reason.
//
// What a wait is known to be for (see toMakers) nothing else explains.
func (c *Case) explainWaits(waiting, onCPU []Time) {
	known := c.toMakers(waiting)
	all, by := c.reasons(append(slices.Clone(onCPU), waiting...))
	// Who waits for a thread that has no CPU waits for that.
	all += max(0, c.Hop.RunDelay-c.Past.RunDelay)
	now, threads := map[baseline.Cell]float64{}, map[baseline.Cell]float64{}
	waits := c.waits()
	for _, t := range waiting {
		if cell := c.cell(t.Stack, t.Call, baseline.Waiting); !t.Idle {
			now[cell] += t.Now
			threads[cell] += float64(waits[placeOf(t)].Threads)
		}
	}
	sums := c.byCell(waiting)
	for i, t := range waiting {
		cell := c.cell(t.Stack, t.Call, baseline.Waiting)
		if t.Excess <= 0 || !c.forOthers(t) {
			continue
		}
		others := all
		if cell.Lock {
			others -= by[cell.Function] // who takes a lock holds it as well, in all that it calls
		}
		n := min(threads[cell], float64(max(1, c.Hop.Threads)))
		why := known[cell.Function]
		left := max(why.share, 1-min(1, ratio(others*n, now[cell])))
		queue := min(1, second/sums[cell]) // however many queue, it is one queue
		waiting[i].Excess = math.Round(t.Excess * queue * left)
		// What others explain makes no caller grow.
		waiting[i].Now -= math.Round(t.Beyond * (1 - left))
		waiting[i].Beyond = math.Round(t.Beyond * left)
		if why.share > half {
			waiting[i].Call = why.call
		}
	}
}

// reason is the share of the waits for others that is known to be for what waits in a call.
type reason struct {
	share float64
	call  int32
}

// toMakers takes away what a closure that has a thread or goroutine of its own waits for, as
// far as the function that it was written in waits for others meanwhile: who started it
// waits for it, and has the callers on the stack that say why. It returns what is known so of
// the waits for others, by who waits.
func (c *Case) toMakers(waiting []Time) map[int32]reason {
	makers := map[int32]float64{} // the excess of waits for others, by who waits
	for _, t := range waiting {
		if f, ok := c.Stacks.Leaf(t.Stack); ok && c.forOthers(t) {
			makers[f] += waitsAmidWork(t)
		}
	}
	by, most, known := map[int32]float64{}, map[int32]float64{}, map[int32]reason{}
	c.closures(waiting, makers, func(t *Time, maker int32) {
		by[maker] += t.Excess
		known[maker] = reason{min(1, by[maker]/makers[maker]), known[maker].call}
		if t.Excess > most[maker] {
			most[maker] = t.Excess
			known[maker] = reason{known[maker].share, t.Call}
		}
	})
	c.closures(waiting, makers, func(t *Time, maker int32) {
		left := 1 - min(1, makers[maker]/by[maker])
		t.Now -= math.Round(t.Beyond * (1 - left))
		t.Excess, t.Beyond = math.Round(t.Excess*left), math.Round(t.Beyond*left)
	})
	for i := range waiting {
		t := &waiting[i]
		if f, ok := c.Stacks.Leaf(t.Stack); ok && t.Idle && by[f] > 0 && c.forOthers(*t) {
			t.Excess = math.Round(waitsAmidWork(*t) * known[f].share)
			t.Beyond, t.Idle = t.Excess, t.Excess == 0
		}
	}
	return known
}

// waitsAmidWork is the excess of a wait for others, or all of one that is taken for idling only
// because nothing is known of the thread's past: who waits for a closure at work is at work.
func waitsAmidWork(t Time) float64 {
	if t.Idle && t.Past == 0 {
		return t.Now
	}
	return t.Excess
}

// closures calls do for what closures wait for that is no wait for others, where the
// function that they were written in is one of the makers.
func (c *Case) closures(waiting []Time, makers map[int32]float64, do func(t *Time, maker int32)) {
	for i := range waiting {
		t := &waiting[i]
		outermost, ok := c.Stacks.Role(t.Stack)
		if !ok || t.Excess <= 0 || c.forOthers(*t) {
			continue
		}
		fn := c.Stacks.Function(outermost)
		if maker, ok := c.Stacks.Lookup(fn.Maker(), fn.Module); ok && makers[maker] > 0 {
			do(t, maker)
		}
	}
}

// reasons is the excess that is no wait for other threads, and what of it is below
// each function.
func (c *Case) reasons(times []Time) (all float64, by map[int32]float64) {
	by = map[int32]float64{}
	for _, t := range times {
		if t.Excess <= 0 || c.forOthers(t) {
			continue
		}
		all += t.Excess
		for _, f := range c.Stacks.Get(t.Stack).Frames {
			by[f] += t.Excess
		}
	}
	return all, by
}

// forOthers reports whether a wait is for what other threads do. A sleep is none,
// though it may end in the same call.
func (c *Case) forOthers(t Time) bool {
	if t.Kind != EvidenceBlocked {
		return false
	}
	s := c.Stacks.Get(t.Stack)
	return s.Lock || c.Classes.Is(t.Call, threadtrace.ClassFutex) && !s.Sleep
}
