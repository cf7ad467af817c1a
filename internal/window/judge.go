package window

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/unit"
)

const (
	// worthTelling is the share of a service's active time that must be in
	// excess of its past: a fifth is where a person begins to notice, and more
	// than the cost of a request moved in any load step measured.
	worthTelling = 0.2
	// worthLooking is the excess in seconds per second of one thread below
	// which nobody would change anything.
	worthLooking = 0.05
	// certain is the score at which one hop is enough; below, the next must
	// be abnormal too. Two is twice the level no learned hop reaches.
	certain = 2.0
	// idleShare is the share of its threads' time above which a site where
	// threads may idle is where they do.
	idleShare = 0.25
	// lessWork is the load below which more waiting at known idle sites is
	// what one expects.
	lessWork = 0.7
	// stuckAfter is how long a single wait amid work must have lasted, in
	// nanoseconds, to be called stuck: what people call a hang, and from when
	// the receiver reports a call as in flight.
	stuckAfter = int64(1e9)
	// present is the share of a thread's time that makes a site known.
	present = 0.02
	// fewPerSecond is the rate below which a measure of work says nothing
	// about the load.
	fewPerSecond = 2.0
)

// works reports whether the service was asked for something in the hop.
func (c *closedHop) works() bool {
	if !c.traced {
		return c.cpuTotal >= onePercent
	}
	for _, m := range workMeasures {
		if c.measures[m.Count] >= fewPerSecond {
			return true
		}
	}
	return false
}

// verdict is how a hop compares with the past.
type verdict struct {
	load       float64
	times      []suspect.StackTime
	cpuExcess  float64
	waitExcess float64
	// waitWeight is the waiting counted once for each place.
	waitWeight float64
	active     float64
	score      float64
	stuck      float64
	waiting    map[int32]float64
	lock       float64
	// hot has the cells whose time is in excess, their thread left out.
	hot map[threadCell]bool
}

// judge holds a hop against the past and reports whether it is abnormal; the
// anomaly has a score only if it is to be told.
func (s *Service) judge(c *closedHop) (suspect.Anomaly, bool) {
	if e := s.episode; e != nil {
		return s.judgeEpisode(e, c)
	}
	// The newest hop may hold the beginning of what is found now.
	learned := s.closed
	if len(learned) > minPast {
		learned = learned[:len(learned)-1]
	}
	if c.works() {
		// Hops without work say nothing about what work costs.
		learned = slices.DeleteFunc(slices.Clone(learned), func(h *closedHop) bool { return !h.works() })
	}
	if len(learned) < minPast {
		return s.warmUp(c)
	}
	p := s.newPast(learned)
	v := s.compare(p, c)
	o := s.outliers(learned, c, v.active, 1)
	if v.score < 1 && o.score < 1 {
		return suspect.Anomaly{}, false
	}
	s.episode = newEpisode(p, learned, c)
	return s.judgeEpisode(s.episode, c)
}

// compare sets each stack's time beside what the past and the load let
// expect. Threads without a past (a backup, a pool that was just started) count
// only when the others are hurt: less work is done, or they are slower, too.
func (s *Service) compare(p *past, c *closedHop) verdict {
	v := s.compareKnown(p, c, max(sum(c.cpu), c.cpuTotal-sum(c.freshCPU)))
	if len(c.fresh)+len(c.freshCPU) > 0 && (v.load < lessWork || v.score >= 1) {
		v = s.compareKnown(p, s.withFresh(c), c.cpuTotal)
	}
	s.stats.Score, s.stats.Load, s.stats.Active = v.score, v.load, v.active/1e9
	return v
}

func (s *Service) compareKnown(p *past, c *closedHop, cpuTotal float64) verdict {
	v := verdict{load: p.loadOf(s, c), waiting: map[int32]float64{}, hot: map[threadCell]bool{}}
	s.compareCPU(&v, p, c, cpuTotal)
	s.compareWaiting(&v, p, c)
	threshold := max(worthLooking*1e9, worthTelling*v.active)
	v.score = max(v.cpuExcess, v.waitExcess) / threshold
	slices.SortFunc(v.times, func(a, b suspect.StackTime) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Now, b.Now), cmp.Compare(a.Past, b.Past))
	})
	return v
}

// withFresh is the hop with what threads without a past did, but for what may
// be their idling.
func (s *Service) withFresh(c *closedHop) *closedHop {
	w := *c
	w.cpu, w.wait = maps.Clone(c.cpu), maps.Clone(c.wait)
	for stack, t := range c.freshCPU {
		w.cpu[stack] += t
	}
	for site, t := range c.fresh {
		if !s.idleCapable(site) {
			k := w.wait[site]
			w.wait[site] = waitTime{k.time + t.time, k.threads + t.threads, max(k.longest, t.longest)}
		}
	}
	return &w
}

// group sums the time of stacks whose innermost application function and call
// are the same: what is held against the past, since whole stacks are too
// many to have one.
type group struct {
	function int32
	number   int32
	lock     bool
}

// innermost is the group of a stack; false when it has no application code,
// which is a runtime's or library's own thread and nobody's suspect.
func (s *Service) innermost(stack uint32, number int32) (group, bool) {
	st := s.stacks.Get(stack)
	if len(st.Frames) == 0 {
		return group{}, false
	}
	return group{function: st.Frames[0], number: number, lock: st.Lock}, true
}

// beyond is the excess of a figure: the whole must be beyond the past for the parts to
// count, so that a new mix of requests at the old cost is none of our
// business; and the parts must have grown, so that work that goes on while
// requests stop is none either.
func beyond(parts float64, total float64, past outlier.Past, worst, load float64) float64 {
	return max(0, min(parts, total-worst*past.Proportional(load)))
}

// cpuGroups sums the CPU time of a hop by group.
func (s *Service) cpuGroups(c *closedHop) map[group]float64 {
	sums := map[group]float64{}
	for stack, t := range c.cpu {
		if g, ok := s.innermost(stack, 0); ok {
			sums[g] += t
		}
	}
	return sums
}

// slowMachine is by how much every function takes longer than expected, as
// when others use the same cores and caches: the lower quartile over the
// functions that had a percent of a CPU, so that a bug which leaves a quarter
// of them alone is not taken for it; at most 2, since two threads on one core
// at most double each other's time.
func slowMachine(p *past, now map[group]float64, load float64) float64 {
	var ratios []float64
	for g := range p.cpu {
		if was := p.cpuGroup(g); was.Median() >= onePercent {
			ratios = append(ratios, now[g]/was.Expected(load))
		}
	}
	if len(ratios) < 3 {
		return 1
	}
	slices.Sort(ratios)
	return min(2, max(1, ratios[len(ratios)/4]))
}

// spinning has the groups of threads that are on CPU for the whole hop, when
// none was before.
func (s *Service) spinning(p *past, c *closedHop) map[group]bool {
	spins := map[group]bool{}
	for cell := range c.spans {
		if g, ok := s.innermost(cell.stack, 0); ok && !p.spun && !cell.waiting && c.spinning[cell.thread] {
			spins[g] = true
		}
	}
	return spins
}

func (s *Service) compareCPU(v *verdict, p *past, c *closedHop, total float64) {
	now := s.cpuGroups(c)
	slow := slowMachine(p, now, v.load)
	busy := total >= 0.9*p.cpuTotal.Median()
	spins := s.spinning(p, c)
	excess := map[group]float64{}
	parts := 0.0
	for g, t := range now {
		was := p.cpuGroup(g)
		expected := was.Expected(v.load)
		if (busy || spins[g]) && v.load < 1 {
			// It is as busy as ever with less to do.
			expected = was.Proportional(v.load)
		}
		expected *= slow
		if x := t - expected - noise(expected, c.period.sample); x > 0 {
			excess[g] = t - expected
			parts += t - expected
		}
	}
	v.cpuExcess = beyond(parts, total, p.cpuTotal, p.cpuWorst*slow, v.load)
	v.active += total
	for stack, t := range c.cpu {
		st := suspect.StackTime{Stack: stack, Kind: suspect.EvidenceOnCPU, Now: t, Past: p.cpuMean[stack]}
		if g, ok := s.innermost(stack, 0); ok && v.cpuExcess > 0 {
			st.Excess = v.cpuExcess * share(t, now[g]) * share(excess[g], parts)
			v.hot[threadCell{stack: stack}] = st.Excess > 0
		}
		v.times = append(v.times, st)
	}
	for stack, t := range p.cpuMean {
		if _, ok := c.cpu[stack]; !ok {
			v.times = append(v.times, suspect.StackTime{Stack: stack, Kind: suspect.EvidenceOnCPU, Past: t})
		}
	}
}

func (s *Service) compareWaiting(v *verdict, p *past, c *closedHop) {
	now := map[group]float64{}
	active := 0.0
	held := map[waitSite]bool{}
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
		now[g] += w.time
		active += w.time
	}
	// More at a time wait more: a step of the load makes threads or comes
	// through more of them, and a bug in a pool makes none.
	load := v.load
	if p.threads > 0 {
		load = max(load, float64(c.threads)/p.threads)
	}
	parts, weights := 0.0, 0.0
	weight := map[group]float64{}
	for g, t := range now {
		was := p.waitGroup(g)
		expected := was.Expected(load)
		if t-expected > noise(expected, c.period.snapshot) {
			parts += t - expected
			// Ten threads stuck at one place are one reason.
			weight[g] = min(t-expected, 1e9)
			weights += weight[g]
		}
	}
	v.waitExcess = beyond(parts, active, p.waitTotal, p.waitWorst, load)
	v.active += active
	v.waitWeight = min(v.waitExcess, weights)
	for site, w := range c.wait {
		st := suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceBlocked, Now: w.time, Past: p.waitMean[site]}
		if g, ok := s.innermost(site.stack, site.number); ok && held[site] && v.waitExcess > 0 {
			st.Excess = v.waitWeight * share(w.time, now[g]) * share(weight[g], weights)
			if st.Excess > 0 {
				v.hot[threadCell{stack: site.stack, number: site.number, waiting: true}] = true
				v.waiting[site.number] += st.Excess
				if g.lock {
					v.lock += st.Excess
				}
				if w.longest >= stuckAfter {
					v.stuck += st.Excess
				}
			}
		}
		v.times = append(v.times, st)
	}
	for site, t := range p.waitMean {
		if _, ok := c.wait[site]; !ok {
			v.times = append(v.times, suspect.StackTime{Stack: site.stack, Kind: suspect.EvidenceBlocked, Past: t})
		}
	}
}

// idles reports whether threads at a site wait for something to do: a call
// that can mean that, no lock above it, at a place where threads spent their
// time before.
func (s *Service) idles(p *past, site waitSite) bool {
	return s.idleCapable(site) && p.waitShare[site] >= idleShare
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

// noise is what chance adds to a sampled figure of that size: two standard
// deviations of a Poisson count, and two samples (all in nanoseconds per
// second; period is what one sample stands for).
func noise(expected, period float64) float64 {
	return 2*math.Sqrt(expected*period) + 2*period
}

func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

// callRates sets the calls of a hop beside the past's.
func callRates(p *past, calls map[unit.Key]callTotals) []suspect.CallRate {
	rates := make([]suspect.CallRate, 0, len(calls))
	for k, t := range calls {
		was := p.callMean[k]
		r := suspect.CallRate{Number: k.Number, Errno: k.Errno, Now: t.n, Past: was.n, BytesNow: t.bytes, BytesPast: was.bytes}
		if t.n > 0 {
			r.Mean = t.time / t.n
		}
		rates = append(rates, r)
	}
	for k, was := range p.callMean {
		if _, ok := calls[k]; !ok {
			rates = append(rates, suspect.CallRate{Number: k.Number, Errno: k.Errno, Past: was.n, BytesPast: was.bytes})
		}
	}
	return rates
}
