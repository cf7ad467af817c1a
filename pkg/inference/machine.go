package inference

import (
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/cause"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
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
	CauseUnanswered    = cause.Unanswered

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
	v.codeEffect, v.past = v.Effect, n.past
	if v.hop.Machine.Seconds == 0 {
		return
	}
	if n.machine == nil {
		n.machine = cause.NewPast(n.hops())
	}
	a.machine.Evidence = a.cfg.decision().Evidence
	v.usual = usualActivity(n.past, a.habit.index)
	v.waits = a.waitsFor(v)
	v.machine = a.machine.Compare(&cause.Case{
		Hop: v.hop, Past: n.machine, Work: v.Load.Work, CPUExcess: v.CPUExcess, WaitExcess: v.WaitExcess, Active: v.usual, Waits: v.waits,
		Storage: func() float64 { return a.storageCalls(n.hops(), v) }, Moved: func() float64 { return a.moved(n.hops(), v) },
		Sent: func() float64 { return a.sent(n.hops(), v) }, Syncs: a.syncTime,
		Told: v.Effect >= 1, Oftener: a.waitsOftener(n, v),
	})
	a.addRequeued(v)
	a.addMachine(v)
}

// waitsOftener reports whether waits in excess are in calls that the service makes many times
// as often as its load lets expect.
func (a *Analyzer) waitsOftener(n *normal, v *verdict) bool {
	return slices.ContainsFunc(v.Cells, func(f detect.Finding) bool {
		calls := v.hop.Calls[unit.Key{Number: f.Cell.Number}].N
		return f.Cell.State == baseline.Waiting && calls >= attribute.NotRare &&
			calls >= criteria.ManyTimes*max(1, v.Load.Work)*n.past.CallRate(f.Cell.Number)
	})
}

// addRequeued adds to what the code waits the time in which it could go on after its waits and
// had no CPU: who waits at every step queues at every step, and on a busy host that is the
// longer part.
func (a *Analyzer) addRequeued(v *verdict) {
	requeued := v.machine.Requeued
	if requeued == 0 || v.hop.Starved {
		return
	}
	d := a.cfg.decision()
	v.WaitExcess += requeued
	v.Active += requeued
	effect := (v.CPUExcess + v.WaitExcess) / max(d.Least, d.Share*v.Active)
	v.queues = v.Effect < 1 && effect >= 1
	v.Effect = max(v.Effect, effect)
	v.codeEffect, v.Doubt = v.Effect, max(v.Doubt, v.Effect)
}

// addMachine adds what is lost for want of the machine to what the code has in excess.
func (a *Analyzer) addMachine(v *verdict) {
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
	callCount = use{func(t hop.Totals) float64 { return t.N }, criteria.Seldom}
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
