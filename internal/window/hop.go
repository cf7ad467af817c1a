package window

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

// hop gathers what is seen between start and end (nanoseconds since the
// epoch).
type hop struct {
	start, end int64
	// covered bounds what the coverage records speak of.
	coveredFrom, coveredTo int64
	// looked is the time the coverage records speak of, summed over the
	// processes, traced the part of it in which every call was recorded.
	looked, traced   int64
	cpuTime          int64
	sample, snapshot int64
	// gaps sums how far the snapshots that saw a thread wait came after the one
	// before, looks counts these sightings.
	gaps, looks int64
	functions   int
	dropped     uint64
	cells       map[threadCell]cellTime
	cpuOutside  int64
	succeeded   [512]callTotals
	failed      map[unit.Key]callTotals
	callSites   map[callSite]uint32
	units       unitSample
	born        map[int32]bool
	// timedOut is the time in waits that ended because their time was over,
	// by call.
	timedOut map[int32]float64
	// refused has the threads by refusal.
	refused map[unit.Key]map[int32]suspect.Span
	// orders counts in which order functions were told by signatures.
	orders map[order]uint32
}

func newHop(start, end int64, maxUnits int) *hop {
	return &hop{
		start: start, end: end,
		cells:     map[threadCell]cellTime{},
		failed:    map[unit.Key]callTotals{},
		callSites: map[callSite]uint32{},
		born:      map[int32]bool{},
		timedOut:  map[int32]float64{},
		refused:   map[unit.Key]map[int32]suspect.Span{},
		units:     newUnitSample(maxUnits, uint64(start)),
	}
}

// see adds time under one stack of one thread.
func (h *hop) see(c threadCell, e *syscalltrace.Event) {
	t, ok := h.cells[c]
	if !ok && len(h.cells) >= maxCells {
		c.thread = 0
		t = h.cells[c]
	}
	if t.time == 0 {
		t.first = e.Time - e.Duration
	}
	t.time += e.Duration
	t.first = min(t.first, e.Time-e.Duration)
	t.last = max(t.last, e.Time)
	t.longest = max(t.longest, e.Elapsed)
	t.slices |= 1 << min(sliceCount-1, max(0, (e.Time-h.start)*sliceCount/(h.end-h.start)))
	h.cells[c] = t
}

// call counts a call that has returned.
func (h *hop) call(e *syscalltrace.Event, stack uint32, class syscalltrace.Class) {
	moves := class&(syscalltrace.ClassInput|syscalltrace.ClassOutput) != 0
	waits := class&syscalltrace.ClassReadiness != 0 && e.Return == 0 || class&syscalltrace.ClassFutex != 0 && e.Return == -etimedout
	k := unit.KeyOf(e.Number, e.Return)
	// What a call took before this hop belongs to the hops before.
	took := float64(min(e.Duration, h.end-h.start))
	if k.Errno == 0 && k.Number >= 0 && int(k.Number) < len(h.succeeded) {
		t := &h.succeeded[k.Number]
		t.n++
		t.time += took
		if moves && e.Return > 0 {
			t.bytes += float64(e.Return)
		}
	} else if t, ok := h.failed[k]; ok || len(h.failed) < maxCallSites {
		t.n++
		t.time += took
		h.failed[k] = t
	}
	if waits {
		h.timedOut[e.Number] += took
	}
	if stack != 0 {
		s := callSite{k, stack}
		if _, ok := h.callSites[s]; ok || len(h.callSites) < maxCallSites {
			h.callSites[s]++
		}
	}
}

// cutOff takes the part of a call that fell into a burst of tracing which ended
// before the call: another one, cut by the beginning, has the count for it.
func (h *hop) cutOff(e *syscalltrace.Event) {
	if e.Number >= 0 && int(e.Number) < len(h.succeeded) {
		h.succeeded[e.Number].time += float64(min(e.Duration, h.end-h.start))
	}
}

// starvedGap is how many times as far apart as they should be snapshots are on a
// machine that is short of CPU for what runs at once, the collector too: everybody
// waits longer there.
const starvedGap = 2

func (h *hop) cover(c *syscalltrace.Coverage) {
	if h.coveredTo == 0 {
		h.coveredFrom, h.coveredTo = c.Start, c.End
	}
	h.coveredFrom = max(h.start, min(h.coveredFrom, c.Start))
	h.coveredTo = max(h.coveredFrom, min(h.end, max(h.coveredTo, c.End)))
	h.looked += c.End - c.Start
	h.traced += int64(c.Traced)
	h.cpuTime += int64(c.CPUTime)
	h.sample = max(h.sample, int64(c.SamplePeriod))
	h.snapshot = max(h.snapshot, int64(c.SnapshotPeriod))
	h.functions = max(h.functions, c.Functions)
	for reason, n := range c.Dropped {
		if lostCalls[reason] {
			h.dropped += n
		}
	}
}

const (
	// wholly is the traced share of a hop from which calls count as recorded
	// all the time: the clocks of the flushes and of the hooks differ a little.
	wholly = 0.9
	// leastTraced is the traced time of a hop, in seconds, below which its calls
	// say nothing: requests come in waves, and fifty milliseconds are shorter
	// than many a wave.
	leastTraced = 0.05
)

// callSeconds is for how many of the seconds of a hop every call was recorded.
func (h *hop) callSeconds(seconds float64) float64 {
	switch part := share(float64(h.traced), float64(h.looked)); {
	case part >= wholly:
		return seconds
	case seconds*part >= leastTraced:
		return seconds * part
	}
	return 0
}

// lostCalls are the reasons of the receiver for which calls are missing from
// the counts; what else is lost are stacks and notices.
var lostCalls = map[string]bool{
	"ring_overwrite": true, "torn_read": true, "slot_collision": true, "share_exceeded": true, "queue_full": true, "refused": true,
}

// close turns the sums into figures per second. It is nil when too little of
// the hop was looked at to speak for it.
func (h *hop) close(classes *syscalltrace.Classes) *closedHop {
	length := h.end - h.start
	covered := length
	if h.coveredTo > 0 {
		covered = h.coveredTo - h.coveredFrom
	}
	if 2*covered < length {
		return nil
	}
	seconds := float64(covered) / 1e9
	c := &closedHop{
		start: h.start, end: h.end, seconds: seconds, callSeconds: h.callSeconds(seconds),
		cpu: map[uint32]float64{}, freshCPU: map[uint32]float64{}, wait: map[waitSite]waitTime{}, fresh: map[waitSite]waitTime{},
		calls: map[unit.Key]callTotals{}, callSites: map[callSite]float64{},
		units: h.units.kept(), functions: h.functions, spans: h.cells, born: h.born, refused: h.refused, orders: h.orders,
		timedOut: map[int32]float64{},
	}
	c.traced = c.callSeconds > 0
	c.period.sample, c.period.snapshot = float64(h.sample)/seconds, float64(h.snapshot)/seconds
	c.starved = h.gaps > starvedGap*h.looks*h.snapshot
	sampled := 0.0
	for cell, t := range h.cells {
		perSecond := math.Round(float64(t.time) / seconds)
		if cell.waiting {
			waits := c.wait
			if cell.fresh {
				waits = c.fresh
			}
			w := waits[waitSite{cell.stack, cell.number}]
			w.time += perSecond
			w.threads++
			w.longest = max(w.longest, t.longest)
			waits[waitSite{cell.stack, cell.number}] = w
			continue
		}
		sampled += perSecond
		if cell.fresh {
			c.freshCPU[cell.stack] += perSecond
		} else {
			c.cpu[cell.stack] += perSecond
		}
	}
	c.cpuOutside = float64(h.cpuOutside) / seconds
	c.cpuTotal = sampled
	if h.cpuTime > 0 {
		c.cpuTotal = float64(h.cpuTime) / seconds
	}
	if c.traced {
		c.countCalls(h)
	}
	c.measures = measures(c.calls, classes)
	if c.traced && !c.holey {
		c.waitExactly(classes)
	}
	return c
}

// countCalls turns the sums of calls into figures per second of tracing.
func (c *closedHop) countCalls(h *hop) {
	seconds := c.callSeconds
	for nr := range h.succeeded {
		if t := h.succeeded[nr]; t.n > 0 {
			c.calls[unit.Key{Number: int32(nr)}] = t.per(seconds)
		}
	}
	for k, t := range h.failed {
		c.calls[k] = t.per(seconds)
	}
	for s, n := range h.callSites {
		c.callSites[s] = float64(n) / seconds
	}
	seen := 0.0
	for _, t := range c.calls {
		seen += math.Round(t.n * seconds)
	}
	if h.dropped > 0 && seen > 0 {
		// What was lost was like what was seen; with most of it lost nobody
		// knows.
		c.holey = float64(h.dropped) > seen
		whole := 1 + float64(h.dropped)/seen
		for k, t := range c.calls {
			c.calls[k] = callTotals{t.n * whole, t.time * whole, t.bytes * whole}
		}
	}
	for nr, t := range h.timedOut {
		c.timedOut[nr] = t / seconds
	}
}

const (
	// longCall is the mean duration, in nanoseconds, from which a call is
	// taken to wait: work in the kernel takes less than a tenth of it.
	longCall = 100e3
	// stuckAfter is how long a single wait amid work must have lasted, in
	// nanoseconds, to be called stuck: what people call a hang, and from when
	// the receiver reports a call as in flight.
	stuckAfter = int64(1e9)
	// scatter is by how much the variance of the time in calls is more than if
	// all took as long: they scatter by as much as they are long.
	scatter = 2
)

// sampledBetter reports whether the snapshots know better than the bursts how
// long calls of some mean duration (nanoseconds) took: what one of them adds to
// the figure is the grain of either.
func (c *closedHop) sampledBetter(mean float64) bool {
	return c.callSeconds < c.seconds && c.period.snapshot > 0 && scatter*mean/c.callSeconds > c.period.snapshot
}

// waitExactly replaces the sampled waiting in calls that are never idle with
// the time that those calls really took, spread over the places where the
// snapshots, or else the stacks of the calls, saw them. What is still in
// flight has no duration yet and stays as sampled.
func (c *closedHop) waitExactly(classes *syscalltrace.Classes) {
	took := map[int32]callTotals{}
	for _, k := range keysOf(c.calls) {
		if t := c.calls[k]; !classes.Is(k.Number, syscalltrace.ClassIdle|syscalltrace.ClassReadLike) {
			sum := took[k.Number]
			took[k.Number] = callTotals{n: sum.n + t.n, time: sum.time + t.time}
		}
	}
	sampled, stuck := map[int32]float64{}, map[int32]bool{}
	for _, waits := range []map[waitSite]waitTime{c.wait, c.fresh} {
		for site, w := range waits {
			sampled[site.number] += w.time
			stuck[site.number] = stuck[site.number] || w.longest >= stuckAfter
		}
	}
	seen := map[int32]float64{} // whole calls
	for site, n := range c.callSites {
		seen[site.key.Number] += math.Round(n * c.callSeconds)
	}
	for number, t := range took {
		switch {
		case stuck[number]:
		case t.n == 0 || t.time/t.n < longCall || c.sampledBetter(t.time/t.n):
		case sampled[number] > 0:
			for _, waits := range []map[waitSite]waitTime{c.wait, c.fresh} {
				for site, w := range waits {
					if site.number == number {
						w.time = math.Round(w.time * t.time / sampled[number])
						w.exact = true
						waits[site] = w
					}
				}
			}
		default:
			for site, n := range c.callSites {
				if site.key.Number == number {
					at := waitSite{site.stack, number}
					w := c.wait[at]
					part := math.Round(t.time * n * c.callSeconds / seen[number])
					c.wait[at] = waitTime{time: w.time + part, threads: 1, exact: true}
				}
			}
		}
	}
}

// keysOf gives the calls in an order that does not change.
func keysOf(calls map[unit.Key]callTotals) []unit.Key {
	return slices.SortedFunc(maps.Keys(calls), unit.Key.Compare)
}

func (t callTotals) per(seconds float64) callTotals {
	return callTotals{t.n / seconds, t.time / seconds, t.bytes / seconds}
}

// workMeasures are the columns of measures: connections taken, reads with
// their bytes, writes with theirs.
var workMeasures = []outlier.Measure{{Count: 0, Bytes: -1}, {Count: 1, Bytes: 2}, {Count: 3, Bytes: 4}}

// measures of work, per second: connections taken, and calls that moved what
// may have come from a peer or gone to one.
func measures(calls map[unit.Key]callTotals, classes *syscalltrace.Classes) []float64 {
	m := make([]float64, 5)
	for _, k := range keysOf(calls) {
		if k.Errno != 0 {
			continue
		}
		t := calls[k]
		class := classes.Of(k.Number)
		if class&syscalltrace.ClassFile != 0 {
			continue // how the server goes about its work, not what it is asked
		}
		if class&syscalltrace.ClassAccept != 0 {
			m[0] += t.n
		}
		if class&syscalltrace.ClassInput != 0 && t.bytes > 0 {
			m[1] += t.n
			m[2] += t.bytes
		}
		if class&syscalltrace.ClassOutput != 0 && t.bytes > 0 {
			m[3] += t.n
			m[4] += t.bytes
		}
	}
	return m
}

// unitSample keeps a bounded sample of a hop's units: the longest half for
// certain, since the abnormal ones are among them, the rest at random.
type unitSample struct {
	limit   int
	longest []*unit.Unit
	random  []*unit.Unit
	seen    uint64
	evicted uint64
	rng     *rand.Rand
}

func newUnitSample(limit int, seed uint64) unitSample {
	return unitSample{limit: max(2, limit), rng: rand.New(rand.NewPCG(seed, 0))}
}

// add copies the unit if it is kept.
func (s *unitSample) add(u *unit.Unit) {
	s.seen++
	if half := s.limit / 2; len(s.longest) < half {
		s.longest = append(s.longest, u.Clone())
		if len(s.longest) == half {
			slices.SortFunc(s.longest, byDuration)
		}
		return
	} else if u.Duration() > s.longest[0].Duration() {
		displaced := s.longest[0]
		at, _ := slices.BinarySearchFunc(s.longest, u, byDuration)
		copy(s.longest, s.longest[1:at])
		s.longest[at-1] = u.Clone()
		s.maybe(displaced, false)
		return
	}
	s.maybe(u, true)
}

// maybe keeps a unit with the probability of a reservoir sample.
func (s *unitSample) maybe(u *unit.Unit, clone bool) {
	at := len(s.random)
	if at >= s.limit-s.limit/2 {
		s.evicted++
		if at = int(s.rng.Uint64N(s.seen)); at >= len(s.random) {
			return
		}
	} else {
		s.random = append(s.random, nil)
	}
	if clone {
		u = u.Clone()
	}
	s.random[at] = u
}

func (s *unitSample) kept() []*unit.Unit {
	kept := append(slices.Clone(s.longest), s.random...)
	slices.SortFunc(kept, func(a, b *unit.Unit) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ThreadID, b.ThreadID))
	})
	return kept
}

func byDuration(a, b *unit.Unit) int { return cmp.Compare(a.Duration(), b.Duration()) }
