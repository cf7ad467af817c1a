package window

import (
	"math"
	"slices"

	"github.com/perfscope/perfscope/internal/outlier"
	"github.com/perfscope/perfscope/internal/suspect"
)

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

// beyond is the excess of a figure. The whole must be beyond the past for the
// parts to count, so that a new mix of requests at the old cost is none of our
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

// nobodysCPU is the CPU time of a hop without application code on the stack: a
// runtime's collector, the turns of an interpreter's loop.
func (s *Service) nobodysCPU(c *closedHop) float64 {
	sum := 0.0
	for stack, t := range c.cpu {
		if _, ok := s.innermost(stack, 0); !ok {
			sum += t
		}
	}
	return sum
}

// slowMachine is by how much every function takes longer than expected, as
// when others use the same cores and caches: the lower quartile over the
// functions, small ones in pools, so that a bug which leaves a quarter of them
// alone is not taken for it; at most 2, since two threads on one core at most
// double each other's time.
func slowMachine(p *past, now map[group]float64, load float64) float64 {
	var ratios []float64
	for _, pool := range p.functionPools(nil) {
		sum, expected := 0.0, 0.0
		for _, g := range pool.groups {
			sum += now[g]
			expected += p.cpuGroup(g).Expected(load)
		}
		ratios = append(ratios, sum/expected)
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
	slow := slowMachine(p, now, v.cpuLoad)
	busy := total >= 0.9*p.cpuTotal.Median()
	spins := s.spinning(p, c)
	excess := map[group]float64{}
	parts, rare := 0.0, 0.0
	for g, t := range now {
		was := p.cpuGroup(g)
		if p.isRare(g) {
			rare += t
		}
		expected := was.Expected(v.cpuLoad)
		if (busy || spins[g]) && v.cpuLoad < 1 {
			// It is as busy as ever with less to do.
			expected = was.Proportional(v.cpuLoad)
		}
		expected *= slow
		if x := t - expected - noise(expected, c.period.sample); x > 0 {
			excess[g] = math.Round(t - expected)
			parts += excess[g]
		}
	}
	parts += s.rareExcess(p, now, rare, v.cpuLoad*slow, c.period.sample, excess)
	// What a runtime does more it does on behalf of the application: as far as
	// that does more, too.
	libraries := s.librariesExcess(p, c, v.cpuLoad, slow, excess)
	parts += libraries
	behalf, expected := s.nobodysCPU(c)-libraries, p.nobody.Expected(v.cpuLoad)*slow
	if behalf -= expected; behalf < noise(expected, c.period.sample) {
		behalf = 0
	}
	v.cpuExcess = beyond(parts+min(parts, behalf), total, p.cpuTotal, p.cpuWorst*slow, v.cpuLoad)
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

// rareExcess adds to the excess of functions that hardly ever ran before, each
// too little to tell from chance, when all of them together are beyond it, and
// returns by how much: work that is new often goes through many small functions.
func (s *Service) rareExcess(p *past, now map[group]float64, rare, load, period float64, excess map[group]float64) (added float64) {
	expected := p.rare.Expected(load)
	beyond := rare - expected
	if beyond < noise(expected, period) {
		return 0
	}
	for g, t := range now {
		if part := math.Round(beyond * share(t, rare)); part > excess[g] && p.isRare(g) {
			added += part - excess[g]
			excess[g] = part
		}
	}
	return added
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
