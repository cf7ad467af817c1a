// Package window keeps a service's recent past and judges each hop against
// it: events are folded into hops as they arrive, a hop that is over is held
// against the hops before it, and what left its past becomes an anomaly with
// ranked functions. It knows time only as the events' own, so a recording
// gives the same result at any speed.
package window

import (
	"cmp"
	"errors"
	"time"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/unit"
)

// Config of a service's window.
type Config struct {
	// Window is how much of the past is kept, Hop how often it is judged.
	Window, Hop time.Duration
	// MaxUnits bounds the units kept for the clusters over the whole window.
	MaxUnits int
	// MaxSuspects bounds the functions in one anomaly.
	MaxSuspects int
}

// DefaultConfig is five minutes judged every five seconds.
func DefaultConfig() Config {
	return Config{Window: 5 * time.Minute, Hop: 5 * time.Second, MaxUnits: 12000, MaxSuspects: 10}
}

// Validate checks that the figures fit each other.
func (c Config) Validate() error {
	switch {
	case c.Hop < time.Second:
		return errors.New("hop must be at least 1s: fewer samples than that say nothing")
	case c.Window < 2*minPast*c.Hop:
		return errors.New("window must be at least 12 times hop: less is no past to compare with")
	case c.MaxUnits < int(c.Window/c.Hop):
		return errors.New("max units must allow at least one unit per hop")
	case c.MaxSuspects < 1:
		return errors.New("max suspects must be at least 1")
	}
	return nil
}

const (
	// minPast is the number of hops without which there is no past: the
	// median of six is the first that two odd hops cannot move.
	minPast = 6
	// enoughHops is in how many hops a thread must have been seen to have a
	// past of its own, whatever it does.
	enoughHops = 2 * minPast
	// maxOpen bounds the hops that wait for their last events.
	maxOpen = 8
	// maxThreads bounds the threads whose units are followed; those beyond
	// are counted in their hop but have no units.
	maxThreads = 4096
	// maxCells bounds the distinct (thread, stack, call) of one hop; time
	// beyond is kept without its thread.
	maxCells = 16384
	// maxCallSites bounds the distinct (call, stack) of one hop.
	maxCallSites = 4096
	// forget ends an episode that never did: a service that is different for
	// that long is the service now.
	forget = 30 * time.Minute
	// remind is how often an unchanged episode is reported again.
	remind = time.Minute
)

// Stats is what a service's window holds.
type Stats struct {
	// Hops, Units, Clusters, Threads and Stacks are present counts.
	Hops, Units, Clusters, Threads, Stacks int
	// Bytes estimates the memory held.
	Bytes int64
	// UnitsSeen, UnitsEvicted, LateEvents, ThreadsOverflow, HopsJudged and
	// CallsNamed (by signatures) only grow.
	UnitsSeen, UnitsEvicted, LateEvents, ThreadsOverflow, HopsJudged, CallsNamed uint64
	// Score, Load and Active are the last judged hop's: how far beyond the
	// past (1 is abnormal), the work relative to the past's median, and the
	// time active in seconds per second. Zero while there is no past.
	Score, Load, Active float64
}

// thread is what is known of one thread.
type thread struct {
	segmenter *unit.Segmenter
	// place is where it is in the signatures, if there are any.
	place    signature.Thread
	order    order
	lastSeen int64
	// hops is in how many hops it was seen.
	hops int
	// known is set once the thread was seen in code that the service's past
	// has, or in enough hops, or at once when threads of its role are always
	// new: until then it may be a new part of the service (a pool that is
	// started, a backup, one that was stopped) that has no past.
	known bool
	// placed is set once its role is known.
	placed bool
	// brokenAt is the edge of a burst at which its unit was last broken.
	brokenAt int64
}

// callTotals sums up one call.
type callTotals struct {
	n     float64
	time  float64
	bytes float64
}

// waitSite is where a thread waits.
type waitSite struct {
	stack  uint32
	number int32
}

// waitTime is what a hop saw at one site, in nanoseconds per second.
type waitTime struct {
	time    float64
	threads int
	// longest is for how long the longest single wait had lasted, in
	// nanoseconds.
	longest int64
	// exact is set when time is that of the calls, not of snapshots.
	exact bool
}

// callSite is a call with its outcome at one stack.
type callSite struct {
	key   unit.Key
	stack uint32
}

func (s callSite) compare(o callSite) int {
	return cmp.Or(s.key.Compare(o.key), cmp.Compare(s.stack, o.stack))
}

// closedHop is a hop that is over: what it saw, per second of it.
//
// All times in it are whole nanoseconds per second, which is finer than any of
// them is known: sums of whole numbers are exact in whatever order they are
// taken, and that of a map is another one each time. The same records then give
// the same result to the last bit.
type closedHop struct {
	start, end int64
	seconds    float64
	// traced says that calls were recorded, callSeconds for how many of the
	// seconds: all call figures are per second of those.
	traced      bool
	callSeconds float64
	// cpu is nanoseconds per second by stack, cpuOutside the part of the
	// samples that was in user code; cpuTotal is exact.
	cpu        map[uint32]float64
	cpuOutside float64
	cpuTotal   float64
	// freshCPU is that of threads not known yet; it is in cpuTotal, too.
	freshCPU map[uint32]float64
	wait     map[waitSite]waitTime
	// fresh has the waits of threads that were not known yet.
	fresh map[waitSite]waitTime
	// homes has the threads that idled at one place for idleShare of the hop.
	homes     map[int32]bool
	calls     map[unit.Key]callTotals
	callSites map[callSite]float64
	measures  []float64
	// timedOut is the time in waits whose time was over, by call.
	timedOut map[int32]float64
	// holey is set when more calls were lost than seen, starved when the machine
	// kept even the snapshots waiting.
	holey, starved bool
	// threads is how many were seen, born the roles (outermost application
	// functions) of those that were new, spinning those that neither waited
	// nor blocked all the time.
	threads   int
	born      map[int32]bool
	spinning  map[int32]bool
	units     []*unit.Unit
	period    struct{ sample, snapshot float64 }
	functions int
	// spans, refused and orders are kept only while the hop may be reported.
	spans   map[threadCell]cellTime
	orders  map[order]uint32
	refused map[unit.Key]map[int32]suspect.Span
}

// threadCell is one stack of one thread, on CPU or waiting in a call.
type threadCell struct {
	thread  int32
	stack   uint32
	number  int32
	waiting bool
	// fresh is set on what a thread does that is not known yet.
	fresh bool
}

type cellTime struct {
	time, first, last, longest int64
	// slices has a bit for each part of the hop in which it was seen.
	slices uint64
}

// sliceCount is the number of parts of a hop that cellTime tells apart.
const sliceCount = 64
