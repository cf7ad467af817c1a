package inference

import (
	"slices"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// maxEdges bounds the edges remembered: a flush holds few bursts, and a thread
// needs only the last edge before its next event.
const maxEdges = 64

// bursts knows when the tracing of calls began and ended, by the coverage
// records: the receiver cuts them at those instants, so that each is traced as a
// whole or not at all.
type bursts struct {
	// edges are in nanoseconds since the epoch, in their order.
	edges []int64
	// begins has of each edge whether the tracing began there.
	begins []bool
	// tracedTo and untracedTo are the ends of the newest records of each kind.
	tracedTo, untracedTo int64
}

// cover takes a record. One that begins where one of the other kind ended is an
// edge; the processes of a service repeat them.
func (b *bursts) cover(c *threadtrace.Coverage) {
	before, to := b.tracedTo, &b.untracedTo
	if c.Traced > 0 {
		before, to = b.untracedTo, &b.tracedTo
	}
	if c.Start == before {
		if i, found := slices.BinarySearch(b.edges, c.Start); !found {
			b.edges = slices.Insert(b.edges, i, c.Start)
			b.begins = slices.Insert(b.begins, i, c.Traced > 0)
		}
		if len(b.edges) > maxEdges {
			b.edges = slices.Delete(b.edges, 0, len(b.edges)-maxEdges)
			b.begins = slices.Delete(b.begins, 0, len(b.begins)-maxEdges)
		}
	}
	*to = max(*to, c.End)
}

// recorded is since when all calls were recorded until an instant, zero when they were
// not.
func (b *bursts) recorded(at int64) int64 {
	i, found := slices.BinarySearch(b.edges, at)
	switch {
	case found && b.begins[i]:
		return at
	case i > 0 && b.begins[i-1]:
		return b.edges[i-1]
	case len(b.edges) == 0 && b.tracedTo > 0:
		return 1
	}
	return 0
}

// breakBefore has a thread's unit broken at the last edge before an instant,
// once.
func (b *bursts) breakBefore(th *thread, at int64, emit func(*unit.Unit)) {
	if len(b.edges) == 0 {
		return
	}
	i, _ := slices.BinarySearch(b.edges, at)
	if i > 0 && b.edges[i-1] > th.brokenAt {
		th.brokenAt = b.edges[i-1]
		th.place = signature.Thread{} // what came between is not known
		th.segmenter.Break(th.brokenAt, emit)
	}
}
