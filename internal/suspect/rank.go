package suspect

import (
	"cmp"
	"math"
	"slices"
)

// StackTime is the time one kind of evidence saw under one stack, in
// nanoseconds per second of the service's life.
type StackTime struct {
	Stack uint32
	Kind  Evidence
	// Now is the abnormal phase, Past the learned one.
	Now, Past float64
	// Excess is the part of Now that the past and the load do not explain;
	// zero for what is not held against the service, an idle wait.
	Excess float64
	// Call is the system call waited in, Stuck set when a single wait has
	// lasted for a second or more; of EvidenceBlocked.
	Call  int32
	Stuck bool
	// Idle is set where threads wait for something to do; of EvidenceBlocked.
	Idle bool
	// Failing is set at calls that fail; of EvidenceSyscall.
	Failing bool
}

const (
	// decay is the credit a caller has of its callee's: a function is
	// answerable for what it calls, but the nearer one is the better place to
	// look. 0.75 was found on a prototype over twelve bugs of five real
	// servers: a caller needs a third more of its own to pass its callee.
	decay = 0.75
	// unsure is added to both shares before they are compared, so that a
	// function seen in one sample in fifty has not grown without bound. It is of
	// the time that is not idle: a pool of threads that wait for work makes what
	// the others do no less sure.
	unsure = 0.02
)

// Rank credits the excess of each stack along its application frames from
// the innermost out and returns the functions with the most, at most limit.
//
// The credit of a function f is the sum over stacks s with f at depth d of
// excess(s) * decay^d * g(f)^2, where g = (b-n)/(b+n) compares the share that
// f has of the time of one kind of evidence now (b) with its past (n): what is
// as common in healthy stacks (main, the event loop), of that kind or on CPU,
// explains nothing. The innermost function needs no such contrast: one that
// always led cannot grow in share, and is compared by its own time instead. The
// credit is weighed by coverage, the share of the excess that has f on the
// stack: of a new caller and its callees, the deepest that still covers most
// explains most, where a loud callee among several explains itself alone. A
// score is that credit as a share of all excess.
//
// Functions known by their address only (static ones of a stripped program) are
// answered for by the nearest caller with a name, which has the credit of the
// first of them, while theirs is that of one call further out: an address is
// the worse place to look. So are the program's own names for a wait
// (Stack.Wrapper). Functions without even an address to tell them by
// (Stack.Hidden) count as steps.
func Rank(stacks *Stacks, times []StackTime, limit int) []Suspect {
	shares, doubt := inclusiveShares(stacks, times)
	grown := ownGrowth(stacks, times)
	credits := map[int32]map[Evidence]float64{}
	covered := map[int32]float64{}
	total := 0.0
	for _, t := range times {
		if t.Excess <= 0 {
			continue
		}
		stack := stacks.Get(t.Stack)
		frames := stack.Frames
		if len(frames) == 0 {
			continue
		}
		total += t.Excess
		weight, nameless := t.Excess, 0.0
		evidence := t.Kind
		if stack.Inferred {
			weight *= 1 - stack.Doubt
			evidence = EvidenceSignature
		}
		// They have their part of the credit, too, which goes to nobody.
		weight *= math.Pow(decay, float64(stack.Hidden))
		own := grown[shareKey{frames[0], t.Kind}]
		if t.Kind == EvidenceSyscall && !t.Failing {
			own = 0
		}
		for i, f := range frames {
			credit := weight
			if stacks.Function(f).Nameless() || i == 0 && stack.Wrapper {
				nameless = max(nameless, weight)
				credit *= decay
			} else if nameless > 0 {
				weight, credit, nameless = nameless, nameless, 0
			}
			covered[f] += t.Excess
			sh := shares[shareKey{f, t.Kind}]
			// An interpreter's loop was on all healthy stacks, if not on waits.
			sh.past = max(sh.past, shares[shareKey{f, EvidenceOnCPU}].past)
			g := max(own, (sh.now-sh.past)/(sh.now+sh.past+doubt[t.Kind]))
			if nameless == 0 {
				own = 0
			}
			if g > 0 {
				if credits[f] == nil {
					credits[f] = map[Evidence]float64{}
				}
				credits[f][evidence] += credit * g * g
			}
			weight *= decay
		}
	}
	if total == 0 {
		return nil
	}
	ranked := make([]Suspect, 0, len(credits))
	for f, byKind := range credits {
		fn := stacks.Function(f)
		s := Suspect{Function: fn.Name, Module: fn.Module, File: fn.File, Line: fn.Line}
		kinds := make([]Evidence, 0, len(byKind))
		for _, kind := range []Evidence{EvidenceOnCPU, EvidenceBlocked, EvidenceSyscall, EvidenceSignature} {
			if credit, ok := byKind[kind]; ok {
				s.Score += credit / total * covered[f] / total
				kinds = append(kinds, kind)
			}
		}
		slices.SortStableFunc(kinds, func(a, b Evidence) int { return cmp.Compare(byKind[b], byKind[a]) })
		for _, k := range kinds {
			s.Evidence = append(s.Evidence, string(k))
		}
		s.Score = Round(min(1, s.Score))
		if s.Score >= minScore {
			ranked = append(ranked, s)
		}
	}
	slices.SortFunc(ranked, func(a, b Suspect) int {
		if c := cmp.Compare(b.Score, a.Score); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.Function, b.Function), cmp.Compare(a.Module, b.Module))
	})
	if len(ranked) > limit {
		ranked = ranked[:limit]
	}
	return ranked
}

// minScore is the share of the excess below which a function is no suspect:
// one part in two hundred is a stray sample.
const minScore = 0.005

// Round rounds a score to six digits: the others are noise to who reads them.
func Round(x float64) float64 { return math.Round(x*1e6) / 1e6 }

type shareKey struct {
	function int32
	kind     Evidence
}

type share struct{ now, past float64 }

// inclusiveShares is, for each function and kind of evidence, the share of
// the time of that kind with the function on the stack; and how much of such a
// share is unsure.
func inclusiveShares(stacks *Stacks, times []StackTime) (map[shareKey]share, map[Evidence]float64) {
	totals, busy := map[Evidence]share{}, map[Evidence]float64{}
	shares := map[shareKey]share{}
	for _, t := range times {
		total := totals[t.Kind]
		total.now += t.Now
		total.past += t.Past
		totals[t.Kind] = total
		if !t.Idle {
			busy[t.Kind] += t.Now
		}
		for _, f := range stacks.Get(t.Stack).Frames {
			k := shareKey{f, t.Kind}
			sh := shares[k]
			sh.now += t.Now
			sh.past += t.Past
			shares[k] = sh
		}
	}
	for k, sh := range shares {
		total := totals[k.kind]
		if total.now > 0 {
			sh.now /= total.now
		}
		if total.past > 0 {
			sh.past /= total.past
		}
		shares[k] = sh
	}
	for kind, t := range busy {
		if total := totals[kind].now; total > 0 {
			busy[kind] = unsure * t / total
		}
	}
	return shares, busy
}

// ownGrowth is the part (b-n)/b of the time, not the share, of each innermost
// function that the past and the load do not explain (the attributable
// fraction): of a callee that is ten times as busy nearly all is abnormal, as it
// is of a caller that is new. At calls it is that of the failing ones that became
// more: to try again is the decision of who made the call, while one that
// succeeds may be made because a caller asked for it.
func ownGrowth(stacks *Stacks, times []StackTime) map[shareKey]float64 {
	type sums struct{ now, excess float64 }
	of := map[shareKey]sums{}
	for _, t := range times {
		frames := stacks.Get(t.Stack).Frames
		if len(frames) == 0 {
			continue
		}
		now, excess := t.Now, t.Excess
		if t.Kind == EvidenceSyscall {
			// Its excess is nanoseconds, what it was seen to do is calls.
			if excess <= 0 || !t.Failing {
				continue
			}
			excess = now - t.Past
		}
		k := shareKey{frames[0], t.Kind}
		s := of[k]
		of[k] = sums{s.now + now, s.excess + excess}
	}
	growth := make(map[shareKey]float64, len(of))
	for k, s := range of {
		if s.excess > 0 {
			growth[k] = min(1, s.excess/s.now) // others may work for it
		}
	}
	return growth
}

// Doing is what the excess with the first suspect on the stack is made of: what
// that function does, in nanoseconds per second.
type Doing struct {
	// CPU is on CPU or at calls, Waiting blocked; ByCall, Lock and Stuck are
	// parts of Waiting: by system call, under a lock primitive, in single waits
	// of a second or more.
	CPU, Waiting, Lock, Stuck float64
	ByCall                    map[int32]float64
}

// DoingOf sums the evidence up for the first of the suspects, all of it when
// there is none.
func DoingOf(stacks *Stacks, times []StackTime, suspects []Suspect) Doing {
	d := Doing{ByCall: map[int32]float64{}}
	for _, t := range times {
		if len(suspects) > 0 && stacks.find(t.Stack, suspects[0]) < 0 {
			continue
		}
		if t.Kind != EvidenceBlocked {
			d.CPU += t.Excess
			continue
		}
		d.Waiting += t.Excess
		d.ByCall[t.Call] += t.Excess
		if stacks.Get(t.Stack).Lock {
			d.Lock += t.Excess
		}
		if t.Stuck {
			d.Stuck += t.Excess
		}
	}
	return d
}

// Waited is the call with the most of the waiting, false when more of the
// excess is on CPU.
func (d *Doing) Waited() (call int32, ok bool) {
	most := 0.0
	for nr, t := range d.ByCall {
		if t > most || t == most && nr < call {
			call, most = nr, t
		}
	}
	return call, d.Waiting > d.CPU
}

// find is the place of a suspect among the frames of a stack, -1 if it is none.
func (s *Stacks) find(stack uint32, sus Suspect) int {
	return slices.IndexFunc(s.Get(stack).Frames, func(f int32) bool {
		fn := s.Function(f)
		return fn.Name == sus.Function && fn.Module == sus.Module
	})
}

// PathTo is the chain of application functions from the outermost caller to
// the suspect, on the stack with the most excess that has it.
func PathTo(stacks *Stacks, times []StackTime, s Suspect) []string {
	var best []int32
	most, from := 0.0, uint32(0)
	for _, t := range times {
		if t.Excess < most || t.Excess == most && (t.Stack >= from || most == 0) {
			continue
		}
		if at := stacks.find(t.Stack, s); at >= 0 {
			most, from, best = t.Excess, t.Stack, stacks.Get(t.Stack).Frames[at:]
		}
	}
	path := make([]string, 0, len(best))
	for i := len(best) - 1; i >= 0; i-- {
		path = append(path, stacks.Function(best[i]).Name)
	}
	return path
}
