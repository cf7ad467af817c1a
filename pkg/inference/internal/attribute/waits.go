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
func (c *Case) explainWaits(waiting, onCPU []Time) {
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
		left := 1 - min(1, ratio(others*n, now[cell]))
		queue := min(1, second/sums[cell]) // however many queue, it is one queue
		waiting[i].Excess = math.Round(t.Excess * queue * left)
		// What others explain makes no caller grow.
		waiting[i].Now -= math.Round(t.Beyond * (1 - left))
		waiting[i].Beyond = math.Round(t.Beyond * left)
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
