package syscallreceiver

import (
	"maps"

	"github.com/perfscope/perfscope/internal/capture"
)

// eventLosses are the kernel's counts of events lost. The others are stacks,
// whose event still comes, or no loss: returns of calls entered before the
// tracing began.
var eventLosses = map[string]bool{
	capture.DropRingOverwrite: true,
	capture.DropTornRead:      true,
	capture.DropSlotCollision: true,
	capture.DropSampleRing:    true,
	capture.DropSnapshotRow:   true,
	capture.DropMalformed:     true,
}

var stackLosses = map[string]bool{
	capture.DropStackRing:         true,
	capture.DropStackUnreadable:   true,
	capture.DropBlockedRing:       true,
	capture.DropBlockedUnreadable: true,
	capture.DropBlockedMoved:      true,
	capture.DropBlockedBusy:       true,
}

// shareLosses charges what the kernel lost since the last flush to the
// processes, by what was received of each: the rings are shared, so whose the
// lost events were is not known, but the sum is exact.
func (g *gatherer) shareLosses(lost map[string]uint64) {
	for reason, total := range lost {
		n := total - min(g.lost[reason], total)
		switch {
		case n == 0:
		case stackLosses[reason]:
			g.stats.lostStacks[reason] += n
		default:
			g.stats.dropped[reason] += n
			if eventLosses[reason] {
				g.charge(reason, n)
			}
		}
	}
	g.lost = maps.Clone(lost)
}

// chargeGroups charges what was left out of a group to its processes: whose it
// was is known.
func (g *gatherer) chargeGroups(skipped map[uint16]uint64) {
	for group, total := range skipped {
		if n := total - min(g.skipped[group], total); n > 0 {
			g.chargeTo(capture.DropShare, n, func(t *target) bool { return t.group == group })
		}
	}
	g.skipped = maps.Clone(skipped)
}

func (g *gatherer) charge(reason string, n uint64) {
	g.chargeTo(reason, n, func(*target) bool { return true })
}

// chargeTo shares a loss among those it may have been of.
func (g *gatherer) chargeTo(reason string, n uint64, may func(*target) bool) {
	var received uint64
	var most *target
	for _, t := range g.targets {
		if !may(t) {
			continue
		}
		received += t.received
		if most == nil || t.received > most.received {
			most = t
		}
	}
	if most == nil {
		return
	}
	left := n
	for _, t := range g.targets {
		if t == most || received == 0 || !may(t) {
			continue
		}
		part := min(left, uint64(float64(n)*float64(t.received)/float64(received)))
		if part > 0 {
			t.dropped[reason] += part
			left -= part
		}
	}
	most.dropped[reason] += left
}
