package inference

import (
	"maps"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// goroutinesSeen reports whether somebody looked at the goroutines of a service in a hop:
// some wait at any time.
func goroutinesSeen(c *hop.Closed) bool {
	for _, waits := range []map[hop.Place]hop.Wait{c.Wait, c.Fresh} {
		for at := range waits {
			if threadtrace.IsGoroutineWait(at.Number) {
				return true
			}
		}
	}
	return false
}

// asSeenBefore is a hop without the waits of goroutines where the past has hardly any hop
// with some: a receiver that is short of its budget looks at them now and then only, and
// what was not looked at is not known to be less.
func (n *normal) asSeenBefore(c *hop.Closed) *hop.Closed {
	if !goroutinesSeen(c) || n.hopsWithGoroutines() >= minPast {
		return c
	}
	seen := *c
	seen.Wait, seen.Fresh = maps.Clone(c.Wait), maps.Clone(c.Fresh)
	for _, waits := range []map[hop.Place]hop.Wait{seen.Wait, seen.Fresh} {
		maps.DeleteFunc(waits, func(at hop.Place, _ hop.Wait) bool { return threadtrace.IsGoroutineWait(at.Number) })
	}
	return &seen
}

// hopsWithGoroutines is in how many hops of the past goroutines were looked at.
func (n *normal) hopsWithGoroutines() (count int) {
	for _, v := range n.past.Hops() {
		if goroutinesSeen(v.Hop) {
			count++
		}
	}
	return count
}
