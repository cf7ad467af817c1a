package life

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// Quiet is how long nothing happens at the start: the past is made of it.
	Quiet = 3 * time.Minute
	// tail is how long nothing happens at the end.
	tail = 30 * time.Second
	// often is the mean time from one happening of an instance to its next.
	often = 7 * time.Minute
	// breath is how long an instance is left alone between two.
	breath = 20 * time.Second
	// neighboursMin and neighboursMax bound the time from one neighbour to the
	// next: they never meet.
	neighboursMin, neighboursMax = 60 * time.Second, 180 * time.Second
	// maxFactor bounds a load, maxMemory what a neighbour takes, GiB.
	maxFactor = 4.0
	maxMemory = 2.0
)

// Plan draws what happens to some members of a fleet during length. It depends
// on its arguments alone, is in order of time, and what it holds is over when
// the run is.
func Plan(seed uint64, members []Member, length time.Duration) []Happening {
	p := planner{rand: rand.New(rand.NewPCG(seed, 2)), end: length - tail, members: members, busy: map[string]time.Duration{}}
	p.machine()
	p.instances()
	slices.SortStableFunc(p.plan, func(a, b Happening) int { return cmp.Compare(a.At, b.At) })
	return p.plan
}

// Steps draws nothing but loads between a half and one and a half, as long as
// the run is.
func Steps(seed uint64, members []Member, learn, length time.Duration) (plan []Happening) {
	const steady = 20 * time.Second
	r := rand.New(rand.NewPCG(seed, 3))
	for _, m := range members {
		for at := learn + between(r, 0, 2*steady); at < length; {
			h := Happening{At: at, For: min(between(r, steady, 3*steady), length-at), Kind: LoadStep, Instance: m.Name, Factor: 0.5 + r.Float64()}
			plan = append(plan, h)
			at = h.End()
		}
	}
	slices.SortStableFunc(plan, func(a, b Happening) int { return cmp.Compare(a.At, b.At) })
	return plan
}

type planner struct {
	rand    *rand.Rand
	end     time.Duration
	members []Member
	// busy is until when an instance is not free.
	busy map[string]time.Duration
	plan []Happening
}

func (p *planner) machine() {
	for at := Quiet; ; {
		at += between(p.rand, neighboursMin, neighboursMax)
		h := p.draw(ofMachine, at)
		if h.End() > p.end {
			return
		}
		switch h.Kind {
		case CPU:
			h.Factor = float64(1 + p.rand.IntN(2))
		case Memory:
			h.Factor = 0.25 + (maxMemory-0.25)*p.rand.Float64()
		}
		p.plan = append(p.plan, h)
	}
}

func (p *planner) instances() {
	if len(p.members) == 0 {
		return
	}
	mean := float64(often) / float64(len(p.members))
	for at := Quiet; ; {
		at += time.Duration(p.rand.ExpFloat64() * mean)
		if at > p.end {
			return
		}
		h := p.draw(ofInstances, at)
		if h.End() > p.end {
			continue
		}
		if whom := p.free(h); len(whom) > 0 {
			p.take(h, whom[p.rand.IntN(len(whom))])
		}
	}
}

// draw chooses a kind and how long it takes.
func (p *planner) draw(from []stretch, at time.Duration) Happening {
	total := 0
	for _, s := range from {
		total += s.weight
	}
	n := p.rand.IntN(total)
	for _, s := range from {
		if n -= s.weight; n < 0 {
			return Happening{At: at, For: between(p.rand, s.min, s.max), Kind: s.kind}
		}
	}
	return Happening{}
}

// free are those that a happening may happen to.
func (p *planner) free(h Happening) (whom []Member) {
	for _, m := range p.members {
		if slices.Contains(m.Kinds, h.Kind) && p.busy[m.Name] <= h.At {
			whom = append(whom, m)
		}
	}
	if h.Kind != Rolling {
		return whom
	}
	// It takes every instance of the service.
	return slices.DeleteFunc(whom, func(m Member) bool {
		return slices.ContainsFunc(p.members, func(other Member) bool {
			return other.Scenario.Server == m.Scenario.Server && p.busy[other.Name] > h.At
		})
	})
}

func (p *planner) take(h Happening, m Member) {
	h.Instance = m.Name
	switch h.Kind {
	case LoadStep, LoadRamp:
		h.Factor = 0.3 + (maxFactor-0.3)*p.rand.Float64()
	case Night:
		h.Factor = 0.02 * p.rand.Float64()
	case Batch:
		h.Factor = 1 + (maxFactor-1)*p.rand.Float64()
	case Rolling:
		h.Instance = m.Scenario.Server
	}
	for _, other := range p.members {
		if other.Name == m.Name || h.Kind == Rolling && other.Scenario.Server == m.Scenario.Server {
			p.busy[other.Name] = h.End() + breath
		}
	}
	p.plan = append(p.plan, h)
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)+1))
}
