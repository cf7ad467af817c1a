package cause

import (
	"cmp"
	"maps"
	"slices"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// stopped are threads that are stopped or frozen. What is lost is the service's usual
// activity: most threads of a pool would have waited for work.
func (f *finder) stopped() {
	x := f.measure(threadtrace.MeasureStopped)
	if x.now == 0 {
		return
	}
	all := x.now
	for _, w := range []map[hop.Place]hop.Wait{f.Hop.Wait, f.Hop.Fresh} {
		for _, t := range w {
			all += t.Time
		}
	}
	all += f.Hop.CPUTotal
	f.add(Cause{Kind: Stopped, Lost: x.grown() / all * f.Active, Evidence: x.evidence(x.mean, f.grain()), External: true})
}

// grain is what one sighting stands for, in nanoseconds per second: a snapshot of a
// thread, or a record of the machine where none was made.
func (f *finder) grain() float64 {
	if f.Hop.SnapshotPeriod > 0 {
		return f.Hop.SnapshotPeriod
	}
	return f.Hop.Machine.Look()
}

// delayed is the time in which threads could run and had no CPU. It is shared between
// the quota, other processes, the hypervisor and the service's own growth by how much
// each has grown.
func (f *finder) delayed() {
	x := f.aspect(delays, func(h *hop.Closed) float64 { return h.RunDelay })
	expected := x.mean * max(1, f.Work)
	excess := x.now - expected
	if excess <= 0 {
		return
	}
	evidence := x.evidence(expected, criteria.LeastCPU) // the kernel sums delays up, nobody looks
	group, throttled := f.largest(threadtrace.MeasureThrottledTime)
	own := f.aspect(ownCPU, func(h *hop.Closed) float64 { return h.CPUTotal })
	others := f.aspect(othersCPU, func(h *hop.Closed) float64 {
		return max(0, h.Machine.Of(threadtrace.MeasureHostBusy)-h.CPUTotal)
	})
	othersGrew := others.grown()
	steal := f.measure(threadtrace.MeasureSteal)
	grew := max(own.grown(), f.CPUExcess)
	if f.hostIsFull() && throttled == 0 && grew <= criteria.Little*own.mean && !f.Oftener {
		// Nobody can use more than all: who has the CPUs in its place has them, though,
		// when it does not use more itself, nor asks for them more often.
		othersGrew = max(othersGrew, excess)
	}
	all := throttled + othersGrew + steal.grown() + grew
	part := func(grown float64) float64 { return excess * ratio(grown, all) }
	// Who has a CPU for a time keeps as many threads from it for that time as are ready.
	keeps := func(grown float64) float64 { return min(part(grown), grown*(1+x.now/1e9)) }
	if throttled > 0 {
		f.add(Cause{Kind: CPUQuota, Resource: group, Lost: part(throttled), Evidence: evidence, External: true})
	}
	if othersGrew > 0 {
		f.add(Cause{Kind: CPUContention, Lost: keeps(othersGrew), Evidence: evidence, External: true, Users: f.users(threadtrace.MeasureHostBusy)})
	}
	if steal.grown() > 0 {
		f.add(Cause{Kind: CPUContention, Resource: "hypervisor", Lost: keeps(steal.grown()), Evidence: evidence, External: true})
	}
	if f.Oftener && evidence > 0 {
		f.requeued = max(0, excess-part(throttled)-keeps(othersGrew)-keeps(steal.grown()))
	}
}

func ratio(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// hostIsFull reports whether all CPUs are in use.
func (f *finder) hostIsFull() bool {
	m := &f.Hop.Machine
	cpus := m.Of(threadtrace.MeasureCPUs)
	return cpus > 0 && m.Of(threadtrace.MeasureHostBusy) >= criteria.NearlyAll*cpus*1e9
}

// peers are those that take longer to answer than in the past, or that do not take what
// is sent to them.
func (f *finder) peers() {
	// A connection on which the peer speaks when it likes looks like one that waits: what
	// neither a thread nor a client of the service waits for costs nobody anything.
	clients := f.measure(threadtrace.MeasureClientWait)
	felt := f.Waits.Peer + f.Waits.Lock + clients.grown()
	for _, name := range f.names(threadtrace.MeasurePeerWait) {
		x := f.resource(hop.Resource{Measure: threadtrace.MeasurePeerWait, Name: name})
		answers := f.resource(hop.Resource{Measure: threadtrace.MeasurePeerSegments, Name: name})
		expected := x.mean * max(1, f.Work)
		if answers.mean > 0 {
			// More questions wait longer in all.
			expected = x.mean * max(1, answers.now/answers.mean)
		} else if x.mean == 0 {
			continue // a peer that it has never asked before is the code's choice
		}
		// That it takes longer may be because of what it is asked for.
		f.add(Cause{Kind: Peer, Resource: name, Lost: min(felt, x.now-expected), Evidence: x.evidence(expected, f.Hop.Machine.Look()), Waits: true})
	}
	f.limited(threadtrace.MeasureReceiverLimited, Peer)
	f.limited(threadtrace.MeasureNetworkLimited, Network)
}

func (f *finder) limited(m threadtrace.Measure, kind Kind) {
	names := f.names(m)
	if len(names) == 0 || f.Sent() >= criteria.ManyTimes {
		return // there is more to send
	}
	for _, name := range names {
		x := f.resource(hop.Resource{Measure: m, Name: name})
		f.add(Cause{Kind: kind, Resource: name, Lost: x.grown(), Evidence: x.evidence(x.mean*max(1, f.Work), f.grain()), Waits: true, External: kind == Network})
	}
}

func (f *finder) add(c Cause) { f.found = append(f.found, c) }

// names are the resources of a measure in the hop, in order.
func (f *finder) names(m threadtrace.Measure) []string {
	var names []string
	f.Hop.Machine.Each(m, func(name string, _ float64) { names = append(names, name) })
	slices.Sort(names)
	return names
}

// largest is the resource of a measure that has grown most, and by how much.
func (f *finder) largest(m threadtrace.Measure) (name string, grown float64) {
	for _, n := range f.names(m) {
		if g := f.resource(hop.Resource{Measure: m, Name: n}).grown(); g > grown {
			name, grown = n, g
		}
	}
	return name, grown
}

// users are the neighbours that use more of a resource than they did, the largest first.
func (f *finder) users(of threadtrace.Measure) (users []User) {
	const listed = 3
	type who struct {
		name string
		pid  int32
	}
	grown, all := map[who]float64{}, 0.0
	for u, v := range f.Hop.Machine.Users {
		if u.Of != of {
			continue
		}
		was := f.of(func(h *hop.Closed) (sum float64) {
			for k, v := range h.Machine.Users {
				if k.Of == of && k.Name == u.Name {
					sum += v
				}
			}
			return sum
		})
		if more := v - was.mean; more > 0 {
			grown[who{u.Name, u.PID}] += more
			all += more
		}
	}
	for _, w := range slices.SortedFunc(maps.Keys(grown), func(a, b who) int {
		return cmp.Or(cmp.Compare(grown[b], grown[a]), cmp.Compare(a.name, b.name), cmp.Compare(a.pid, b.pid))
	}) {
		if share := grown[w] / all; share >= criteria.Little && len(users) < listed {
			users = append(users, User{Name: w.name, PID: w.pid, Share: share})
		}
	}
	return users
}
