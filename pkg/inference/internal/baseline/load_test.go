package baseline

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// service has functions on CPU and requests.
type service struct {
	rng    *rand.Rand
	stacks []uint32
	index  *Index
	views  Views
}

func newService(seed uint64, functions int) *service {
	table, index := frames.NewTable(), NewIndex()
	s := &service{rng: rand.New(rand.NewPCG(seed, 4)), index: index, views: Views{
		Stacks: table, Index: index, Idle: func(hop.Place) bool { return false }, Refusal: func(unit.Key) bool { return false },
	}}
	for i := range functions {
		s.stacks = append(s.stacks, table.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: fmt.Sprint("f", i), Module: "m"}, {Function: "main", Module: "m"}}}))
	}
	return s
}

// hop is one in which each function takes times as much as usual, and each measure of
// work is so many times the usual.
func (s *service) hop(samples float64, functions func(i int) float64, measures [5]float64) *Vector {
	c := &hop.Closed{Seconds: 5, CallSeconds: 5, SamplePeriod: grain, Measures: []float64{20 * measures[0], 100 * measures[1], 1e4 * measures[2], 100 * measures[3], 1e5 * measures[4]}}
	cpu := map[uint32]float64{}
	for i, stack := range s.stacks {
		t := draw(s.rng, samples*functions(i), 0)
		cpu[stack] = t
		c.CPUTotal += t
	}
	c.CPU = hop.TimesOf(cpu)
	return s.views.Of(c, true)
}

func TestTheLoadIsTheWorkWhateverElseMoves(t *testing.T) {
	all := func(times float64) func(int) float64 { return func(int) float64 { return times } }
	one := func(times float64) func(int) float64 {
		return func(i int) float64 {
			if i == 3 {
				return times
			}
			return 1
		}
	}
	same := [5]float64{1, 1, 1, 1, 1}
	for _, tc := range []struct {
		name       string
		functions  func(int) float64
		measures   [5]float64
		work, slow [2]float64
	}{
		{"as usual", all(1), same, [2]float64{0.9, 1.1}, [2]float64{1, 1.15}},
		{"twice the work", all(2), [5]float64{2, 2, 2, 2, 2}, [2]float64{1.8, 2.2}, [2]float64{1, 1.15}},
		{"half the work", all(0.5), [5]float64{0.5, 0.5, 0.5, 0.5, 0.5}, [2]float64{0.45, 0.55}, [2]float64{1, 1.15}},
		{"sixteen requests in a read", all(16), [5]float64{1, 1, 16, 1, 16}, [2]float64{14, 18}, [2]float64{1, 1.15}},
		{"reads of one byte", one(30), [5]float64{1, 100, 1, 1, 1}, [2]float64{0.9, 1.1}, [2]float64{1, 1.15}},
		{"a retry storm moves all measures and one function", one(30), [5]float64{20, 20, 20, 20, 20}, [2]float64{0.9, 1.4}, [2]float64{1, 1.15}},
		{"one function that takes ten times as long", one(10), same, [2]float64{0.9, 1.1}, [2]float64{1, 1.15}},
		{"a slow machine", all(1.6), same, [2]float64{0.9, 1.45}, [2]float64{1.1, 1.7}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for seed := range uint64(10) {
				s := newService(seed, 20)
				p := &Past{}
				for range 40 {
					p.Add(s.hop(40, all(1), same))
				}
				l := p.Load(s.hop(40, tc.functions, tc.measures), s.index)
				if l.Work < tc.work[0] || l.Work > tc.work[1] || l.Slow < tc.slow[0] || l.Slow > tc.slow[1] {
					t.Errorf("seed %d: %+v, want work in %v, slowness in %v", seed, l, tc.work, tc.slow)
				}
			}
		})
	}
}

func TestALoadWithoutAnythingToTellItIsUsual(t *testing.T) {
	s := newService(1, 5)
	p := &Past{}
	none := func(int) float64 { return 0 }
	for range 10 {
		p.Add(s.hop(40, none, [5]float64{}))
	}
	if l := p.Load(s.hop(40, none, [5]float64{}), s.index); l.Work != 1 || l.Slow != 1 {
		t.Errorf("%+v", l)
	}
}

func TestFewSamplesDoNotMakeTheWorkLess(t *testing.T) {
	few, none := [5]float64{0, 0.01, 0.01, 0.01, 0.01}, [5]float64{}
	for seed := range uint64(50) {
		s := newService(seed, 6)
		p := &Past{}
		for range 40 {
			p.Add(s.hop(1, func(int) float64 { return 1 }, few))
		}
		// All of the samples of a hop are in one function now.
		l := p.Load(s.hop(1, func(i int) float64 { return []float64{12, 0, 0, 0, 0, 0}[i] }, none), s.index)
		if l.Work < 0.5 {
			t.Errorf("seed %d: %+v, none of six samples expected of the others", seed, l)
		}
	}
}

func TestMoreCallsAreMoreWorkThoughTheyAreFew(t *testing.T) {
	few := [5]float64{0, 0.05, 0.05, 0.05, 0.05} // 25 calls a hop
	many, storm := [5]float64{0, 0.25, 0.25, 0.25, 0.25}, [5]float64{0, 1, 1, 1, 1}
	for seed := range uint64(50) {
		s := newService(seed, 4)
		p := &Past{}
		for range 40 {
			p.Add(s.hop(1, func(int) float64 { return 1 }, few))
		}
		if l := p.Load(s.hop(1, func(int) float64 { return 5 }, many), s.index); l.Work < 2 {
			t.Errorf("seed %d: %+v, want the load of five times the calls and the CPU time", seed, l)
		}
		if l := p.Load(s.hop(1, func(int) float64 { return 1 }, storm), s.index); l.Work > 7 {
			t.Errorf("seed %d: %+v, want no more than the CPU time bears out", seed, l)
		}
	}
}

// TestABurstWithoutARequestIsNoLessWork: of requests of hundreds of calls each a burst has
// some or none. With all calls recorded half as many are half the work.
func TestABurstWithoutARequestIsNoLessWork(t *testing.T) {
	const calls, perSecond, burst = 250, 4, 0.15
	for seed := range uint64(20) {
		s := newService(seed, 1)
		hop := func(seconds, load float64) *Vector {
			requests := draw(s.rng, perSecond*load*seconds, 0) / grain
			v := s.hop(40, func(int) float64 { return load }, [5]float64{})
			v.Hop.CallSeconds = seconds
			rate := calls * requests / seconds
			v.Hop.Measures = []float64{0, rate, 100 * rate, 0, 0}
			return v
		}
		p := &Past{}
		for range 300 {
			p.Add(hop(burst, 1))
		}
		none := hop(burst, 1)
		none.Hop.Measures = make([]float64, 5)
		if l := p.Load(none, s.index); l.Work < 0.8 {
			t.Errorf("seed %d: %+v, a burst between two requests", seed, l)
		}
		if l := p.Load(hop(60, 0.5), s.index); l.Work < 0.3 || l.Work > 0.75 {
			t.Errorf("seed %d: %+v, want half the work", seed, l)
		}
	}
}

// More work that calls tell is the same whether or not it is known what the functions say it is at least.
func TestWorkIsThatOfThePlainWay(t *testing.T) {
	more, bounded := 0, 0
	for seed := range uint64(20) {
		s := newService(seed, 40)
		alike := func(times float64) func(int) float64 { return func(int) float64 { return times } }
		p := NewPast(nil)
		for range 20 {
			x := 0.7 + 0.6*s.rng.Float64()
			p.Add(s.hop(8, alike(x), [5]float64{x, x, x, x, x}))
		}
		for range 50 {
			x, y := 3*s.rng.Float64(), 3*s.rng.Float64()
			v := s.hop(8, alike(x), [5]float64{y, y, y, y, y})
			all, grown := p.functions(v, s.index)
			sum := asOne(all, grown)
			most, least := sum.most(), p.least(p.pooled(all, grown), sum)
			work, known := p.workRatio(v.Hop)
			if !known {
				t.Fatal("calls do not tell the work")
			}
			want := min(max(work, min(1, least)), max(1, most))
			if got := p.Work(v, s.index); got != want {
				t.Fatalf("seed %d, %.2f times the CPU time and %.2f times the calls: %v, want %v", seed, x, y, got, want)
			}
			if work >= 1 {
				more++
			}
			if want != work {
				bounded++
			}
		}
	}
	if more < 100 || bounded < 100 {
		t.Errorf("%d with more work, %d bounded: too few to tell", more, bounded)
	}
}
