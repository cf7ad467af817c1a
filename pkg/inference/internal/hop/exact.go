package hop

import (
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// LongCall is the mean duration, in nanoseconds, from which a call is taken to
	// wait: work in the kernel takes less than a tenth of it.
	LongCall = 100e3
	// StuckAfter is how long a single wait amid work must have lasted, in
	// nanoseconds, to be called stuck: what people call a hang, and from when the
	// receiver reports a call as in flight.
	StuckAfter = int64(1e9)
	// scatter is by how much the variance of the time in calls is more than if all
	// took as long: they scatter by as much as they are long.
	scatter = 2
)

// sampledBetter reports whether the snapshots know better than the bursts how
// long calls of some mean duration (nanoseconds) took: what one of them adds to
// the figure is the grain of either.
func (c *Closed) sampledBetter(mean float64) bool {
	return c.CallSeconds < c.Seconds && c.SnapshotPeriod > 0 && scatter*mean/c.CallSeconds > c.SnapshotPeriod
}

// WaitExactly replaces the sampled waiting in calls that are never idle with
// the time that those calls really took, spread over the places where the
// snapshots, or else the stacks of the calls, saw them. What is still in
// flight has no duration yet and stays as sampled.
func (c *Closed) WaitExactly(classes *threadtrace.Classes) {
	if !c.Traced() || c.Holey {
		return
	}
	took := map[int32]Totals{}
	for _, k := range Keys(c.Calls) {
		if t := c.Calls[k]; !classes.Is(k.Number, threadtrace.ClassIdle|threadtrace.ClassReadLike|threadtrace.ClassYield) {
			sum := took[k.Number]
			took[k.Number] = Totals{N: sum.N + t.N, Time: sum.Time + t.Time}
		}
	}
	sampled, stuck := map[int32]float64{}, map[int32]bool{}
	for _, waits := range []map[Place]Wait{c.Wait, c.Fresh} {
		for at, w := range waits {
			sampled[at.Number] += w.Time
			stuck[at.Number] = stuck[at.Number] || w.Longest >= StuckAfter
		}
	}
	for number, t := range took {
		switch {
		case stuck[number], t.N == 0, t.Time/t.N < LongCall, c.sampledBetter(t.Time / t.N):
		case sampled[number] > 0:
			c.scaleWaits(number, t.Time/sampled[number])
		default:
			c.spreadOverSites(number, t.Time)
		}
	}
}

// scaleWaits gives the places of a call the time that it took.
func (c *Closed) scaleWaits(number int32, by float64) {
	for _, waits := range []map[Place]Wait{c.Wait, c.Fresh} {
		for at, w := range waits {
			if at.Number == number {
				w.Time = math.Round(w.Time * by)
				w.Exact = true
				waits[at] = w
			}
		}
	}
}

// spreadOverSites gives the time of a call to the stacks that made it, or to the empty
// one where none was seen.
func (c *Closed) spreadOverSites(number int32, time float64) {
	seen := 0.0 // whole calls
	for site, n := range c.Sites.All() {
		if site.Key.Number == number {
			seen += math.Round(n * c.CallSeconds)
		}
	}
	add := func(stack uint32, part float64) {
		w := c.Wait[Place{stack, number}]
		w.Time += math.Round(part)
		w.Threads, w.Exact = max(1, w.Threads), true
		c.Wait[Place{stack, number}] = w
	}
	if seen == 0 {
		add(0, time)
		return
	}
	for site, n := range c.Sites.All() {
		if site.Key.Number == number {
			add(site.Stack, time*n*c.CallSeconds/seen)
		}
	}
}

// Keys gives the calls in an order that does not change.
func Keys(calls map[unit.Key]Totals) []unit.Key {
	return slices.SortedFunc(maps.Keys(calls), unit.Key.Compare)
}

// Measure is one measure of the work a service does, by column in
// Closed.Measures: how often something happened and, if Bytes is not negative,
// how much was moved.
type Measure struct{ Count, Bytes int }

// WorkMeasures are connections taken, reads with their bytes, writes with theirs.
var WorkMeasures = []Measure{{Count: 0, Bytes: -1}, {Count: 1, Bytes: 2}, {Count: 3, Bytes: 4}}

// measures of work, per second: connections taken, and calls that moved what
// may have come from a peer or gone to one.
func measures(calls map[unit.Key]Totals, classes *threadtrace.Classes) []float64 {
	m := make([]float64, 5)
	for _, k := range Keys(calls) {
		if k.Errno != 0 {
			continue
		}
		t := calls[k]
		class := classes.Of(k.Number)
		if class&threadtrace.ClassFile != 0 {
			continue // how the server goes about its work, not what it is asked
		}
		if class&threadtrace.ClassAccept != 0 {
			m[0] += t.N
		}
		if class&threadtrace.ClassInput != 0 && t.Bytes > 0 {
			m[1] += t.N
			m[2] += t.Bytes
		}
		if class&threadtrace.ClassOutput != 0 && t.Bytes > 0 {
			m[3] += t.N
			m[4] += t.Bytes
		}
	}
	return m
}
