package detect

import (
	"math/rand/v2"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const seconds, sample, snapshot = 5.0, 1e9 / 49, 0.2e9

// life makes hops of a service with functions on CPU.
type life struct {
	rng      *rand.Rand
	stacks   *frames.Table
	index    *baseline.Index
	views    baseline.Views
	detector *Detector
	ids      []uint32
}

func newLife(seed uint64, functions int) *life {
	l := &life{rng: rand.New(rand.NewPCG(seed, 3)), stacks: frames.NewTable(), index: baseline.NewIndex()}
	classes := threadtrace.NewClasses("amd64")
	l.views = baseline.Views{
		Stacks: l.stacks, Index: l.index, Idle: func(hop.Place) bool { return false },
		Refusal: func(k unit.Key) bool { return IsRefusal(k, classes) },
	}
	l.detector = New(Config{Evidence: 12, Share: 0.2, Least: 0.02e9, Refusals: 1}, classes, l.index)
	for i := range functions {
		l.ids = append(l.ids, l.stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{{Function: string(rune('a' + i)), Module: "m"}, {Function: "main", Module: "m"}}}))
	}
	return l
}

func (l *life) hop(mean, dispersion float64, grown float64) *hop.Closed {
	c := &hop.Closed{
		Seconds: seconds, SamplePeriod: sample / seconds, SnapshotPeriod: snapshot / seconds,
		Wait: map[hop.Place]hop.Wait{}, Calls: map[unit.Key]hop.Totals{}, Measures: make([]float64, 5),
	}
	cpu := map[uint32]float64{}
	for i, id := range l.ids {
		m := mean
		if i == 0 {
			m *= grown
		}
		t := negativeBinomial(l.rng, m, dispersion) * c.SamplePeriod
		cpu[id] = t
		c.CPUTotal += t
	}
	c.CPU = hop.TimesOf(cpu)
	return c
}

func (l *life) past(hops int, mean, dispersion float64) *baseline.Past {
	p := &baseline.Past{}
	for range hops {
		p.Add(l.views.Of(l.hop(mean, dispersion, 1), true))
	}
	return p
}

func (l *life) judge(p *baseline.Past, c *hop.Closed) Verdict {
	v := l.views.Of(c, true)
	load := p.Load(v, l.index)
	v.Load = load.Work
	out := l.detector.Compare(p, v, load)
	l.detector.Commit(&out)
	return out
}

func TestAHealthyServiceMattersInNoHop(t *testing.T) {
	for seed := range uint64(5) {
		l := newLife(seed, 20)
		p := l.past(60, 12, 0.05)
		for n := range 400 {
			v := l.judge(p, l.hop(12, 0.05, 1))
			if v.Effect >= 1 {
				t.Errorf("seed %d, hop %d: effect %.2f, evidence %.1f of %v", seed, n, v.Effect, v.Evidence, v.Cells)
			}
			p.Forget()
			p.Add(l.views.Of(v.Vector.Hop, true))
		}
	}
}

func TestAFunctionThatGrewIsAFinding(t *testing.T) {
	for seed := range uint64(5) {
		l := newLife(seed, 20)
		p := l.past(60, 12, 0.05)
		v := l.judge(p, l.hop(12, 0.05, 20))
		if len(v.Cells) != 1 || l.stacks.Function(v.Cells[0].Cell.Function).Name != "a" || v.Effect < 1 || v.Evidence < 12 {
			t.Errorf("seed %d: effect %.2f, evidence %.1f, cells %v", seed, v.Effect, v.Evidence, v.Cells)
		}
		if v.CPUExcess > v.Active || v.WaitExcess != 0 {
			t.Errorf("seed %d: %v of %v is beyond the past", seed, v.CPUExcess, v.Active)
		}
	}
}

// However many threads one reason holds, it was seen at so many moments.
func TestThreadsHeldByOneStallAreOneEvidence(t *testing.T) {
	l := newLife(1, 3)
	p := l.past(60, 20, 0.05)
	futex, _ := threadtrace.Number("amd64", "futex")
	held := func(threads int, moments uint64) float64 {
		l.detector.Reset()
		c := l.hop(20, 0.05, 1)
		looks := 0
		for m := moments; m > 0; m &= m - 1 {
			looks++
		}
		c.Wait[hop.Place{Stack: l.ids[0], Number: futex}] = hop.Wait{Time: float64(threads*looks) * c.SnapshotPeriod, Threads: threads, Moments: moments}
		return l.judge(p, c).Evidence
	}
	if one, many := held(1, 0b11), held(50, 0b11); many >= 12 || one > many {
		t.Errorf("two looks at one thread are evidence %.1f, at fifty %.1f", one, many)
	}
	if often := held(50, 0xffff_ff); often < 12 {
		t.Errorf("twenty-four looks at fifty threads are evidence %.1f", often)
	}
}

func TestARefusalIsSomethingThatUsersFeel(t *testing.T) {
	classes := threadtrace.NewClasses("amd64")
	for _, tc := range []struct {
		call  string
		errno int32
		want  bool
	}{
		{"openat", 2, false}, {"read", 11, false}, {"futex", 110, false}, {"write", 32, false}, {"connect", 115, false}, {"recvfrom", 111, false},
		{"accept4", 24, true}, {"mmap", 12, true}, {"write", 28, true}, {"connect", 111, true}, {"connect", 110, true},
	} {
		number, ok := threadtrace.Number("amd64", tc.call)
		if !ok {
			t.Fatal(tc.call)
		}
		if got := IsRefusal(unit.Key{Number: number, Errno: tc.errno}, classes); got != tc.want {
			t.Errorf("%s with errno %d: %v", tc.call, tc.errno, got)
		}
	}
}
