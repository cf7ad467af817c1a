package inference

import (
	"cmp"
	"slices"

	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// CauseKind is what time is lost to.
type CauseKind = cause.Kind

// The kinds of cause. CauseUnknown is that of an anomaly which neither a function nor
// the machine explains.
const (
	CauseCode          = cause.Code
	CauseCPUQuota      = cause.CPUQuota
	CauseCPUContention = cause.CPUContention
	CauseMemory        = cause.Memory
	CauseDisk          = cause.Disk
	CauseNetwork       = cause.Network
	CausePeer          = cause.Peer
	CauseStopped       = cause.Stopped

	CauseUnknown CauseKind = "unknown"
)

// CauseUser is who uses a resource that a service lacks.
type CauseUser = cause.User

// Cause is a part of the time that an anomaly costs.
type Cause struct {
	Kind CauseKind
	// Share is the part of the time lost that it explains, 0 to 1.
	Share float64
	// Resource is the control group, the device or the peer's address; empty is the
	// host or, of code, the service.
	Resource string
	// Users are who uses it, the largest first.
	Users []CauseUser
}

// AddMachine takes what the service lacked of the machine. It keeps nothing of it.
func (a *Analyzer) AddMachine(m *threadtrace.Machine) {
	length := int64(a.cfg.Hop)
	for from, n := m.Start, 0; from < m.End && n < maxOpen; n++ {
		a.hopAt(from).AddMachine(m)
		from += length - from%length
	}
}

// usualActivity is the mean time on CPU or waiting amid work, in nanoseconds per second.
func usualActivity(p *baseline.Past, index *baseline.Index) (sum float64) {
	for _, state := range []baseline.State{baseline.OnCPU, baseline.Waiting} {
		if id, ok := index.Of(baseline.Cell{Function: baseline.Whole, State: state, Inclusive: true}); ok {
			sum += p.Mean(id)
		}
	}
	return sum
}

// weighMachine adds to a verdict what the machine has to do with it.
func (a *Analyzer) weighMachine(n *normal, v *verdict) {
	v.codeEffect = v.Effect
	if v.hop.Machine.Seconds == 0 {
		return
	}
	past := make([]*hop.Closed, 0, n.past.Len())
	for _, h := range n.past.Hops() {
		past = append(past, h.Hop)
	}
	a.machine.Evidence = a.cfg.decision().Evidence
	v.usual = usualActivity(n.past, a.habit.index)
	v.waits = a.waitsFor(v)
	v.machine = a.machine.Compare(&cause.Case{
		Hop: v.hop, Past: past, Work: v.Load.Work, CPUExcess: v.CPUExcess, WaitExcess: v.WaitExcess, Active: v.usual, Waits: v.waits,
		Storage: a.storageCalls(past, v), Moved: a.moved(past, v), Sent: a.sent(past, v), Syncs: a.syncTime,
	})
	v.outside = cause.Outside(v.machine.Causes)
	effect := func(causes []cause.Cause) float64 {
		outside := cause.Outside(causes)
		if outside == 0 {
			return 0
		}
		d := a.cfg.decision()
		return (v.CPUExcess + v.WaitExcess + outside) / max(d.Least, d.Share*(v.Active+outside))
	}
	if e := effect(v.machine.Causes); e > v.Effect {
		v.Effect = e
		for i := range v.machine.Causes {
			v.Evidence = max(v.Evidence, v.machine.Causes[i].Evidence)
		}
	}
	v.Doubt = max(v.Doubt, effect(v.machine.Doubts))
}

// waitsFor shares the waits in excess by what their calls can wait for.
func (a *Analyzer) waitsFor(v *verdict) (w cause.Waits) {
	all := 0.0
	for _, f := range v.Cells {
		if f.Cell.State != baseline.Waiting {
			continue
		}
		all += f.Excess
		class := a.classes.Of(f.Cell.Number)
		storage, peer := false, false
		switch {
		case f.Cell.Lock || class&(threadtrace.ClassFutex|threadtrace.ClassFileLock) != 0:
			w.Lock += f.Excess
			continue
		case class&threadtrace.ClassSleep != 0:
		case class&(threadtrace.ClassReadiness|threadtrace.ClassAccept|threadtrace.ClassConnect) != 0:
			peer = true
		case class&(threadtrace.ClassReadLike|threadtrace.ClassInput|threadtrace.ClassOutput) != 0:
			storage, peer = true, class&threadtrace.ClassFile == 0
		default: // a file is opened or changed, memory is touched
			storage = class&threadtrace.ClassIdle == 0
		}
		if storage {
			w.Storage += f.Excess
		}
		if peer {
			w.Peer += f.Excess
		}
		if !storage && !peer {
			w.None += f.Excess
		}
	}
	if all == 0 {
		return cause.Waits{Storage: v.WaitExcess, Peer: v.WaitExcess} // no call stands out
	}
	for _, part := range []*float64{&w.Storage, &w.Peer, &w.Lock, &w.None} {
		*part *= v.WaitExcess / all
	}
	return w
}

// syncTime is the time in calls that wait for a disk, in nanoseconds per second.
func (a *Analyzer) syncTime(h *hop.Closed) (sum float64) {
	for k, t := range h.Calls {
		if a.classes.Is(k.Number, threadtrace.ClassSync) {
			sum += t.Time
		}
	}
	return sum
}

// storageCalls is how many times as often as usual, for its load, the service makes
// calls that wait for storage; 1 when too few are known.
func (a *Analyzer) storageCalls(past []*hop.Closed, v *verdict) float64 {
	return max(a.times(past, v, threadtrace.ClassSync, callCount), a.times(past, v, threadtrace.ClassFile|threadtrace.ClassLookup, callCount))
}

// moved is how many times as many bytes as usual the service reads and writes.
func (a *Analyzer) moved(past []*hop.Closed, v *verdict) float64 {
	return max(a.times(past, v, threadtrace.ClassInput, callBytes), a.times(past, v, threadtrace.ClassOutput, callBytes))
}

// sent is how many times as often as usual, or as much, the service writes.
func (a *Analyzer) sent(past []*hop.Closed, v *verdict) float64 {
	return max(a.times(past, v, threadtrace.ClassOutput, callCount), a.times(past, v, threadtrace.ClassOutput, callBytes))
}

// use is a figure of calls, and the least of it per second that says something.
type use struct {
	of    func(hop.Totals) float64
	least float64
}

var (
	callCount = use{func(t hop.Totals) float64 { return t.N }, 1}
	callBytes = use{func(t hop.Totals) float64 { return t.Bytes }, 64 << 10}
)

// times is how many times as much as usual, for its load, the service uses calls of a
// class that succeed; 1 when that is less than usual or too little.
func (a *Analyzer) times(past []*hop.Closed, v *verdict, class threadtrace.Class, u use) float64 {
	sum := func(h *hop.Closed) (all float64) {
		for k, t := range h.Calls {
			if k.Errno == 0 && a.classes.Is(k.Number, class) {
				all += u.of(t)
			}
		}
		return all
	}
	usual, traced := 0.0, 0.0
	for _, h := range past {
		if h.Traced() {
			usual, traced = usual+sum(h), traced+1
		}
	}
	now := sum(v.hop)
	if traced == 0 || now < u.least {
		return 1
	}
	return max(1, now/(max(usual/traced, u.least)*max(1, v.Load.Work)))
}

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

// leastTold is the share of the time lost from which a cause is told.
const leastTold = 0.1

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
	if code := 1 - machine; code >= leastTold {
		out = append(out, Cause{Kind: CauseCode, Share: Round(code)})
	}
	for i := range v.machine.Doubts {
		c := &v.machine.Doubts[i]
		if share := machine * c.Lost / sum; share >= leastTold {
			out = append(out, Cause{Kind: c.Kind, Share: Round(share), Resource: c.Resource, Users: c.Users})
		}
	}
	slices.SortStableFunc(out, func(a, b Cause) int { return cmp.Compare(b.Share, a.Share) })
	return out
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

// external is the part of the time lost for which something else than the service is
// known to be the reason.
func (v *verdict) external() float64 {
	external, all := 0.0, 0.0
	for i := range v.machine.Doubts {
		c := &v.machine.Doubts[i]
		all += c.Lost
		if c.External {
			external += c.Lost
		}
	}
	return v.ofMachine() * ratio(external, all)
}

// innocent reports whether most of the time is lost for reasons that are known to lie
// outside of the service, and less than a third to what can be nothing but the code.
func (v *verdict) innocent() bool {
	const most, little = 1.0 / 2, 1.0 / 3
	return v.external() > most && v.CPUExcess+v.waits.None < little*v.lost()
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
		found.Hit, found.Suspects, found.Path, found.Order, found.Pattern, found.Scope = found.Suspects, nil, nil, nil, "", 0
	case whole.ofMachine() > 0.5:
		found.codeFirst(false)
	case found.Causes[0].Kind == CauseCode && len(found.Suspects) == 0:
		found.Causes[0].Kind = CauseUnknown
	}
	sayCauses(found, say)
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
