package window

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"

	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/unit"
)

const (
	// worthTelling is the share of a service's active time that must be in
	// excess of its past: a fifth is where a person begins to notice.
	worthTelling = 0.2
	// worthLooking is the excess in seconds per second below which nobody would
	// change anything, a fiftieth of a CPU. It is no more because a server with
	// little to do is slow for its clients long before it is busy.
	worthLooking = 0.02
	// certain is the score at which one hop is enough; below, it takes the
	// next ones, too. Two is twice the level no learned hop reaches.
	certain = 2.0
	// idleShare is the share of its threads' time above which a site where
	// threads may idle is where they do.
	idleShare = 0.25
	// lessWork is the load below which more waiting at known idle sites is
	// what one expects.
	lessWork = 0.7
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
	// load and cpuLoad are those of loadsOf.
	load       float64
	cpuLoad    float64
	times      []suspect.StackTime
	cpuExcess  float64
	waitExcess float64
	// waitWeight is the waiting counted once for each place.
	waitWeight float64
	active     float64
	// score is the larger of the two below.
	score, timeScore, refusalScore float64
	// refused has the calls that were newly refused.
	refused []unit.Key
	stuck   float64
	// waiting is the excess waiting by call, counted once for each place,
	// waited that of every thread.
	waiting, waited map[int32]float64
	// hot has the cells whose time is in excess, their thread left out.
	hot map[threadCell]bool
}

// judge holds a hop against the past and reports whether it is abnormal; the
// anomaly has a score only if it is to be told.
func (s *Service) judge(c *closedHop) (suspect.Anomaly, bool) {
	if e := s.episode; e != nil {
		return s.judgeEpisode(e, c)
	}
	learned := s.learned(s.closed, c)
	if len(learned) < minPast {
		return s.warmUp(c)
	}
	p := s.newPast(learned)
	v := s.compare(p, c)
	o := s.outlierUnits(p, learned, c, v.active)
	s.note(v, o)
	if max(v.score, o.score) >= doubt {
		s.episode = newEpisode(p, learned, c)
	} else if s.episode = s.pooled(c); s.episode == nil {
		return suspect.Anomaly{}, false
	}
	return s.judgeEpisode(s.episode, c)
}

// learned are those of the hops before one that it is held against, fewer than
// minPast when they are not enough.
func (s *Service) learned(before []*closedHop, c *closedHop) []*closedHop {
	// The newest hop may hold the beginning of what is found now.
	if len(before) > minPast {
		before = before[:len(before)-1]
	}
	if c.works() {
		// Hops without work say nothing about what work costs.
		before = slices.DeleteFunc(slices.Clone(before), func(h *closedHop) bool { return !h.works() })
	}
	if len(before) < minPast {
		return before
	}
	return settled(before)
}

// settled leaves out the hops in which the service was still getting ready, as
// far as enough of a past remains: at first caches are empty and a JIT compiler
// is at work, and that is no habit.
func settled(hops []*closedHop) []*closedHop {
	for len(hops) > minPast {
		rest := make([]float64, 0, len(hops)-1)
		for _, h := range hops[1:] {
			rest = append(rest, h.cpuTotal)
		}
		if hops[0].cpuTotal <= (1+worthTelling)*outlier.Median(rest) {
			break
		}
		hops = hops[1:]
	}
	return hops
}

// note keeps the figures of the hop for Stats.
func (s *Service) note(v verdict, o outliers) {
	s.stats.Score, s.stats.Load, s.stats.Active = max(v.score, o.score), v.load, v.active/1e9
}

// compare sets each stack's time beside what the past and the load let
// expect. Threads without a past (a backup, a pool that was just started) count
// only when the others are hurt: less work is done, or they are slower, too.
func (s *Service) compare(p *past, c *closedHop) verdict {
	v := s.compareKnown(p, c, c.knownCPU())
	if len(c.fresh)+len(c.freshCPU) > 0 && (v.load < lessWork || v.score >= 1) {
		v = s.compareKnown(p, s.withFresh(c), c.cpuTotal)
	}
	return v
}

// knownCPU is the CPU time of the threads with a past: the exact one, or what was
// sampled if that is more than chance explains, since what a process used that
// ended between two looks is missing from the exact one.
func (c *closedHop) knownCPU() float64 {
	exact := max(0, c.cpuTotal-sum(c.freshCPU))
	// Twice the noise, since there are hundreds of hops in an hour.
	if sampled := sum(c.cpu); sampled > exact+2*noise(exact, c.period.sample) {
		return sampled
	}
	return exact
}

func (s *Service) compareKnown(p *past, c *closedHop, cpuTotal float64) verdict {
	load, cpuLoad := p.loadsOf(s, c)
	v := verdict{load: load, cpuLoad: cpuLoad, waiting: map[int32]float64{}, waited: map[int32]float64{}, hot: map[threadCell]bool{}}
	s.compareCPU(&v, p, c, cpuTotal)
	s.compareWaiting(&v, p, c)
	// CPU time is held against CPU time as well: a pool whose threads wait for
	// others most of the time would hide a loop that doubles it.
	onCPU := v.cpuExcess / threshold(cpuTotal)
	v.timeScore = max((v.cpuExcess+v.waitExcess)/threshold(v.active), onCPU)
	if v.waitExcess > 0 && s.stalled(&v, p, c) {
		v.timeScore = max(min(v.timeScore, doubt), onCPU)
	}
	s.compareRefusals(&v, p, c)
	v.score = max(v.timeScore, v.refusalScore)
	return v
}

// stalled reports whether the waiting in excess was there in less than a quarter
// of the hop: a single stall, as of a disk that flushes its cache, holds up all
// threads at once, and is over; so are a few syncs that last (a second and more), when a file that
// was written is put away. It takes three hops in a row to be told. Many waits that
// nobody made before are no stall, and so short that the looks may miss them.
func (s *Service) stalled(v *verdict, p *past, c *closedHop) bool {
	many := 0.0
	for number, excess := range v.waiting {
		if p.manyMore(c, number) {
			many += excess
		}
	}
	if 2*many > sum(v.waiting) {
		return false // however few looks met one
	}
	seen, onlySyncs, longest := uint64(0), true, int64(0)
	for cell, t := range c.spans {
		cell.thread = 0
		if !cell.waiting || !v.hot[cell] {
			continue
		}
		seen |= t.slices
		longest = max(longest, t.longest)
		onlySyncs = onlySyncs && s.classes.Is(cell.number, syscalltrace.ClassSync)
	}
	snapshot := c.period.snapshot * c.seconds
	moments := min(sliceCount, float64(s.cfg.Hop)/max(1, snapshot))
	return snapshot > 0 && (onlySyncs && longest >= stuckAfter || float64(bits.OnesCount64(seen)) < moments/4)
}

// manyMore reports whether a call is made often and was not, which is no single
// stall.
func (p *past) manyMore(c *closedHop, number int32) bool {
	call := unit.Key{Number: number}
	n := c.calls[call].n
	return n > suspect.NotRare && n > suspect.ManyTimes*p.callMean[call].n
}

// outlierUnits are the outliers of a hop; what they are by a few syncs that last
// is as of stalled.
func (s *Service) outlierUnits(p *past, learned []*closedHop, c *closedHop, active float64) outliers {
	o := s.outliers(learned, c, active, 1)
	syncs := 0.0
	for number, t := range o.waiting {
		if s.classes.Is(number, syscalltrace.ClassSync) && !p.manyMore(c, number) {
			syncs += t
		}
	}
	if 2*syncs > o.onCPU+o.waited {
		o.score = min(o.score, doubt)
	}
	return o
}

// threshold is the excess that is abnormal in a service that is active for so
// long, in nanoseconds per second.
func threshold(active float64) float64 { return max(worthLooking*1e9, worthTelling*active) }

// inOrder sorts evidence: the ranking adds it up.
func inOrder(times []suspect.StackTime) []suspect.StackTime {
	slices.SortFunc(times, func(a, b suspect.StackTime) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stack, b.Stack),
			cmp.Compare(a.Call, b.Call),
			cmp.Compare(a.Now, b.Now), cmp.Compare(a.Past, b.Past), cmp.Compare(a.Excess, b.Excess))
	})
	return times
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
			w.wait[site] = waitTime{k.time + t.time, k.threads + t.threads, max(k.longest, t.longest), k.exact || t.exact}
		}
	}
	return &w
}
