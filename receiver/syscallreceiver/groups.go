package syscallreceiver

import "github.com/perfscope/perfscope/internal/capture"

// groups numbers the services, each of which has a share of the rings.
type groups struct {
	numbers map[string]uint16
	used    [capture.MaxGroups]bool
}

// of is the number of a service instance; zero, which has no bound, when there
// are too many.
func (g *groups) of(instance string) uint16 {
	if n, known := g.numbers[instance]; known {
		return n
	}
	if g.numbers == nil {
		g.numbers = map[string]uint16{}
	}
	for n := range g.used {
		if n > 0 && !g.used[n] {
			g.used[n] = true
			g.numbers[instance] = uint16(n) //nolint:gosec // below MaxGroups
			return uint16(n)                //nolint:gosec // below MaxGroups
		}
	}
	return 0
}

// keep lets all numbers go but those of the instances that are there.
func (g *groups) keep(there map[string]bool) {
	for instance, n := range g.numbers {
		if !there[instance] {
			g.used[n] = false
			delete(g.numbers, instance)
		}
	}
}
