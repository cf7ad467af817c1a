package attribute

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
)

const (
	// half is most of a function, where the callers say what it does; and what a caller does
	// beside a callee must have grown half as far for both to have one reason.
	half = 0.5
	// passes is the share of a function's time beside one callee below which it only
	// passes the call on.
	passes = 0.03
	// highest is how many callers up an answerable one is looked for.
	highest = 8
)

// climb gives the first place to the caller that decides, where the first suspect
// does no more than it is told. That caller takes the credit, and the first suspect
// has that of one call further out. Where all of the code is new those that have all of
// it below them are named beside the innermost, first the one that old code calls: each
// has the credit of one call further out for all that it comes to.
func climb(t *tree, ranked []Suspect) []Suspect {
	from, ok := t.stacks.Lookup(ranked[0].Function, ranked[0].Module)
	if !ok || t.failing[from] > criteria.Matters*t.running[from] {
		return ranked // to try again is the decision of who made the call
	}
	target, entries := t.climb(from)
	if t.Beside && target == from {
		target = t.parting(from)
	}
	first, whole := ranked[0], 1.0
	if target != from {
		// What comes through other callers is theirs.
		if t.isTold(from) {
			whole = min(1, t.below[[2]int32{from, target}].excess/t.of[from].excess)
		}
		ranked[0].Score = Round(first.Score * Decay * whole)
	}
	if t.running[from] >= t.of[from].excess/2 {
		for _, f := range entries {
			if f != target && f != from {
				part := min(1, Decay*t.of[f].excess/t.of[from].excess)
				t.yieldBelow(ranked, from, part*first.Score)
				ranked = answers(t.stacks, ranked, first, f, part)
			}
		}
	}
	if target != from {
		ranked = answers(t.stacks, ranked, first, target, whole)
	}
	sortSuspects(ranked)
	return ranked
}

// yieldBelow bounds the score of suspects that work for a function: it has their time.
func (t *tree) yieldBelow(ranked []Suspect, f int32, most float64) {
	for i := range ranked {
		s := &ranked[i]
		id, ok := t.stacks.Lookup(s.Function, s.Module)
		if below := t.below[[2]int32{id, f}].excess; ok && below > 0 && below >= criteria.Mostly*t.of[id].excess {
			s.Score = min(s.Score, Round(most))
		}
	}
}

// namesFirst has functions that are known by their address only yield to those of their
// module with a name that they call, where those have their excess: they are the better place
// to look, also where each of several has a part of it. So does a script's own code, which says
// which script it is, to all that has a name.
func (t *tree) namesFirst(ranked []Suspect) {
	for i := range ranked {
		s := &ranked[i]
		f, ok := t.stacks.Lookup(s.Function, s.Module)
		if !ok || t.named[f] <= 0 || t.named[f] < criteria.Mostly*t.of[f].excess {
			continue
		}
		script := t.stacks.Function(f).Script()
		most := 0.0
		for _, other := range ranked {
			g, ok := t.stacks.Lookup(other.Function, other.Module)
			if below := t.below[[2]int32{g, f}].excess; ok && (script || other.Module == s.Module) && t.stacks.Function(g).Tells() && below >= criteria.Mostly*t.of[g].excess {
				most = max(most, other.Score)
			}
		}
		if most > 0 {
			s.Score = min(s.Score, Round(Decay*most))
		}
	}
	sortSuspects(ranked)
}

// answers gives a function a part of the score of the suspect that it answers for; of
// two with the same score it is first.
func answers(stacks *frames.Table, ranked []Suspect, first Suspect, f int32, part float64) []Suspect {
	fn := stacks.Function(f)
	s := Suspect{Function: fn.Name, Module: fn.Module, File: fn.File, Line: fn.Line, Evidence: first.Evidence}
	if at := slices.IndexFunc(ranked, func(s Suspect) bool { return s.Function == fn.Name && s.Module == fn.Module }); at >= 0 {
		s = ranked[at]
		ranked = slices.Delete(ranked, at, at+1)
	}
	s.Score = max(s.Score, Round(part*first.Score))
	return slices.Insert(ranked, 0, s)
}

// climb goes from a function to its callers. target is the one that decides, entries
// are those that are all new and only pass on to each other, innermost first: the last is
// where old code calls the new.
func (t *tree) climb(from int32) (target int32, entries []int32) {
	target = from
	at, fresh := from, true
	for range highest {
		told, least := at == from && t.isTold(at), criteria.Mostly
		if told {
			least = half
		}
		p, ok := t.caller(at, least)
		if !ok && t.Beside {
			p, ok = t.meeting(at)
		}
		if !ok {
			break
		}
		named := !t.stacks.Function(p).Nameless()
		if fresh = fresh && t.fresh(p); fresh && named {
			entries = t.enters(entries, p)
		}
		if named && !slices.Contains(t.Waiters, p) && (told || t.decides(p, at, from)) {
			target = p
		}
		at = p
	}
	return target, entries
}

// enters adds a new function to those that only pass on to each other. Where it does more
// than they do, what it passes on begins with it.
func (t *tree) enters(entries []int32, f int32) []int32 {
	if len(entries) > 0 && t.of[entries[0]].excess < (1-passes)*t.of[f].excess {
		entries = entries[:0]
	}
	return append(entries, f)
}

// parting is, of a function that waits, the highest of its callers that only slow requests come
// to, below the one in which they part from the fast ones beside them. Both run the same code,
// so that a function of the slow ones alone did not become slower: who calls it is why they
// are slow. Where no part of the program is known to do the one thing and the other nothing
// is known of who decides.
func (t *tree) parting(from int32) int32 {
	target, at, own := from, from, t.stacks.Function(from).Package()
	if t.running[from] >= t.of[from].excess/2 || t.sightings(t.all.past) < criteria.FewSightings || !t.apart(from) {
		return from
	}
	for range highest {
		p, ok := t.caller(at, criteria.Mostly)
		if !ok {
			break
		}
		switch fn := t.stacks.Function(p); {
		case fn.Package() != own || fn.Nameless():
		case !t.apart(p) || t.doesUsual(p, at):
			return target
		default:
			target = p
		}
		at = p
	}
	return from
}

// apart reports whether a function has several times the share of the time that it has of the
// past.
func (t *tree) apart(f int32) bool {
	n := t.of[f]
	return ratio(n.now, t.all.now) >= criteria.ManyTimes*ratio(n.past, t.all.past)
}

// doesUsual reports whether a function also calls, beside one callee, a part of the program
// that is called as much otherwise.
func (t *tree) doesUsual(f, beside int32) bool {
	own := t.stacks.Function(f).Package()
	for edge := range t.next {
		if edge[1] == f && edge[0] != beside && !t.apart(edge[0]) && t.stacks.Function(edge[0]).Package() == own {
			return true
		}
	}
	return false
}

// caller is the one through which most of a function's excess comes, at least a part of it.
func (t *tree) caller(f int32, least float64) (int32, bool) {
	best, most := int32(0), 0.0
	for key, excess := range t.next {
		if key[0] == f && (excess > most || excess == most && key[1] < best) {
			best, most = key[1], excess
		}
	}
	return best, most > 0 && most >= least*t.of[f].excess
}

// meeting is the nearest of the functions through which most of a function's excess comes,
// where it comes through several callers.
func (t *tree) meeting(f int32) (nearest int32, ok bool) {
	most := criteria.Mostly * t.of[f].excess
	for key, n := range t.below {
		p := key[1]
		if key[0] != f || p == f || n.excess < most || n.excess <= 0 {
			continue
		}
		nearer := t.below[[2]int32{p, nearest}].excess >= most
		further := t.below[[2]int32{nearest, p}].excess >= most
		if !ok || nearer && !further || nearer == further && p < nearest {
			nearest, ok = p, true
		}
	}
	return nearest, ok
}

// decides reports whether a caller, and not the function from below it, is the reason
// for that one's excess; at is the callee through which it comes. A cause has all that
// is done below it grow alike (the ripple effect of HotSpot, Sun et al., IEEE Access
// 2018): a caller that did other things, too, decides when those grew with it, or when
// the caller's own time did, as a loop costs. A caller that is new decides when others
// use what it calls as ever (a helper).
func (t *tree) decides(caller, at, from int32) bool {
	p, via := t.of[caller], t.below[[2]int32{at, caller}]
	if t.running[at] < t.of[at].excess/2 {
		// A loop costs no time when it waits. Who calls as often as ever does not decide
		// that it takes longer.
		return t.helps(at, caller, true) && t.callsMore(at, caller)
	}
	// What it waits for beside that, others do.
	rest := node{now: p.computes - via.computes, past: p.computed - via.computed}
	if t.sightings(p.past) < criteria.FewSightings {
		return t.helps(at, caller, false)
	}
	least := max(criteria.FewSightings*t.Grain/2, passes*t.of[at].excess)
	if own := t.self[caller]; own.now-own.past >= least && own.now >= 2*own.past {
		return true
	}
	if t.sightings(rest.past) < criteria.FewSightings || rest.now-rest.past < least {
		return false
	}
	return t.grewAlike(from, caller, rest)
}

// grewAlike reports whether the rest of what is done below a caller grew as far as a function
// below it did, or half as far. What several call did not become slower for one of them beside
// fast requests: there a rest that grew many times is as telling as a function that grew a hundred
// times since fast ones hardly come to it, so that logarithms are compared.
func (t *tree) grewAlike(from, caller int32, rest node) bool {
	grew := t.below[[2]int32{from, caller}]
	part, whole := rest.now/rest.past, grew.now/max(grew.past, t.least())
	if _, single := t.caller(from, criteria.Mostly); t.Beside && !single {
		return math.Log(part) >= half*math.Log(whole)
	}
	return part-1 >= half*(whole-1)
}

// isTold reports whether a function waits in different calls for different callers, which
// therefore say in which: it makes calls for others.
func (t *tree) isTold(f int32) bool {
	if t.running[f] >= t.of[f].excess/2 {
		return false
	}
	first, known := various, false
	for edge, call := range t.waitsIn {
		if edge[0] != f || call == various {
			continue
		}
		if known && call != first {
			return true
		}
		first, known = call, true
	}
	return false
}

// callsMore reports whether several times as many system calls are made below a
// function and its caller as in the past.
func (t *tree) callsMore(f, caller int32) bool {
	edge := [2]int32{f, caller}
	past := t.callsVia[edge]
	return past < criteria.Seldom || t.callsNow[edge] >= criteria.ManyTimes*past
}

// helps reports whether a function served others than the caller before: of what it
// did in the past, of what of that was waiting, or of the calls that it made, less than
// half was for the caller.
func (t *tree) helps(f, caller int32, waiting bool) bool {
	if t.stacks.Function(caller).Compiled() && t.fresh(caller) {
		return false // it may have been there without a frame
	}
	edge := [2]int32{f, caller}
	all, via := t.of[f], t.below[edge]
	past, theirs := all.whole, via.whole
	if waiting {
		past, theirs = all.waited, via.waited
	}
	if t.sightings(past) >= criteria.FewSightings && theirs < past/2 {
		return true
	}
	return t.calls[f] >= criteria.Seldom && t.callsVia[edge] < t.calls[f]/2
}
