package window

import (
	"math"

	"github.com/perfscope/perfscope/internal/outlier"
)

// libraryCPU sums the CPU time of libraries' own threads by library: the
// goroutines in which Go's HTTP client dials, the poller of a message queue.
func (s *Service) libraryCPU(cpu map[uint32]float64) map[int32]float64 {
	sums := map[int32]float64{}
	for stack, t := range cpu {
		if st := s.stacks.Get(stack); len(st.Frames) == 0 && st.Library != 0 {
			sums[st.Library] += t
		}
	}
	return sums
}

func (p *past) libraryPast(library int32) outlier.Past {
	return p.figure(p.library[library]).WithoutChance(p.sample)
}

// librariesExcess adds what the threads of a library do in excess to that of the
// functions that call it more than ever, in proportion: a library does nothing
// of its own accord. It returns what it has added. That a caller is called more
// must be beyond chance by one standard deviation only, since what its library
// does shows that somebody does.
func (s *Service) librariesExcess(p *past, c *closedHop, load, slow float64, excess map[group]float64) (added float64) {
	own := s.libraryCPU(c.cpu)
	if len(own) == 0 {
		return 0
	}
	type caller struct {
		group
		library int32
	}
	now, was := map[caller]float64{}, map[caller]float64{}
	sumUp := func(sums map[caller]float64, cpu map[uint32]float64) {
		for stack, t := range cpu {
			if g, ok := s.innermost(stack, 0); ok {
				if library := s.stacks.Get(stack).Library; library != 0 {
					sums[caller{g, library}] += t
				}
			}
		}
	}
	sumUp(now, c.cpu)
	sumUp(was, p.cpuMean)
	grown, all := map[caller]float64{}, map[int32]float64{}
	for k, t := range now {
		expected := was[k] * load * slow
		if by := t - expected; by > math.Sqrt(expected*c.period.sample)+c.period.sample {
			grown[k] = by
			all[k.library] += by
		}
	}
	beyond := map[int32]float64{}
	for library, t := range own {
		expected := p.libraryPast(library).Expected(load) * slow
		if by := t - expected; by > noise(expected, c.period.sample) {
			beyond[library] = by
		}
	}
	for k, by := range grown {
		if part := math.Round(beyond[k.library] * share(by, all[k.library])); part > 0 {
			excess[k.group] += part
			added += part
		}
	}
	return added
}
