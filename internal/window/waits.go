package window

import (
	"maps"
	"math"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

func (s *Service) compareWaiting(v *verdict, p *past, c *closedHop) {
	now := map[group]float64{}
	active := 0.0
	held := map[waitSite]bool{}
	exact := map[group]bool{}
	homeless := map[waitSite]int{}
	for cell := range c.spans {
		if cell.waiting && !p.homes[cell.thread] {
			homeless[waitSite{cell.stack, cell.number}]++
		}
	}
	for site, w := range c.wait {
		g, ok := s.innermost(site.stack, site.number)
		if !ok || s.idles(p, site) || s.unasked(p, site, 2*homeless[site] >= w.threads, v.load) {
			continue
		}
		held[site] = true
		exact[g] = exact[g] || w.exact
		now[g] += w.time
		active += w.time
	}
	// More at a time wait more: a step of the load makes threads or comes
	// through more of them, and a bug in a pool makes none.
	load := v.load
	if p.threads > 0 {
		load = max(load, float64(c.threads)/p.threads)
	}
	threads := s.waiters(c)
	onDisk := s.slowSyncs(p, c, now, load)
	forDisk := sum(onDisk)
	parts := 0.0
	weight, more := map[group]float64{}, map[group]float64{}
	for g, t := range now {
		was := p.waitGroup(g)
		expected := was.Expected(load) + onDisk[g]
		if s.forThreads(g) {
			expected += forDisk * threads[g]
		}
		if exact[g] && t > expected || t-expected > noise(expected, c.period.snapshot) {
			x := math.Round(t - expected)
			parts += x
			v.waited[g.number] += x
			more[g] = x
			// Ten threads stuck at one place are one reason.
			weight[g] = min(x, 1e9)
		}
	}
	whole := maps.Clone(weight)
	s.explainWaits(v, threads, now, weight)
	weights := sum(weight)
	if !c.starved {
		v.waitExcess = beyond(parts, active, p.waitTotal, p.waitWorst, load)
	}
	v.active += active
	v.waitWeight = min(v.waitExcess, weights)
	for site, w := range c.wait {
		st := suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceBlocked, Now: w.time, Past: p.waitMean[site], Call: site.number, Stuck: w.longest >= stuckAfter, Idle: s.idles(p, site)}
		if g, ok := s.innermost(site.stack, site.number); ok && held[site] && v.waitExcess > 0 {
			// What others explain makes no caller grow.
			st.Now -= math.Round(w.time * share(more[g], now[g]) * (1 - share(weight[g], whole[g])))
			st.Excess = math.Round(v.waitWeight * share(w.time, now[g]) * share(weight[g], weights))
			if st.Excess > 0 {
				v.hot[threadCell{stack: site.stack, number: site.number, waiting: true}] = true
				v.waiting[site.number] += st.Excess
				if st.Stuck {
					v.stuck += st.Excess
				}
			}
		}
		v.times = append(v.times, st)
	}
	for site, t := range p.waitMean {
		if _, ok := c.wait[site]; !ok {
			v.times = append(v.times, suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceBlocked, Past: t, Idle: s.idles(p, site)})
		}
	}
}

// slowSyncs is by how much longer than the past and the load let expect a hop
// may wait for storage and nothing is wrong with the service: that clients write
// more often does not show in the load, which is of reads and writes, and the
// disk is not its own.
func (s *Service) slowSyncs(p *past, c *closedHop, now map[group]float64, load float64) map[group]float64 {
	allowed := map[group]float64{}
	for g, t := range now {
		if !s.classes.Is(g.number, syscalltrace.ClassSync) {
			continue
		}
		was := p.waitGroup(g)
		expected := was.Expected(load)
		longest := was.Expected(max(load, p.moreWrites(c, g.number))) * p.slowDisk(c, g.number)
		allowed[g] = math.Round(max(0, min(t, longest)-expected))
	}
	return allowed
}

// moreWrites is how many times as often as ever a hop syncs. From
// suspect.ManyTimes on it is not that clients write more, but something else.
func (p *past) moreWrites(c *closedHop, number int32) float64 {
	call := unit.Key{Number: number}
	if more := share(c.calls[call].n, p.callMean[call].n); more < suspect.ManyTimes {
		return more
	}
	return 1
}

// slowDisk is by how much longer a sync takes, as when others use the same disk,
// or its cache is full; at most 2, as of a slowMachine.
func (p *past) slowDisk(c *closedHop, number int32) float64 {
	now, was := c.calls[unit.Key{Number: number}], p.callMean[unit.Key{Number: number}]
	return min(2, max(1, share(share(now.time, now.n), share(was.time, was.n))))
}

// forThreads reports whether a wait is for what other threads do: at a
// condition, not at a lock.
func (s *Service) forThreads(g group) bool {
	return s.classes.Is(g.number, syscalltrace.ClassFutex) && !g.lock
}

// waiters counts the threads that waited at a place, at most as many as there
// were.
func (s *Service) waiters(c *closedHop) map[group]float64 {
	threads := map[group]float64{}
	for site, w := range c.wait {
		if g, ok := s.innermost(site.stack, site.number); ok {
			threads[g] = min(threads[g]+float64(w.threads), float64(c.threads))
		}
	}
	return threads
}

// notExplained is the part of a wait for other threads that counts in any case:
// they are slower, too, and stay among the suspects.
const notExplained = 0.1

// explainWaits takes from the weight of waits for other threads what those
// others' own excess explains. A thread that waits at a condition for a result
// (the followers of a group commit, a listener without an idle worker) is held up
// by what the one it waits for does: so many threads wait so many times as long
// as that one is busy, or waits for something outside. So is one that queues for
// a lock, unless the function that takes it is the one that is busy, or nobody
// is: a lock that is only taken too often has no other reason.
func (s *Service) explainWaits(v *verdict, threads, now, weight map[group]float64) {
	// What is waited for outside, and what is done (of v.times there is so far
	// that on CPU), by the function that does it.
	by, all := map[int32]float64{}, 0.0
	for g, w := range weight {
		if !s.forThreads(g) && !g.lock {
			by[g.function] += w
			all += w
		}
	}
	for _, t := range v.times {
		if g, ok := s.innermost(t.Stack, 0); ok && t.Excess > 0 {
			by[g.function] += t.Excess
			all += t.Excess
		}
	}
	for g, w := range weight {
		if !s.forThreads(g) && !g.lock {
			continue
		}
		others := all
		if g.lock {
			// Who takes a lock holds it as well.
			others -= by[g.function]
		}
		explained := min(1, share(others*threads[g], now[g]))
		weight[g] = math.Round(w * max(notExplained, 1-explained))
	}
}

// idles reports whether threads at a site wait for something to do: a call
// that can mean that, no lock above it, at a place where threads spent their
// time before.
func (s *Service) idles(p *past, site waitSite) bool {
	if !s.idleCapable(site) {
		return false
	}
	if p.waitShare[site] >= idleShare {
		return true
	}
	// The place may have had fewer names, or more, while it was learned.
	stack := s.stacks.Get(site.stack)
	for _, was := range p.idle {
		if was.number == site.number && stack.Same(s.stacks.Get(was.stack)) {
			return true
		}
	}
	return false
}

// unasked reports whether threads that were always at work wait because there
// is less of it: more waiting at known places by threads that have no other
// place to idle.
func (s *Service) unasked(p *past, site waitSite, homeless bool, load float64) bool {
	return homeless && load < lessWork && p.waitShare[site] >= present && s.idleCapable(site)
}

func (s *Service) idleCapable(site waitSite) bool {
	return s.mayIdle(site.number) && !s.stacks.Get(site.stack).Lock
}
