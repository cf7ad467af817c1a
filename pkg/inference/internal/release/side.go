package release

import (
	"math"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

// side is the time of one build.
type side struct {
	hops []*hop.Closed
	// seconds, work, cpu and waiting are by block of hops: how much was looked at, units
	// of work, and seconds.
	seconds, work, cpu, waiting []float64
	// own and inclusive are the times of functions by hop, as the innermost and anywhere
	// on the stack; baseline.Whole is time without a function.
	own, inclusive map[cell][]float64
	// stacks is the mean time of each stack, in nanoseconds per second.
	stacks map[place]float64
	// calls is how often each call is made, per second of tracing.
	calls map[int32]float64
	// sample and look are what one sample and one look stand for, in seconds.
	sample, look float64
}

// cell is a function on CPU, or waiting.
type cell struct {
	function int32
	waiting  bool
}

// place is a stack on CPU, or waiting in a call.
type place struct {
	stack   uint32
	number  int32
	waiting bool
}

// unit is what work is counted in.
type unit int

// The units of work, the best first: what clients send decides on those.
const (
	reads unit = iota
	connections
	writes
	seconds
)

var unitNames = [...]string{"read", "connection", "write", "second"}

// column is where hop.Closed.Measures has it.
var column = [...]int{reads: 1, connections: 0, writes: 3}

// unitOf is what work is counted in: the first that both builds do.
func unitOf(a, b []*hop.Closed) unit {
	rate := func(hops []*hop.Closed, u unit) float64 {
		n, traced := 0.0, 0.0
		for _, c := range hops {
			n += c.Measures[column[u]] * c.CallSeconds
			traced += c.CallSeconds
		}
		return n / max(1e-9, traced)
	}
	for _, u := range []unit{reads, connections, writes} {
		if rate(a, u) >= criteria.Seldom && rate(b, u) >= criteria.Seldom {
			return u
		}
	}
	return seconds
}

func newSide(hops []*hop.Closed, stacks *frames.Table, idle func(hop.Place) bool, in unit) *side {
	s := &side{hops: hops, own: map[cell][]float64{}, inclusive: map[cell][]float64{}, stacks: map[place]float64{}, calls: map[int32]float64{}}
	var length, work, cpu, waiting []float64
	traced := 0.0
	for i, c := range hops {
		length = append(length, c.Seconds)
		units := c.Seconds
		if in != seconds {
			units *= c.Measures[column[in]]
		}
		work = append(work, units)
		cpu = append(cpu, c.CPUTotal/1e9*c.Seconds)
		waiting = append(waiting, s.addHop(i, c, stacks, idle))
		s.sample, s.look = max(s.sample, c.SamplePeriod*c.Seconds/1e9), max(s.look, c.SnapshotPeriod*c.Seconds/1e9)
		traced += c.CallSeconds
		for k, t := range c.Calls {
			s.calls[k.Number] += t.N * c.CallSeconds
		}
	}
	for nr := range s.calls {
		s.calls[nr] /= max(1e-9, traced)
	}
	all := sum(length)
	for at := range s.stacks {
		s.stacks[at] /= max(1e-9, all)
	}
	s.seconds, s.work, s.cpu, s.waiting = blocks(length), blocks(work), blocks(cpu), blocks(waiting)
	return s
}

// addHop adds the times of a hop, whose sum of waiting it returns, in seconds.
func (s *side) addHop(i int, c *hop.Closed, stacks *frames.Table, idle func(hop.Place) bool) (waiting float64) {
	add := func(to map[cell][]float64, at cell, t float64) {
		list := to[at]
		if list == nil {
			list = make([]float64, len(s.hops))
			to[at] = list
		}
		list[i] += t
	}
	stack := func(at place, perSecond float64) {
		t := perSecond / 1e9 * c.Seconds
		on := stacks.Get(at.stack)
		if on.Spin {
			at.waiting = true
		}
		s.stacks[at] += perSecond * c.Seconds
		if at.waiting {
			waiting += t
		}
		inner := baseline.Whole
		if len(on.Frames) > 0 {
			inner = on.Frames[0]
		}
		add(s.own, cell{inner, at.waiting}, t)
		for _, f := range on.Frames {
			add(s.inclusive, cell{f, at.waiting}, t)
		}
	}
	for _, byStack := range []hop.Times{c.CPU, c.FreshCPU} {
		for id, t := range byStack.All() {
			stack(place{stack: id}, t)
		}
	}
	for _, waits := range []map[hop.Place]hop.Wait{c.Wait, c.Fresh} {
		for at, w := range waits {
			if !idle(at) {
				stack(place{at.Stack, at.Number, true}, w.Time)
			}
		}
	}
	return waiting
}

// total is the time of a kind by block, of which the parts of functions are shares.
func (s *side) total(waiting bool) []float64 {
	list := make([]float64, len(s.hops))
	for c, times := range s.own {
		if c.waiting == waiting {
			for i, t := range times {
				list[i] += t
			}
		}
	}
	return blocks(list)
}

// share is the part of the time of a kind that is a function's.
func (s *side) share(of map[cell][]float64, c cell, total []float64) figure {
	times := of[c]
	if times == nil {
		times = make([]float64, len(s.hops))
	}
	f := ratioOf(blocks(times), total)
	// A function that was never seen may have been missed.
	grain := s.sample
	if c.waiting {
		grain = s.look
	}
	if all := sum(total); all > 0 {
		grain /= all
		f.err = math.Max(f.err, math.Sqrt(max(f.mean, grain)*grain))
	}
	return f
}
