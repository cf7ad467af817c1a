package attribute

import (
	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

// Scale is what the times are known by: Grain is what one sample of a hop stands for
// in nanoseconds per second, Hops how many past ones there are, Load the work of the
// present one relative to them.
type Scale struct {
	Grain, Hops, Load float64
	// Waiters are the functions that wait for what others do, as a chain of waits tells:
	// what it costs them to wait is no sign that they decide.
	Waiters []int32
	// Beside is set where the past is that of others at the same time, which run the same code.
	Beside bool
}

// sightings is how many samples of all past hops a time at the present load is.
func (s Scale) sightings(past float64) float64 {
	return past / max(1e-9, s.Load) * s.Hops / s.Grain
}

// least is the time at the present load that one sample of all past hops is.
func (s Scale) least() float64 { return s.Grain * s.Load / s.Hops }

// node is what is known of a function, or of it below one caller: its time now and
// in the past at the present load, and the part of now beyond the past.
// computes and computed are what of now and past is on CPU, whole is the part of past on stacks that miss no function, waited what of it was
// not on CPU.
type node struct{ now, past, computes, computed, whole, waited, excess float64 }

func (n node) and(t *Time, load float64, partial bool) node {
	n.now += t.Now
	n.past += t.Past * load
	n.excess += t.Excess
	if t.Kind == EvidenceOnCPU {
		n.computes += t.Now
		n.computed += t.Past * load
	}
	if !partial {
		n.whole += t.Past * load
		if t.Kind != EvidenceOnCPU {
			n.waited += t.Past * load
		}
	}
	return n
}

// tree sums evidence up by function, by function and caller, and by what functions
// do themselves.
type tree struct {
	Scale
	stacks *frames.Table
	all    node
	of     map[int32]node
	// below is by function and any caller of it, next the excess by function and
	// the next one.
	below map[[2]int32]node
	next  map[[2]int32]float64
	self  map[int32]node
	// running is the part of a function's excess that is on CPU, failing what calls of
	// its own that fail stand for.
	running, failing map[int32]float64
	// calls are the system calls that were made below a function in the past, by
	// function and by function and caller; callsNow are those that are made now.
	calls              map[int32]float64
	callsVia, callsNow map[[2]int32]float64
	// named is the excess of functions without a name that is in functions of their module
	// with one, which they call.
	named map[int32]float64
	// waitsIn is the call in which a function waits itself below the next one, various where
	// it is not always the same.
	waitsIn map[[2]int32]int32
	// idled are the functions in which the service waited for work in the past.
	idled map[int32]bool
}

// various is no call.
const various = int32(-1 << 31)

func newTree(stacks *frames.Table, times []Time, s Scale) *tree {
	t := &tree{
		Scale: s, stacks: stacks, of: map[int32]node{}, below: map[[2]int32]node{}, next: map[[2]int32]float64{},
		self: map[int32]node{}, running: map[int32]float64{}, failing: map[int32]float64{}, calls: map[int32]float64{}, callsVia: map[[2]int32]float64{},
		callsNow: map[[2]int32]float64{},
		idled:    map[int32]bool{}, waitsIn: map[[2]int32]int32{}, named: map[int32]float64{},
	}
	for i := range times {
		t.add(&times[i])
	}
	return t
}

func (t *tree) add(x *Time) {
	stack := t.stacks.Get(x.Stack)
	on := stack.Frames
	if x.Kind == EvidenceSyscall {
		if x.Failing && len(on) > 0 {
			t.failing[on[0]] += x.Excess
		}
		if !stack.Partial {
			t.call(on, x)
		}
		return
	}
	if x.Idle {
		t.addIdle(on, x)
		return
	}
	if len(on) == 0 {
		return
	}
	t.all = t.all.and(x, t.Load, stack.Partial)
	t.addNamed(on, x.Excess)
	for j, f := range on {
		t.of[f] = t.of[f].and(x, t.Load, stack.Partial)
		if x.Kind == EvidenceOnCPU {
			t.running[f] += x.Excess
		}
		for _, above := range on[j+1:] {
			key := [2]int32{f, above}
			t.below[key] = t.below[key].and(x, t.Load, stack.Partial)
		}
		if j+1 < len(on) {
			t.next[[2]int32{f, on[j+1]}] += x.Excess
		}
	}
	if x.Kind == EvidenceBlocked && len(on) > 1 {
		t.addCall([2]int32{on[0], on[1]}, x.Call)
	}
	if x.Kind == EvidenceOnCPU && t.stacks.Direct(x.Stack) {
		t.self[on[0]] = t.self[on[0]].and(x, t.Load, stack.Partial)
	}
}

// addIdle notes the functions in which the service waited for work, since these are not new.
func (t *tree) addIdle(on []int32, x *Time) {
	if x.Past <= 0 {
		return
	}
	for _, f := range on {
		t.idled[f] = true
	}
}

// addCall notes in which call a function waits below its caller, or that it does in various.
func (t *tree) addCall(edge [2]int32, call int32) {
	if was, known := t.waitsIn[edge]; known && was != call {
		call = various
	}
	t.waitsIn[edge] = call
}

// addNamed notes excess of functions without a name that is below one with a name, for a
// script's own code of any module.
func (t *tree) addNamed(on []int32, excess float64) {
	named := ""
	for _, f := range on {
		switch fn := t.stacks.Function(f); {
		case fn.Tells():
			named = fn.Module
		case fn.Module == named, named != "" && fn.Script():
			t.named[f] += excess
		}
	}
}

// fresh reports whether a function did nothing in the past.
func (t *tree) fresh(f int32) bool {
	return t.sightings(t.of[f].past) < 1 && t.calls[f] < criteria.Seldom && !t.idled[f]
}

func (t *tree) call(on []int32, x *Time) {
	for j, f := range on {
		t.calls[f] += x.Past
		for _, above := range on[j+1:] {
			t.callsVia[[2]int32{f, above}] += x.Past
			t.callsNow[[2]int32{f, above}] += x.Now
		}
	}
}
