package inference

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
)

// lost is the time in excess, in nanoseconds per second.
func (v *verdict) lost() float64 { return v.CPUExcess + v.WaitExcess + v.outside }

// ofMachine is the part of the time lost that the code does not explain.
func (v *verdict) ofMachine() float64 {
	all := v.lost()
	if all <= 0 {
		return 0
	}
	// To say what lost time is due to takes less than to say that it was lost.
	code := v.CPUExcess + v.WaitExcess - cause.Explained(v.machine.Doubts)
	return 1 - code/all
}

// causes shares the time lost between the code and the machine, the largest part first.
// Without figures of the machine there are none.
func (v *verdict) causes() []Cause {
	if v.hop.Machine.Seconds == 0 {
		return nil
	}
	machine := v.ofMachine()
	sum := 0.0
	for i := range v.machine.Doubts {
		sum += v.machine.Doubts[i].Lost
	}
	var out []Cause
	if code := 1 - machine; code >= criteria.Little {
		out = append(out, Cause{Kind: CauseCode, Share: Round(code)})
	}
	for i := range v.machine.Doubts {
		c := &v.machine.Doubts[i]
		if share := machine * c.Lost / sum; share >= criteria.Little {
			out = append(out, Cause{Kind: c.Kind, Share: Round(share), Resource: c.Resource, Users: c.Users})
		}
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// queued is the time lost by threads that could run and had no CPU, in nanoseconds per second.
func (v *verdict) queued() (sum float64) {
	for i := range v.machine.Causes {
		if c := &v.machine.Causes[i]; c.Kind == CauseCPUContention || c.Kind == CauseCPUQuota {
			sum += c.Lost
		}
	}
	return sum
}

// codeMatters reports whether what the code has in excess would be told by itself, were
// the machine as ever: its CPU time, its waits that can be for nothing else, and the
// others where the machine does not explain most of them. Who gets little CPU time
// cannot have much in excess, so that there is no least amount.
func (v *verdict) codeMatters(d detect.Config) bool {
	code := v.CPUExcess + v.waits.None
	explainable := v.WaitExcess - v.waits.None
	if explained := cause.Explained(v.machine.Causes); 2*explained < explainable {
		code += explainable - explained
	}
	return code > 0 && code >= d.Share*(v.usual+code)
}

// onlyRefuses reports whether what the code has is calls that are refused, which costs
// no time.
func (v *verdict) onlyRefuses() bool { return v.Refusal >= 1 && v.codeEffect < 1 }

// external is the part of the time lost for which something else than the service is the
// reason, as far as causes say so: those of the machine that are certain, or in doubt.
func (v *verdict) external(causes []cause.Cause) float64 {
	return v.part(causes, func(c cause.Cause) bool { return c.External })
}

// part is the part of the time lost to those of the causes.
func (v *verdict) part(causes []cause.Cause, is func(cause.Cause) bool) float64 {
	part, all := 0.0, 0.0
	for i := range v.machine.Doubts {
		all += v.machine.Doubts[i].Lost
	}
	for i := range causes {
		if is(causes[i]) {
			part += causes[i].Lost
		}
	}
	return v.ofMachine() * min(1, ratio(part, all))
}

// elsewhere says whether what a hop lost was lost outside of the service.
type elsewhere int

const (
	here        elsewhere = iota
	besidesCode           // most was, and the code may have its part
	notTheCode            // most was, and nothing of the code matters by itself
)

// elsewhere is told from what the machine is suspected of: to wait with an alarm takes
// less than to excuse.
func (v *verdict) elsewhere() elsewhere {
	switch machine := v.ofMachine() > 0.5; {
	case machine && v.codeEffect < 1 && (v.leavesUnanswered() || v.part(v.machine.Doubts, cause.Cause.Own) > 0.5):
		return besidesCode
	case machine && v.codeEffect < 1:
		return notTheCode
	case v.external(v.machine.Doubts) > 0.5, v.queues:
		return besidesCode
	}
	return here
}

// leastHops is how long it must last to be told. What others do to a machine is often over
// in a moment: a neighbour's burst, a cron job, a backup, for which nobody gets up.
func (e elsewhere) leastHops() int {
	return [...]int{here: 1, besidesCode: criteria.Repeated, notTheCode: 2 * criteria.Repeated}[e]
}

// leavesUnanswered reports whether clients wait that nothing of the service works for.
func (v *verdict) leavesUnanswered() bool {
	return slices.ContainsFunc(v.machine.Causes, func(c cause.Cause) bool { return c.Kind == cause.Unanswered })
}

// innocent reports whether most of the time is lost for reasons that are known to lie
// outside of the service, and less than a third to what can be nothing but the code. To
// excuse it takes as much evidence as to accuse.
func (v *verdict) innocent() bool {
	return 2*v.external(v.machine.Causes) > 1 && criteria.ManyTimes*(v.CPUExcess+v.waits.None) < v.lost()
}

// blame says what an anomaly's time was lost to. When most of it is known to be for
// reasons that are not the service's no function is a suspect, those that would be were
// hit; unless the code of the present hop matters by itself, which is told first then,
// with the shares of that hop. Where the machine or a peer takes most of the time and
// the service may be why, the functions remain suspects.
func blame(found *Anomaly, whole, present *verdict, d detect.Config, say *explain.Anomaly) {
	refuses := whole.onlyRefuses()
	codeMatters := len(found.Suspects) > 0 && (refuses || present.codeMatters(d))
	if codeMatters && !refuses {
		whole = present
	}
	found.Causes = whole.causes()
	if len(found.Causes) == 0 {
		return
	}
	switch {
	case codeMatters:
		if found.codeFirst(true); found.Causes[0].Kind != CauseCode { // its share is small
			found.Causes = slices.Insert(found.Causes, 0, Cause{Kind: CauseCode, Share: Round(1 - whole.ofMachine())})
		}
	case whole.innocent():
		// The code's part may still be larger than each of the machine's.
		found.codeFirst(false)
		found.Hit = found.acquit()
	case whole.ofMachine() > 0.5:
		found.codeFirst(false)
		if found.Gain < criteria.Little*found.Impact { // what else is new costs next to nothing
			found.acquit()
		}
	case found.Causes[0].Kind == CauseCode && len(found.Suspects) == 0:
		found.Causes[0].Kind = CauseUnknown
	}
	sayCauses(found, say)
}

// acquit takes the suspects out, and returns them.
func (a *Anomaly) acquit() (suspects []Suspect) {
	suspects = a.Suspects
	a.Suspects, a.Path, a.Order, a.Pattern, a.Scope, a.Gain = nil, nil, nil, "", 0, 0
	return suspects
}

// codeFirst moves the code to the front of the causes, or to their end.
func (a *Anomaly) codeFirst(first bool) {
	slices.SortStableFunc(a.Causes, func(a, b Cause) int {
		switch {
		case (a.Kind == CauseCode) == (b.Kind == CauseCode):
			return 0
		case (a.Kind == CauseCode) == first:
			return -1
		}
		return 1
	})
}

func sayCauses(found *Anomaly, say *explain.Anomaly) {
	for i := range found.Causes {
		c := &found.Causes[i]
		told := explain.Cause{Kind: string(c.Kind), Share: c.Share, Resource: c.Resource}
		for _, u := range c.Users {
			told.Users = append(told.Users, u.Name)
		}
		say.Causes = append(say.Causes, told)
	}
	if len(found.Hit) > 0 {
		say.Hit = found.Hit[0].Function
	}
}
