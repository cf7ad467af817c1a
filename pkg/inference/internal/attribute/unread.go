package attribute

import (
	"math"

	"github.com/perfscope/perfscope/internal/frames"
)

// toRead gives waits on stacks that have an interpreter's loop, but not what it runs, to what
// is known to be run: a wait of a fraction of a millisecond is over before the interpreter's
// frames are read. It is that of the stacks which were met in the same call, as far as they
// wait more than ever, or else of those that compute more than ever.
func (c *Case) toRead(waiting, onCPU []Time) []Time {
	for i := range waiting {
		t := &waiting[i]
		if t.Excess <= 0 || t.Idle || !c.unread(t.Stack) {
			continue
		}
		read, all := c.readWaits(waiting, t.Call)
		if all == 0 {
			read, all = c.readGrowth(onCPU)
		}
		if all == 0 {
			continue
		}
		unread := *t
		t.Now, t.Excess, t.Beyond = t.Now-t.Beyond, 0, 0
		for _, r := range read {
			share := func(x float64) float64 { return math.Round(x * r.Excess / all) }
			waiting = append(waiting, Time{
				Stack: r.Stack, Kind: unread.Kind, Call: unread.Call, Stuck: unread.Stuck,
				Now: share(unread.Beyond), Excess: share(unread.Excess), Beyond: share(unread.Beyond),
			})
		}
	}
	return waiting
}

// unread reports whether a stack says that an interpreter runs something, and not what.
func (c *Case) unread(id uint32) bool {
	s := c.Stacks.Get(id)
	return s.Tier == frames.Platform && c.Stacks.Unread(s)
}

// readWaits are the waits in a call on stacks of the application, the excess of each, and its
// sum.
func (c *Case) readWaits(waiting []Time, call int32) (read []Time, all float64) {
	for _, t := range waiting {
		if t.Call == call && t.Excess > 0 && !t.Idle && c.Stacks.Get(t.Stack).Tier == frames.Application {
			read = append(read, t)
			all += t.Excess
		}
	}
	return read, all
}

// readGrowth is what is computed on stacks of the application more than ever.
func (c *Case) readGrowth(onCPU []Time) (read []Time, all float64) {
	for _, t := range onCPU {
		if t.Excess > 0 && c.Stacks.Get(t.Stack).Tier == frames.Application {
			read = append(read, t)
			all += t.Excess
		}
	}
	return read, all
}
