package window

import (
	"slices"

	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/unit"
)

// past is what the learned hops say of each figure.
type past struct {
	hops  []*closedHop
	loads []float64
	// The figures of each group, a value per hop.
	cpu, wait map[group][]float64
	// rare is the CPU time of the functions that nine in ten hops do not have,
	// all together; nobody is that of stacks without application code.
	rare, nobody outlier.Past
	// library is the CPU time of libraries' own threads, a value per hop.
	library map[int32][]float64
	// Totals, and how far the second worst learned hop was above what its load
	// let expect of it.
	cpuTotal, waitTotal outlier.Past
	cpuWorst, waitWorst float64
	// Means over the hops, per second.
	cpuMean  map[uint32]float64
	waitMean map[waitSite]float64
	callMean map[unit.Key]callTotals
	siteMean map[callSite]float64
	timedOut map[int32]float64
	// waitShare is the share of its threads' time that a site had or exceeded in
	// two hops. One alone may have had a hiccup, unless it is all of the time: a
	// place where threads idle is one they come back to, or stay at.
	waitShare map[waitSite]float64
	// idle are the sites where threads spent their time.
	idle []waitSite
	// homes has the threads that had a place to idle.
	homes map[int32]bool
	// threads is the median number of threads; spun is set when in more than
	// a quarter of the hops one was on CPU all the time.
	threads float64
	spun    bool
	// sample is what a sample on CPU stands for, in nanoseconds per second.
	sample float64
}

// worstAtMost bounds how much one learned hop may lift what is expected: a
// past that holds more than a doubling is no habit.
const worstAtMost = 2.0

func (s *Service) newPast(hops []*closedHop) *past {
	p := &past{
		hops: hops,
		cpu:  map[group][]float64{}, wait: map[group][]float64{},
		cpuMean: map[uint32]float64{}, waitMean: map[waitSite]float64{},
		callMean: map[unit.Key]callTotals{}, siteMean: map[callSite]float64{}, timedOut: map[int32]float64{},
		library: map[int32][]float64{}, waitShare: map[waitSite]float64{}, homes: map[int32]bool{},
	}
	n, tracedHops := float64(len(hops)), 0.0
	for _, h := range hops {
		p.sample += h.period.sample / n
		if h.traced {
			tracedHops++
		}
	}
	var threads []float64
	most := map[waitSite][]float64{}
	learnt := s.learntWaits(hops)
	spun := 0
	for i, h := range hops {
		for _, cpu := range []map[uint32]float64{h.cpu, h.freshCPU} {
			for stack, t := range cpu {
				p.cpuMean[stack] += t / n
				if g, ok := s.innermost(stack, 0); ok {
					add(p.cpu, g, i, len(hops), t)
				}
			}
		}
		for _, wait := range []map[waitSite]waitTime{h.wait, h.fresh} {
			for site, w := range wait {
				if !learnt(site) {
					continue
				}
				p.waitMean[site] += w.time / n
				most[site] = append(most[site], w.share())
			}
		}
		for id := range h.homes {
			p.homes[id] = true
		}
		for _, spins := range h.spinning {
			if spins {
				spun++
				break
			}
		}
		threads = append(threads, float64(h.threads))
		for k, t := range h.calls {
			m := p.callMean[k]
			p.callMean[k] = callTotals{m.n + t.n/tracedHops, m.time + t.time/tracedHops, m.bytes + t.bytes/tracedHops}
		}
		for nr, t := range h.timedOut {
			p.timedOut[nr] += t / tracedHops
		}
		for site, t := range h.callSites {
			p.siteMean[site] += t / tracedHops
		}
	}
	for site, shares := range most {
		slices.Sort(shares)
		if n := len(shares); shares[n-1] >= wholly {
			p.waitShare[site] = shares[n-1]
		} else if n > 1 {
			p.waitShare[site] = shares[n-2]
		}
	}
	p.threads = outlier.Median(threads)
	// A busy thread can go unseen in its waits for a hop.
	p.spun = 4*spun > len(hops)
	p.loads, _, _ = p.workLoads(nil)
	if p.loads == nil {
		p.loads, _, _, _ = p.functionLoads(s, nil)
	}
	for site, w := range p.waitShare {
		if w >= idleShare && s.idleCapable(site) {
			p.idle = append(p.idle, site)
		}
	}
	cpuTotals, waitTotals := make([]float64, len(hops)), make([]float64, len(hops))
	for i, h := range hops {
		cpuTotals[i] = h.cpuTotal
		for _, wait := range []map[waitSite]waitTime{h.wait, h.fresh} {
			for site, w := range wait {
				g, ok := s.innermost(site.stack, site.number)
				if !ok || s.idles(p, site) || !learnt(site) {
					continue
				}
				waitTotals[i] += w.time
				add(p.wait, g, i, len(hops), w.time)
			}
		}
	}
	rare, nobody := make([]float64, len(hops)), make([]float64, len(hops))
	for g, values := range p.cpu {
		if p.isRare(g) {
			for i, t := range values {
				rare[i] += t
			}
		}
	}
	for i, h := range hops {
		nobody[i] = s.nobodysCPU(h)
		for library, t := range s.libraryCPU(h.cpu) {
			add(p.library, library, i, len(hops), t)
		}
	}
	p.rare, p.nobody = p.figure(rare).WithoutChance(p.sample), p.figure(nobody).WithoutChance(p.sample)
	p.cpuTotal, p.cpuWorst = p.total(cpuTotals)
	p.waitTotal, p.waitWorst = p.total(waitTotals)
	return p
}

// learntWaits tells which waits of the past are one. What threads without a past
// do is none before it lasts, when others of their role do something else: such
// threads become known while they still wait, as soon as they were seen at work.
func (s *Service) learntWaits(hops []*closedHop) func(waitSite) bool {
	known, since := map[waitSite]bool{}, map[waitSite]int{}
	roles := map[int32]bool{}
	for _, h := range hops {
		for site := range h.wait {
			known[site] = true
			if role, ok := s.role(site.stack); ok {
				roles[role] = true
			}
		}
		for site := range h.fresh {
			since[site]++
		}
	}
	return func(site waitSite) bool {
		role, ok := s.role(site.stack)
		return known[site] || !ok || !roles[role] || since[site] >= minPast
	}
}

// role is the outermost application function of a stack: where a thread starts.
func (s *Service) role(stack uint32) (int32, bool) {
	frames := s.stacks.Get(stack).Frames
	if len(frames) == 0 {
		return 0, false
	}
	return frames[len(frames)-1], true
}

// hopsWith counts the hops that have a figure.
func hopsWith(values []float64) (n int) {
	for _, t := range values {
		if t > 0 {
			n++
		}
	}
	return n
}

// isRare reports whether nine in ten past hops do not have a function.
func (p *past) isRare(g group) bool { return 10*hopsWith(p.cpu[g]) <= len(p.hops) }

// share is the part of its threads' time.
func (w waitTime) share() float64 { return w.time / 1e9 / float64(max(1, w.threads)) }

func add[K comparable](groups map[K][]float64, g K, hop, hops int, t float64) {
	values := groups[g]
	if values == nil {
		values = make([]float64, hops)
		groups[g] = values
	}
	values[hop] += t
}

func (p *past) total(values []float64) (outlier.Past, float64) {
	t := outlier.NewPast(values, p.loads)
	// The second worst, for the same reason: a hiccup that happened once while
	// all was learned must not hide all that comes.
	worst, second := 1.0, 1.0
	for i, v := range values {
		if e := t.Proportional(p.loads[i]); e > 0 {
			second = max(second, min(worst, v/e))
			worst = max(worst, v/e)
		}
	}
	return t, min(second, worstAtMost)
}

func (p *past) cpuGroup(g group) outlier.Past  { return p.figure(p.cpu[g]).WithoutChance(p.sample) }
func (p *past) waitGroup(g group) outlier.Past { return p.figure(p.wait[g]) }

func (p *past) figure(values []float64) outlier.Past {
	if values == nil {
		return outlier.Past{}
	}
	return outlier.NewPast(values, p.loads)
}

// means is the mean time in each call, in nanoseconds.
func (p *past) means() map[unit.Key]float64 {
	m := make(map[unit.Key]float64, len(p.callMean))
	for k, t := range p.callMean {
		if t.n > 0 {
			m[k] = t.time / t.n
		}
	}
	return m
}
