package detect

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// What is left out because it is within the mean would have left no test above zero.
func TestWhatIsLeftOutSaysNothing(t *testing.T) {
	futex, _ := threadtrace.Number("amd64", "futex")
	leftOut, said := 0, 0
	for seed := range uint64(20) {
		l := newLife(seed, 20)
		waiting := func() *hop.Closed {
			c := l.hop(0.2+4*l.rng.Float64(), 0.3, 1+2*l.rng.Float64())
			for _, stack := range l.ids[:10] {
				looks := l.rng.IntN(6)
				c.Wait[hop.Place{Stack: stack, Number: futex}] = hop.Wait{
					Time: float64(looks) * c.SnapshotPeriod, Threads: 1 + l.rng.IntN(3), Moments: 1<<looks - 1, Exact: l.rng.IntN(3) == 0,
				}
			}
			return c
		}
		p := l.past(6+int(seed), 2, 0.3)
		for range 20 {
			p.Add(l.views.Of(waiting(), true))
		}
		for range 50 {
			c := waiting()
			v := l.views.Of(c, true)
			load := p.Load(v, l.index)
			for e := range v.Entries() {
				f, left := l.detector.follow(p, v, load, e, sum{id: e.ID})
				if left {
					said++
					continue
				}
				cell := l.index.Cell(e.ID)
				slow := load.Waits
				if cell.State == 0 {
					slow = load.Work * load.Slow
				}
				x := test{d: l.detector, past: p, hop: c, cell: cell, entry: e, waited: v.Waited(e.ID), prior: priorOf(cell, l.detector.classes)}
				if x.grain = x.grainOf(); x.grain <= 0 || e.Time <= p.PerLoad(e.ID)*slow {
					continue
				}
				leftOut++
				if evidence := x.evidence(x.expected(slow, load.Busy)); evidence > 0 {
					t.Fatalf("%+v: %+v says %v, and was left out: %+v", cell, e, evidence, f)
				}
			}
		}
	}
	if leftOut < 1000 || said < 100 {
		t.Errorf("%d were left out, %d were not", leftOut, said)
	}
}
