package memory

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// Hop is a hop.Closed of the past, but for its execution units.
type Hop struct {
	Start, End                           int64
	Seconds, CallSeconds                 float64
	CPUTotal, CPUOutside, RunDelay, Lost float64
	SamplePeriod, SnapshotPeriod         float64
	Holey, Starved                       bool
	Threads, Functions                   int64
	Measures                             []float64
	CPU, FreshCPU                        []OfStack
	Wait, Fresh                          []Wait
	Calls                                []Call
	Sites                                []Site
	TimedOut                             []OfCall
	ThreadCPU                            []OfThread
	Homes                                []Home
	Spinning, Born                       []int32
	Machine                              Machine
}

// OfStack is the time of a stack, in nanoseconds per second.
type OfStack struct {
	Stack uint32
	Time  int64
}

// Wait is the time of a place; see hop.Wait.
type Wait struct {
	Stack         uint32
	Number        int32
	Time, Longest int64
	Threads       int64
	Moments       uint64
	Exact         bool
}

// Call sums up a call with one errno.
type Call struct {
	Number, Errno  int32
	N, Time, Bytes float64
}

// Site is how often a call was made at a stack.
type Site struct {
	Number, Errno int32
	Stack         uint32
	N             float64
}

// OfCall is the time in a call.
type OfCall struct {
	Number int32
	Time   float64
}

// OfThread is the CPU time of a thread.
type OfThread struct {
	Thread int32
	Time   float64
}

// Home is where a thread idled.
type Home struct {
	Thread, Number int32
	Stack          uint32
	Share          float64
}

// Save puts a hop into the form of this package.
func Save(s *frames.Saver, c *hop.Closed) Hop {
	h := Hop{
		Start: c.Start, End: c.End, Seconds: c.Seconds, CallSeconds: c.CallSeconds, CPUTotal: c.CPUTotal, CPUOutside: c.CPUOutside,
		RunDelay: c.RunDelay, Lost: c.Lost, SamplePeriod: c.SamplePeriod, SnapshotPeriod: c.SnapshotPeriod, Holey: c.Holey, Starved: c.Starved,
		Threads: int64(c.Threads), Functions: int64(c.Functions), Measures: slices.Clone(c.Measures),
		CPU: saveStacks(s, c.CPU), FreshCPU: saveStacks(s, c.FreshCPU), Wait: saveWaits(s, c.Wait), Fresh: saveWaits(s, c.Fresh),
		Spinning: saveSet(c.Spinning, nil), Born: saveSet(c.Born, s.Function), Machine: saveMachine(&c.Machine),
	}
	for _, k := range hop.Keys(c.Calls) {
		t := c.Calls[k]
		h.Calls = append(h.Calls, Call{k.Number, k.Errno, t.N, t.Time, t.Bytes})
	}
	sites := c.Sites.Map()
	for _, site := range slices.SortedFunc(maps.Keys(sites), hop.Site.Compare) {
		h.Sites = append(h.Sites, Site{site.Key.Number, site.Key.Errno, s.Stack(site.Stack), sites[site]})
	}
	for _, nr := range slices.Sorted(maps.Keys(c.TimedOut)) {
		h.TimedOut = append(h.TimedOut, OfCall{nr, c.TimedOut[nr]})
	}
	for _, id := range slices.Sorted(maps.Keys(c.ThreadCPU)) {
		h.ThreadCPU = append(h.ThreadCPU, OfThread{id, c.ThreadCPU[id]})
	}
	for _, id := range slices.Sorted(maps.Keys(c.Homes)) {
		at := c.Homes[id]
		h.Homes = append(h.Homes, Home{id, at.Number, s.Stack(at.Stack), at.Share})
	}
	return h
}

func saveStacks(s *frames.Saver, times hop.Times) (list []OfStack) {
	for id, t := range times.All() {
		list = append(list, OfStack{s.Stack(id), int64(t)})
	}
	return list
}

func saveWaits(s *frames.Saver, waits map[hop.Place]hop.Wait) (list []Wait) {
	for _, at := range slices.SortedFunc(maps.Keys(waits), func(a, b hop.Place) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Number, b.Number))
	}) {
		w := waits[at]
		list = append(list, Wait{s.Stack(at.Stack), at.Number, int64(w.Time), w.Longest, int64(w.Threads), w.Moments, w.Exact})
	}
	return list
}

func saveSet(set map[int32]bool, number func(int32) int32) (list []int32) {
	for _, id := range slices.Sorted(maps.Keys(set)) {
		if set[id] {
			if number != nil {
				id = number(id)
			}
			list = append(list, id)
		}
	}
	return list
}

// Restore makes a hop of what was saved and checked.
func (h *Hop) Restore(r frames.Restored) *hop.Closed {
	c := &hop.Closed{
		Start: h.Start, End: h.End, Seconds: h.Seconds, CallSeconds: h.CallSeconds, CPUTotal: h.CPUTotal, CPUOutside: h.CPUOutside,
		RunDelay: h.RunDelay, Lost: h.Lost, SamplePeriod: h.SamplePeriod, SnapshotPeriod: h.SnapshotPeriod, Holey: h.Holey, Starved: h.Starved,
		Threads: int(h.Threads), Functions: int(h.Functions), Measures: slices.Clone(h.Measures),
		CPU: restoreStacks(h.CPU, r), FreshCPU: restoreStacks(h.FreshCPU, r), Wait: map[hop.Place]hop.Wait{}, Fresh: map[hop.Place]hop.Wait{},
		Calls: map[unit.Key]hop.Totals{}, TimedOut: map[int32]float64{},
		ThreadCPU: map[int32]float64{}, Homes: map[int32]hop.Home{}, Spinning: map[int32]bool{}, Born: map[int32]bool{},
		Machine: h.Machine.restore(),
	}
	restoreWaits(h.Wait, r, c.Wait)
	restoreWaits(h.Fresh, r, c.Fresh)
	for _, x := range h.Calls {
		c.Calls[unit.Key{Number: x.Number, Errno: x.Errno}] = hop.Totals{N: x.N, Time: x.Time, Bytes: x.Bytes}
	}
	sites := make(map[hop.Site]float64, len(h.Sites))
	for _, x := range h.Sites {
		sites[hop.Site{Key: unit.Key{Number: x.Number, Errno: x.Errno}, Stack: r.Stacks[x.Stack]}] += x.N
	}
	c.Sites = hop.SitesOf(sites)
	for _, x := range h.TimedOut {
		c.TimedOut[x.Number] = x.Time
	}
	for _, x := range h.ThreadCPU {
		c.ThreadCPU[x.Thread] = x.Time
	}
	for _, x := range h.Homes {
		c.Homes[x.Thread] = hop.Home{Place: hop.Place{Stack: r.Stacks[x.Stack], Number: x.Number}, Share: x.Share}
	}
	for _, id := range h.Spinning {
		c.Spinning[id] = true
	}
	for _, f := range h.Born {
		c.Born[r.Functions[f]] = true
	}
	return c
}

func restoreStacks(list []OfStack, r frames.Restored) hop.Times {
	times := make(map[uint32]float64, len(list))
	for _, x := range list {
		times[r.Stacks[x.Stack]] += float64(x.Time)
	}
	return hop.TimesOf(times)
}

func restoreWaits(list []Wait, r frames.Restored, waits map[hop.Place]hop.Wait) {
	for _, x := range list {
		at := hop.Place{Stack: r.Stacks[x.Stack], Number: x.Number}
		waits[at] = waits[at].And(hop.Wait{Time: float64(x.Time), Threads: int(x.Threads), Longest: x.Longest, Exact: x.Exact, Moments: x.Moments})
	}
}

var errNumber = errors.New("a number that no hop has")

// contents lists the figures of a hop and the stacks that it names, since all of a kind have
// the same bounds.
func (h *Hop) contents() (figures []float64, used []uint32) {
	figures = []float64{h.Seconds, h.CallSeconds, h.CPUTotal, h.CPUOutside, h.RunDelay, h.Lost, h.SamplePeriod, h.SnapshotPeriod}
	figures = append(figures, h.Measures...)
	for _, list := range [][]OfStack{h.CPU, h.FreshCPU} {
		for _, x := range list {
			used, figures = append(used, x.Stack), append(figures, float64(x.Time))
		}
	}
	for _, list := range [][]Wait{h.Wait, h.Fresh} {
		for _, x := range list {
			used, figures = append(used, x.Stack), append(figures, float64(x.Time), float64(x.Longest), float64(x.Threads))
		}
	}
	for _, x := range h.Calls {
		figures = append(figures, x.N, x.Time, x.Bytes)
	}
	for _, x := range h.Sites {
		used, figures = append(used, x.Stack), append(figures, x.N)
	}
	for _, x := range h.TimedOut {
		figures = append(figures, x.Time)
	}
	for _, x := range h.ThreadCPU {
		figures = append(figures, x.Time)
	}
	for _, x := range h.Homes {
		used, figures = append(used, x.Stack), append(figures, x.Share)
	}
	return figures, used
}

// check reports the first number that means nothing.
func (h *Hop) check(stacks, functions, measures int) error {
	entries := len(h.CPU) + len(h.FreshCPU) + len(h.Wait) + len(h.Fresh) + len(h.Calls) + len(h.Sites) + len(h.Homes) + len(h.ThreadCPU)
	if h.End <= h.Start || h.Start < 0 || h.Seconds <= 0 || entries > maxEntries || h.Threads < 0 || len(h.Measures) != measures {
		return fmt.Errorf("%w: from %d to %d, %d entries", errNumber, h.Start, h.End, entries)
	}
	figures, used := h.contents()
	const most = 1e18
	for _, f := range figures {
		if math.IsNaN(f) || f < 0 || f > most {
			return fmt.Errorf("%w: %v", errNumber, f)
		}
	}
	for _, id := range used {
		if int(id) > stacks {
			return fmt.Errorf("stack %d of %d", id, stacks)
		}
	}
	for _, f := range h.Born {
		if f < 0 || int(f) >= functions {
			return fmt.Errorf("function %d of %d", f, functions)
		}
	}
	return h.Machine.check()
}
