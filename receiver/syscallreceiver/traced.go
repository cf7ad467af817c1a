package syscallreceiver

import (
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// traced is when every call was recorded: the edges since the last flush.
type traced struct {
	// was and is say whether it was on at the last flush, and is now.
	was, is bool
	edges   []int64
}

// maxEdges bounds the edges of one flush; bursts are seconds apart, flushes a
// minute at the most.
const maxEdges = 1024

func (t *traced) edge(on bool, at int64) {
	if on == t.is || len(t.edges) >= maxEdges {
		return
	}
	t.is = on
	t.edges = append(t.edges, at)
}

// cover cuts the time from start to end, in nanoseconds since the epoch, at the
// edges: each piece was traced as a whole or not at all. There is at least one;
// what was used meanwhile is spread evenly.
func (t *traced) cover(start, end int64, used usage) []*threadtrace.Coverage {
	var pieces []*threadtrace.Coverage
	piece := func(from, to int64, on bool) {
		c := &threadtrace.Coverage{Start: from, End: to, CPUTime: used.cpu, RunDelay: used.delay}
		if end > start {
			part := float64(to-from) / float64(end-start)
			c.CPUTime = time.Duration(float64(used.cpu) * part)
			c.RunDelay = time.Duration(float64(used.delay) * part)
		}
		if on {
			c.Traced = time.Duration(to - from)
		}
		pieces = append(pieces, c)
	}
	on, from := t.was, start
	for _, at := range t.edges {
		if at >= end {
			break // the clocks differ a little: it is the next flush's
		}
		if at > from {
			piece(from, at, on)
			from = at
		}
		on = !on
	}
	if end > from || len(pieces) == 0 {
		piece(from, end, on)
	}
	return pieces
}

// forget begins the next flush.
func (t *traced) forget() {
	t.was, t.edges = t.is, t.edges[:0]
}
