package attribute

import (
	"iter"
	"math"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

// Decay is the credit a caller has of its callee's: a function is answerable for
// what it calls, but the nearer one is the better place to look. 0.75 was found on a
// prototype over twelve bugs of five real servers: a caller needs a third more of its
// own to pass its callee.
const Decay = 0.75

// credit shares the excess of one stack out among its functions, from the innermost
// out: excess * Decay^d * g(f)^2, where d counts the calls from f down to the
// innermost, and g is how far f grew. Of the calls within another package than f's
// only one counts: who calls a library, or another part of the program, is as near
// as who is called there, however deep that is inside.
//
// Functions known by their address only (static ones of a stripped program) are
// answered for by the nearest caller with a name, which has the credit of the first
// of them, while theirs is that of one call further out: an address is the worse
// place to look. So are the program's own names for a wait (Stack.Wrapper). Where they call
// one of their module that has a name there is that to look at, and they are calls as any
// other. Functions without even an address to tell them by (Stack.Hidden) count as calls.
func credit(stacks *frames.Table, stack *frames.Stack, t *Time, grew *growth) iter.Seq2[int32, float64] {
	return func(yield func(int32, float64) bool) {
		weight := t.Excess
		if stack.Inferred {
			weight *= 1 - stack.Doubt
		}
		// Hidden ones have their part of the credit, too, which goes to nobody.
		weight *= math.Pow(Decay, float64(stack.Hidden))
		o := outward{weight: weight, within: weight, own: grew.own(stack.Frames[0], t)}
		for i, f := range stack.Frames {
			fn := stacks.Function(f)
			if i > 0 && fn.Package() != stacks.Function(stack.Frames[i-1]).Package() {
				o.enterPackage()
			}
			address, wrapper := fn.Nameless() && grew.answered(stacks, stack.Frames[i:], t.Kind), i == 0 && stack.Wrapper && grew.decides(stack.Frames[1:], stacks)
			part := o.credit(&fn, address, wrapper)
			if g := o.growth(&fn, grew.share(f, t.Kind)); g > 0 && !yield(f, part*g*g) {
				return
			}
			o.weight *= Decay
		}
	}
}

// outward is what goes from the functions of a stack to their callers.
type outward struct {
	// weight is the credit of a call here, within that of the first one in this package, and
	// nameless that of the first one which a caller with a name answers for, if any.
	weight, within, nameless float64
	// named is the module of the last function with a name.
	named string
	// own is how far the innermost function grew by its own time, known the share of the past
	// that compiled functions had.
	own, known float64
}

// enterPackage has all calls within the package that is left count as one.
func (o *outward) enterPackage() {
	o.weight = max(o.weight, Decay*o.within)
	o.within = o.weight
}

// credit is that of a function. A caller answers for it if it is known by its address, or is a
// wrapper of a wait.
func (o *outward) credit(fn *frames.Function, address, wrapper bool) float64 {
	credit := o.weight
	if address || wrapper {
		credit *= Decay
	}
	if wrapper || address && fn.Module != o.named {
		o.nameless = max(o.nameless, o.weight)
	} else if o.nameless > 0 && !address {
		o.weight, credit, o.nameless = o.nameless, o.nameless, 0
	}
	if !wrapper && !fn.Nameless() {
		o.named = fn.Module
	}
	return credit
}

// growth is how far a function grew, of which sh is the share. The innermost's own goes to who
// answers for it, too.
func (o *outward) growth(fn *frames.Function, sh share) float64 {
	if fn.Compiled() {
		// Before it was compiled it had no frame, but what it calls had.
		o.known = max(o.known, sh.past)
		sh.past = o.known
	}
	g := max(o.own, sh.contrast())
	if o.nameless == 0 {
		o.own = 0
	}
	return g
}

// growth is how far functions grew, 0 to 1.
type growth struct {
	shares map[seenIn]share
	grown  map[seenIn]float64
}

type seenIn struct {
	function int32
	kind     Evidence
}

// anyTime is time on CPU and in waits together.
const anyTime Evidence = "any_time"

// share is of the time of one kind of evidence.
type share struct{ now, past float64 }

func newGrowth(stacks *frames.Table, times []Time) *growth {
	return &growth{inclusiveShares(stacks, times), ownGrowth(stacks, times)}
}

// share is that of the time of one kind of evidence with a function on the stack.
func (g *growth) share(f int32, kind Evidence) share {
	sh := g.shares[seenIn{f, kind}]
	if kind == EvidenceBlocked {
		// Where hardly anything was waited for, all of that says little of what is usual.
		sh.past = g.shares[seenIn{f, anyTime}].past
	}
	// An interpreter's loop was on all healthy stacks, if not on waits.
	sh.past = max(sh.past, g.shares[seenIn{f, EvidenceOnCPU}].past)
	return sh
}

// contrast compares (b-n)/(b+n) the share now (b) with that of the past (n): what is
// as common in healthy stacks (main, the event loop) explains nothing.
func (sh share) contrast() float64 { return ratio(sh.now-sh.past, sh.now+sh.past) }

// own is the growth of the innermost function of a stack by its own time, since one
// that always led cannot grow in share. A call that succeeds may be made because a
// caller asked for it, while to try again is the decision of who made it.
func (g *growth) own(f int32, t *Time) float64 {
	if t.Kind == EvidenceSyscall && !t.Failing {
		return 0
	}
	return g.grown[seenIn{f, t.Kind}]
}

// inclusiveShares is, for each function and kind of evidence, the share of the time
// of that kind with the function on the stack.
func inclusiveShares(stacks *frames.Table, times []Time) map[seenIn]share {
	totals := map[Evidence]share{}
	shares := map[seenIn]share{}
	add := func(kind Evidence, t *Time) {
		total := totals[kind]
		totals[kind] = share{total.now + t.Now, total.past + t.Past}
		for _, f := range stacks.Get(t.Stack).Frames {
			k := seenIn{f, kind}
			sh := shares[k]
			shares[k] = share{sh.now + t.Now, sh.past + t.Past}
		}
	}
	for i := range times {
		add(times[i].Kind, &times[i])
		if times[i].Kind != EvidenceSyscall {
			add(anyTime, &times[i])
		}
	}
	for k, sh := range shares {
		total := totals[k.kind]
		shares[k] = share{ratio(sh.now, total.now), ratio(sh.past, total.past)}
	}
	return shares
}

// ownGrowth is the part (b-n)/b of the time, not the share, of each innermost
// function that the past and the load do not explain (the attributable fraction): of
// a callee that is ten times as busy nearly all is abnormal, as it is of a caller
// that is new. At calls it is that of the failing ones that became more.
func ownGrowth(stacks *frames.Table, times []Time) map[seenIn]float64 {
	type sums struct{ now, excess float64 }
	of := map[seenIn]sums{}
	for _, t := range times {
		on := stacks.Get(t.Stack).Frames
		if len(on) == 0 {
			continue
		}
		now, excess := t.Now, max(t.Excess, t.Beyond)
		if t.Kind == EvidenceSyscall {
			// Its excess is nanoseconds, what it was seen to do is calls.
			if excess <= 0 || !t.Failing {
				continue
			}
			excess = now - t.Past
		}
		k := seenIn{on[0], t.Kind}
		s := of[k]
		of[k] = sums{s.now + now, s.excess + excess}
	}
	growth := make(map[seenIn]float64, len(of))
	for k, s := range of {
		if s.excess > 0 {
			growth[k] = min(1, s.excess/s.now) // others may work for it
		}
	}
	return growth
}

// far is how many functions without a name in a row nobody answers for that compute, or
// make calls: which of them decided the next name does not tell. Those that wait do no
// more than that.
const far = 3

// answered reports whether the module of the innermost of some functions has a name
// further out, before another module comes: a plugin's function without a name is told
// by its module, which the program that calls it is not. What compiled code calls is its
// virtual machine's, and done for it. A name that leads to everything, as main of a
// stripped program does, tells less than an address.
func (g *growth) answered(stacks *frames.Table, on []int32, kind Evidence) bool {
	module, lead := stacks.Function(on[0]).Module, false
	for i, f := range on[1:] {
		switch fn := stacks.Function(f); {
		case fn.Module != module && fn.Compiled():
			return !fn.Nameless()
		case fn.Module != module:
			return false
		case fn.Nameless():
		case g.share(f, EvidenceOnCPU).past < criteria.NearlyAll:
			return i < far || kind == EvidenceBlocked
		default:
			lead = true
		}
	}
	return !lead // of those without a name none is better
}

// decides reports whether the first of some callers that has a name says more of why is
// waited than who waits: one that leads to everything, as an interpreter's loop does, says
// nothing of it.
func (g *growth) decides(callers []int32, stacks *frames.Table) bool {
	for _, f := range callers {
		if !stacks.Function(f).Nameless() {
			return g.share(f, EvidenceOnCPU).past < criteria.NearlyAll
		}
	}
	return true
}
