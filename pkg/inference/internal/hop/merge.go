package hop

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
)

// Merge returns the mean of hops, m (nil at first) and one more. Times are per
// second of all of them; what single threads did is that of the last one, and flows are those of
// all.
func Merge(m, c *Closed) *Closed {
	if m == nil {
		first := *c
		m = &first
		m.Wait, m.Fresh = maps.Clone(c.Wait), maps.Clone(c.Fresh)
		m.Calls, m.TimedOut = maps.Clone(c.Calls), maps.Clone(c.TimedOut)
		m.Below, m.Measures = maps.Clone(c.Below), slices.Clone(c.Measures)
		m.Units = nil
		return m
	}
	// The first abnormal hop began somewhere inside it: weights follow time.
	w := c.Seconds / (m.Seconds + c.Seconds)
	mean := func(a, b float64) float64 { return a*(1-w) + b*w }
	meanTime := func(a, b float64) float64 { return math.Round(mean(a, b)) }
	// Of calls that is the time in which they were recorded.
	wc := share(c.CallSeconds, m.CallSeconds+c.CallSeconds)
	meanCalls := func(a, b float64) float64 { return a*(1-wc) + b*wc }
	m.CPU, m.FreshCPU = TimesOf(m.CPU.mixed(c.CPU, meanTime)), TimesOf(m.FreshCPU.mixed(c.FreshCPU, meanTime))
	mixBelow(m, c, meanTime)
	m.Sites = SitesOf(m.Sites.mixed(c.Sites, meanCalls))
	mix(m.TimedOut, c.TimedOut, func(a, b float64) float64 { return math.Round(meanCalls(a, b)) })
	mixWaits(m.Wait, c.Wait, meanTime)
	mixWaits(m.Fresh, c.Fresh, meanTime)
	for k := range union(m.Calls, c.Calls) {
		a, b := m.Calls[k], c.Calls[k]
		m.Calls[k] = Totals{meanCalls(a.N, b.N), meanCalls(a.Time, b.Time), meanCalls(a.Bytes, b.Bytes)}
	}
	for i := range m.Measures {
		m.Measures[i] = meanCalls(m.Measures[i], c.Measures[i])
	}
	m.RunDelay = mean(m.RunDelay, c.RunDelay)
	m.Machine = mergeMachine(m.Machine, c.Machine, w)
	m.CPUOutside, m.CPUTotal = mean(m.CPUOutside, c.CPUOutside), mean(m.CPUTotal, c.CPUTotal)
	m.chains = chain.NewPending(m.Flows().And(c.Flows()), chain.Trace{}, 0)
	m.Seconds += c.Seconds
	m.CallSeconds += c.CallSeconds
	m.End = c.End
	m.Cells, m.Spinning, m.Holey = c.Cells, c.Spinning, c.Holey
	m.Threads = max(m.Threads, c.Threads)
	m.Starved = m.Starved && c.Starved
	m.SamplePeriod, m.SnapshotPeriod = m.SamplePeriod*(1-w), m.SnapshotPeriod*(1-w)
	return m
}

func mixWaits(a, b map[Place]Wait, mean func(a, b float64) float64) {
	for k := range union(a, b) {
		x, y := a[k], b[k]
		a[k] = Wait{mean(x.Time, y.Time), max(x.Threads, y.Threads), max(x.Longest, y.Longest), x.Exact || y.Exact, x.Moments | y.Moments}
	}
}

func mix[K comparable](a, b map[K]float64, mean func(a, b float64) float64) {
	for k := range union(a, b) {
		a[k] = mean(a[k], b[k])
	}
}

// mostMerged is how many times as many Below several hops may have as one.
const mostMerged = 4

// mixBelow keeps the longest.
func mixBelow(m, c *Closed, mean func(a, b float64) float64) {
	if m.Below == nil || c.Below == nil {
		m.Below = nil // of a part of the time it is not known
		return
	}
	below := m.Below
	if mix(below, c.Below, mean); len(below) <= mostMerged*maxBelow {
		return
	}
	longest := slices.SortedFunc(maps.Keys(below), func(a, b Below) int { return cmp.Or(cmp.Compare(below[b], below[a]), a.Compare(b)) })
	for _, at := range longest[mostMerged*maxBelow:] {
		delete(below, at)
	}
}

// Compare orders them.
func (b Below) Compare(o Below) int {
	waits := func(x Below) int {
		if x.Waiting {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(b.Stack, o.Stack), cmp.Compare(b.Number, o.Number), cmp.Compare(waits(b), waits(o)), cmp.Compare(b.Packages, o.Packages))
}

func union[K comparable, V any](a, b map[K]V) map[K]struct{} {
	u := make(map[K]struct{}, len(a)+len(b))
	for k := range a {
		u[k] = struct{}{}
	}
	for k := range b {
		u[k] = struct{}{}
	}
	return u
}
