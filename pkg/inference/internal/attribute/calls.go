package attribute

import (
	"maps"
	"slices"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// NotRare is the rate, in calls per second, below which a call cannot fill a
	// core or be noticed by a request.
	NotRare = 20.0

	enoent, einprogress = 2, 115
)

// Fails reports whether a call that ended so failed: a lookup that finds nothing has its
// answer.
func Fails(number, errno int32, classes *threadtrace.Classes) bool {
	return errno != 0 && (errno != enoent || !classes.Is(number, threadtrace.ClassLookup))
}

func placeOf(t Time) hop.Place { return hop.Place{Stack: t.Stack, Number: t.Call} }

// CallTimes credits the stacks at calls that became more. The excess time in the
// call itself is the least it stands for; a call that newly fails is why its
// callers keep trying, so together such calls stand for half of the excess on CPU.
func (c *Case) CallTimes() []Time {
	excess, failing := c.moreCalls()
	perKey := map[unit.Key]float64{}
	made := c.Hop.Sites.Map()
	sites := slices.SortedFunc(maps.Keys(made), hop.Site.Compare)
	for _, site := range sites {
		perKey[site.Key] += made[site]
	}
	half := c.Verdict.CPUExcess / 2
	times := make([]Time, 0, len(sites))
	for _, site := range sites {
		n := made[site]
		t := Time{Stack: site.Stack, Kind: EvidenceSyscall, Now: n, Past: c.Past.Sites[site], Failing: c.fails(site.Key)}
		if x := excess[site.Key]; x > 0 && half > 0 {
			calls := c.Hop.Calls[site.Key]
			cost := min(x*calls.Time/calls.N, half)
			if t.Failing && failing > 0 {
				// A loop around it that burns CPU turns in microseconds, while callers that
				// fail because they were kept waiting do so now and then.
				cost = max(cost, min(half*x/failing, x*hop.LongCall))
			}
			t.Excess = cost * n / perKey[site.Key]
		}
		times = append(times, t)
	}
	c.callsOnBehalf(times)
	for _, site := range slices.SortedFunc(maps.Keys(c.Past.Sites), hop.Site.Compare) {
		if _, ok := made[site]; !ok {
			times = append(times, Time{Stack: site.Stack, Kind: EvidenceSyscall, Past: c.Past.Sites[site]})
		}
	}
	return times
}

// callsOnBehalf takes away the calls that a runtime makes by itself (it wakes threads,
// it gives memory back), where the application computes more or makes more calls.
func (c *Case) callsOnBehalf(times []Time) {
	others := false
	for _, f := range c.Verdict.Cells {
		others = others || f.Cell.Function >= 0 && !c.Stacks.IsRuntime(f.Cell.Function)
	}
	for _, t := range times {
		others = others || t.Excess > 0 && !c.Stacks.Get(t.Stack).Runtime
	}
	for i := range times {
		if others && c.Stacks.Get(times[i].Stack).Runtime {
			times[i].Excess = 0
		}
	}
}

func (c *Case) fails(k unit.Key) bool { return Fails(k.Number, k.Errno, c.Classes) }

// moreCalls are the calls that became more, by how many per second, and the sum of
// the failing ones.
func (c *Case) moreCalls() (excess map[unit.Key]float64, failing float64) {
	excess = map[unit.Key]float64{}
	for _, k := range hop.Keys(c.Hop.Calls) {
		t, was := c.Hop.Calls[k], c.Past.Calls[k]
		x := t.N - max(1, c.Verdict.Load.Work)*was.N
		if x < NotRare || t.N < criteria.ManyTimes*was.N {
			continue
		}
		excess[k] = x
		if c.fails(k) {
			failing += x
		}
	}
	return excess, failing
}

// RefusalTimes credits the stacks at refused calls, each call alike: no time tells
// one from the other. They are compared with the stacks at all calls of the past:
// what is on those explains nothing.
func (c *Case) RefusalTimes() []Time {
	var times []Time
	asked := c.asked()
	made := c.Hop.Sites.Map()
	for _, site := range slices.SortedFunc(maps.Keys(made), hop.Site.Compare) {
		if n := made[site]; slices.Contains(asked, site.Key) {
			times = append(times, Time{Stack: site.Stack, Kind: EvidenceSyscall, Now: n, Excess: n, Failing: true})
		}
	}
	for _, site := range slices.SortedFunc(maps.Keys(c.Past.Sites), hop.Site.Compare) {
		times = append(times, Time{Stack: site.Stack, Kind: EvidenceSyscall, Past: c.Past.Sites[site]})
	}
	return times
}

// asked are the calls that asked for what was refused: the refused ones, but of
// connects that were not waited for the ones that began them. What then hears of
// the refusal is a check when the socket is ready; who connects is to blame.
func (c *Case) asked() []unit.Key {
	var asked []unit.Key
	for _, f := range c.Verdict.Refused {
		k := unit.Key{Number: f.Cell.Number, Errno: f.Cell.Function}
		begun := unit.Key{Number: k.Number, Errno: einprogress}
		// Of those that were refused each was begun, some just before the hops.
		if c.Classes.Is(k.Number, threadtrace.ClassConnect) && 2*c.Hop.Calls[begun].N > c.Hop.Calls[k].N {
			k = begun
		}
		if !slices.Contains(asked, k) {
			asked = append(asked, k)
		}
	}
	return asked
}
