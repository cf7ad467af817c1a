package attribute

import (
	"iter"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Stopped names the functions whose work is not done any more, at most limit, where
// nothing is done in its place: no thread of an event loop waits where a request stands.
// It stands where something was asked of others, so calls that send tell it as much as
// time on CPU does. What is missing of the past is credited to the function that calls out
// of the outermost package, where the program's own code waits for others', three quarters
// as much for each caller in its package, and for each package further in. What the
// threads that rest now have on their stacks has not stopped.
func (c *Case) Stopped(limit int) []Suspect {
	computed := maps.Clone(c.Past.CPU)
	for stack, now := range c.Hop.CPU.All() {
		computed[stack] -= now
	}
	sent, resting := c.unsent(), c.resting()
	tier := frames.Platform
	if c.anyApplication(computed) || c.anyApplication(sent) {
		tier = frames.Application
	}
	sum := newSum()
	c.addMissing(sum, EvidenceOnCPU, computed, tier, resting)
	c.addMissing(sum, EvidenceSyscall, sent, tier, resting)
	ranked := sum.rank(c.Stacks)
	return ranked[:min(len(ranked), limit)]
}

// addMissing credits what is missing of one kind by stack, of which all is one.
func (c *Case) addMissing(sum *sum, kind Evidence, missing map[uint32]float64, tier frames.Tier, resting map[int32]bool) {
	all := 0.0
	for id, less := range missing {
		if less > 0 && c.Stacks.Get(id).Tier == tier {
			all += less
		}
	}
	if all == 0 {
		return
	}
	sum.total++
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		stack := c.Stacks.Get(id)
		if missing[id] <= 0 || stack.Tier != tier {
			continue
		}
		working := slices.DeleteFunc(slices.Clone(stack.Frames), func(f int32) bool { return resting[f] })
		for f, part := range c.asks(working) {
			sum.add(f, kind, part*missing[id]/all)
		}
	}
}

// asks shares out one among functions, innermost first.
func (c *Case) asks(functions []int32) iter.Seq2[int32, float64] {
	return func(yield func(int32, float64) bool) {
		outermost := 1.0
		for end := len(functions); end > 0; {
			start := end - 1
			for start > 0 && c.samePackage(functions[start-1], functions[start]) {
				start--
			}
			part := outermost
			for _, f := range functions[start:end] {
				if !yield(f, part) {
					return
				}
				part *= Decay
			}
			outermost, end = outermost*Decay, start
		}
	}
}

func (c *Case) samePackage(f, g int32) bool {
	return c.Stacks.Function(f).Package() == c.Stacks.Function(g).Package()
}

// resting are the functions on the stacks of threads that wait.
func (c *Case) resting() map[int32]bool {
	resting := map[int32]bool{}
	for at, w := range c.Hop.Wait {
		if w.Time > 0 {
			for _, f := range c.Stacks.Get(at.Stack).Frames {
				resting[f] = true
			}
		}
	}
	return resting
}

// unsent is how many calls that send, or connect, are missing by stack.
func (c *Case) unsent() map[uint32]float64 {
	missing := map[uint32]float64{}
	for _, sites := range []struct {
		of   iter.Seq2[hop.Site, float64]
		sign float64
	}{{maps.All(c.Past.Sites), 1}, {c.Hop.Sites.All(), -1}} {
		for site, n := range sites.of {
			if c.Classes.Is(site.Key.Number, threadtrace.ClassOutput|threadtrace.ClassConnect) {
				missing[site.Stack] += sites.sign * n
			}
		}
	}
	return missing
}

// anyApplication reports whether any of it is missing on a stack with functions of the
// application.
func (c *Case) anyApplication(missing map[uint32]float64) bool {
	for id, less := range missing {
		if s := c.Stacks.Get(id); less > 0 && s.Tier == frames.Application && len(s.Frames) > 0 {
			return true
		}
	}
	return false
}
