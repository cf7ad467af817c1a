package chain

import (
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
)

// Held is what goroutines wait for at locks: they hold no thread, and nobody is woken in
// the kernel when they get one. But a function that has taken a lock is beyond taking it:
// what is done below it meanwhile, by whichever thread, is done with the lock held, so
// that each function's waits are for that, in proportion. Where nothing is seen below a
// function it is not known who holds its lock. waiting is how long is waited at locks,
// doing how long everything else was seen, and how often: that is what is known.
func Held(stacks *frames.Table, waiting map[Place]float64, doing map[Node]Sum) Flows {
	below := map[int32][]Node{}
	for at := range waiting {
		if takes, ok := stacks.Leaf(at.Stack); ok {
			below[takes] = nil
		}
	}
	if len(below) == 0 {
		return nil
	}
	for _, n := range slices.SortedFunc(maps.Keys(doing), compareNodes) {
		for _, f := range stacks.Get(n.Stack).Frames {
			if list, takes := below[f]; takes {
				below[f] = append(list, n)
			}
		}
	}
	flows := Flows{}
	for _, at := range slices.SortedFunc(maps.Keys(waiting), comparePlaces) {
		takes, ok := stacks.Leaf(at.Stack)
		if !ok {
			continue
		}
		all := 0.0
		for _, n := range below[takes] {
			all += doing[n].Time
		}
		if all == 0 {
			continue
		}
		for _, n := range below[takes] {
			flows.add(Node{Kind: Waits, Stack: at.Stack, Number: at.Number}, n, waiting[at]*doing[n].Time/all, doing[n].Waits)
		}
	}
	return flows
}
