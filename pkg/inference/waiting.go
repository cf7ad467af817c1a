package inference

import (
	"iter"
	"maps"
	"math"
	"math/bits"

	"github.com/perfscope/perfscope/pkg/inference/internal/attribute"
	"github.com/perfscope/perfscope/pkg/inference/internal/chain"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// waiting is what is known of the waits of some hops: for whom they are, and how much
// longer than by the past is waited at each place, in whole nanoseconds per second: amid
// work, and where threads may wait for something to do.
type waiting struct {
	graph      *chain.Graph
	amid, idle map[chain.Place]float64
}

func (a *Analyzer) waitingOf(c *attribute.Case) *waiting {
	w := &waiting{
		graph: chain.NewGraph(a.stacks, c.Hop.Flows().And(a.held(c.Hop))),
		amid:  map[chain.Place]float64{}, idle: map[chain.Place]float64{},
	}
	add := func(at hop.Place, t float64) {
		if c.Idle(at) {
			w.idle[chain.Place(at)] += t
		} else {
			w.amid[chain.Place(at)] += t
		}
	}
	for at, t := range c.Hop.Wait {
		add(at, t.Time)
	}
	if c.Fresh {
		for at, t := range c.Hop.Fresh {
			add(at, t.Time)
		}
	}
	for at, t := range c.Past.Wait {
		add(at, -math.Round(c.Verdict.Load.Waits*t))
	}
	return w
}

// held is what goroutines wait for at locks.
func (a *Analyzer) held(h *hop.Closed) chain.Flows {
	locks, doing := map[chain.Place]float64{}, map[chain.Node]chain.Sum{}
	see := func(n chain.Node, t, sightings float64) {
		if !a.stacks.Get(n.Stack).Lock {
			was := doing[n]
			doing[n] = chain.Sum{Time: was.Time + math.Round(t*h.Seconds), Waits: was.Waits + sightings}
		}
	}
	for _, waits := range []map[hop.Place]hop.Wait{h.Wait, h.Fresh} {
		for at, w := range waits {
			if at.Number == threadtrace.WaitMutex || at.Number == threadtrace.WaitReadLock {
				locks[chain.Place(at)] += math.Round(w.Time * h.Seconds)
			} else {
				see(chain.Node{Kind: chain.Waits, Stack: at.Stack, Number: at.Number}, w.Time, float64(bits.OnesCount64(w.Moments)))
			}
		}
	}
	for _, cpu := range []hop.Times{h.CPU, h.FreshCPU} {
		for stack, t := range cpu.All() {
			see(chain.Node{Kind: chain.Computes, Stack: stack}, t, math.Round(ratio(t, h.SamplePeriod)))
		}
	}
	return chain.Held(a.stacks, locks, doing)
}

// gain is which part of a request's time goes away with what a suspect has in excess. By
// Little's law the time of requests is that of the threads at work, computing or waiting
// amid work. What is asked is how much, not whether: so that all of the excess counts,
// found or not, the waits along chains that come to the suspect too.
func (a *Analyzer) gain(c *attribute.Case, w *waiting, outside float64, s Suspect) float64 {
	g := gained{active: outside, is: func(stack uint32) bool { return attribute.Find(a.stacks, stack, s) >= 0 }}
	g.computes(c.Hop.CPU.All(), 1)
	if c.Fresh {
		g.computes(c.Hop.FreshCPU.All(), 1)
	}
	g.computes(maps.All(c.Past.CPU), -c.Verdict.Load.Work*c.Verdict.Load.Slow)
	g.waits(c.Hop.Wait, c.Idle)
	if c.Fresh {
		g.waits(c.Hop.Fresh, c.Idle)
	}
	g.waitsFor(w)
	return min(1, max(0, ratio(g.own, g.active)))
}

// gained is the time of the threads at work, and what a suspect has of it in excess; is tells
// the suspect's stacks.
type gained struct {
	is          func(stack uint32) bool
	own, active float64
}

// computes adds time on CPU, that of the past with less than nothing for its load.
func (g *gained) computes(cpu iter.Seq2[uint32, float64], load float64) {
	for stack, t := range cpu {
		t = math.Round(load * t)
		g.active += max(0, t)
		if g.is(stack) {
			g.own += t
		}
	}
}

// waits adds the waits amid work.
func (g *gained) waits(waits map[hop.Place]hop.Wait, idle func(hop.Place) bool) {
	for at, t := range waits {
		if !idle(at) {
			g.active += t.Time
		}
	}
}

// waitsFor adds what the suspect has of the waits in excess: its own, and of others' those
// that are for it, also where threads seem to have nothing to do.
func (g *gained) waitsFor(w *waiting) {
	share := w.graph.ShareFor(g.is)
	for at, e := range w.amid {
		if g.is(at.Stack) {
			g.own += e
		} else if e > 0 {
			g.own += math.Round(e * share(at))
		}
	}
	for at, e := range w.idle {
		if e > 0 && !g.is(at.Stack) {
			part := math.Round(e * share(at))
			g.own, g.active = g.own+part, g.active+part
		}
	}
}
