package baseline

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestAHopIsCellsAndNodes(t *testing.T) {
	table := frames.NewTable()
	intern := func(names ...string) uint32 {
		var s threadtrace.Stack
		for _, n := range names {
			f := threadtrace.Frame{Function: n, Module: "m"}
			if n[0] == '@' {
				f = threadtrace.Frame{Function: n[1:], Module: "libc.so.6", Origin: threadtrace.OriginLibrary}
			}
			s.Frames = append(s.Frames, f)
		}
		return table.Intern(&s)
	}
	run, spin, wait, idle := intern("work", "main"), intern("@sched_yield", "take", "main"), intern("@read", "ask", "main"), intern("@epoll_wait", "poll", "main")
	index := NewIndex()
	v := Views{
		Stacks: table, Index: index,
		Idle:    func(p hop.Place) bool { return p.Stack == idle },
		Refusal: func(k unit.Key) bool { return k.Errno == 24 },
	}
	c := &hop.Closed{
		CPU: hop.TimesOf(map[uint32]float64{run: 300, spin: 50}), FreshCPU: hop.TimesOf(map[uint32]float64{run: 7}), CPUTotal: 400,
		Wait:  map[hop.Place]hop.Wait{{Stack: wait, Number: 0}: {Time: 20, Threads: 2, Moments: 5}, {Stack: idle, Number: 232}: {Time: 900, Threads: 1}},
		Calls: map[unit.Key]hop.Totals{{Number: 288, Errno: 24}: {N: 3}, {Number: 0}: {N: 9}},
	}
	vector := v.Of(c, false)
	if !slices.IsSortedFunc(slices.Collect(vector.Entries()), func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Fatal("the entries are not in order")
	}
	function := func(name string) int32 {
		f, ok := table.Lookup(name, "m")
		if !ok {
			t.Fatal(name)
		}
		return f
	}
	want := map[Cell]float64{
		{Function: function("work")}:                                  300,
		{Function: function("work"), Inclusive: true}:                 300,
		{Function: function("main"), Inclusive: true}:                 300,
		{Function: function("take"), State: Waiting, Lock: true}:      50, // spinning waits for who holds
		{Function: function("take"), State: Waiting, Inclusive: true}: 50,
		{Function: function("ask"), State: Waiting}:                   20,
		{Function: function("ask"), State: Waiting, Inclusive: true}:  20,
		{Function: function("main"), State: Waiting, Inclusive: true}: 70,
		{Function: Whole, State: Waiting, Inclusive: true}:            70,
		{Function: Whole, State: OnCPU, Inclusive: true}:              393, // the exact time, without the fresh threads'
		{Function: 24, Number: 288, State: Refused}:                   3,
	}
	if vector.Len() != len(want) {
		t.Errorf("%d entries, want %d", vector.Len(), len(want))
	}
	for cell, time := range want {
		id, _ := index.Of(cell)
		if got := vector.Time(id); got != time {
			t.Errorf("%+v: %v, want %v", cell, got, time)
		}
	}
	ask, _ := index.Of(Cell{Function: function("ask"), State: Waiting})
	if got, want := vector.Waited(ask), (Waited{Moments: 5, Threads: 2}); got != want {
		t.Errorf("the wait was seen as %+v, want %+v", got, want)
	}
	if got := vector.Learned().Waited(ask); got != (Waited{}) {
		t.Errorf("a past keeps %+v", got)
	}
	work, _ := index.Of(Cell{Function: function("work")})
	if got := v.Of(c, true).Time(work); got != 307 {
		t.Errorf("with the fresh threads %v", got)
	}
}

func TestTheCellsAreBounded(t *testing.T) {
	x := NewIndex()
	for i := range int32(2 * MaxCells) {
		x.Of(Cell{Function: i})
	}
	if x.Len() != MaxCells {
		t.Errorf("%d cells", x.Len())
	}
	if _, ok := x.Of(Cell{Function: 7}); !ok {
		t.Error("a cell that is known has no number")
	}
}

func TestACellIsFoundWhereverItIs(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 6))
		for range 200 {
			var s sums
			s.begin(200)
			want, waits := map[int32]float64{}, map[int32]Waited{}
			for id := range int32(200) {
				if rng.IntN(1+rng.IntN(6)) > 0 {
					continue
				}
				want[id] = 1 + float64(id)
				if rng.IntN(3) > 0 {
					s.add(id, want[id])
					continue
				}
				waits[id] = Waited{Threads: 1 + int(id)}
				s.addWait(id, want[id], waits[id])
			}
			v := s.vector()
			for id := int32(-3); id < 210; id++ {
				if got := v.Time(id); got != want[id] {
					t.Fatalf("of %v cell %d: %v", want, id, got)
				}
				if got := v.Waited(id); got != waits[id] {
					t.Fatalf("of %v cell %d waits: %v", waits, id, got)
				}
			}
			got := map[int32]float64{}
			for e := range v.Entries() {
				got[e.ID] = e.Time
			}
			if !maps.Equal(got, want) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
}

func TestLoadsThatWereSetLaterCount(t *testing.T) {
	hops := []*Vector{vector(1e9, 1), vector(3e9, 1), vector(2e9, 1)}
	p := NewPast(hops)
	for i, load := range []float64{0.1, 3, 1.7} {
		hops[i].Load = load
	}
	p.Reload()
	if want := NewPast(hops); !reflect.DeepEqual(figures(p, 2), figures(want, 2)) {
		t.Errorf("%v, want %v", figures(p, 2), figures(want, 2))
	}
}
