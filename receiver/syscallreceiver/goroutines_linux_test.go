//go:build linux

package syscallreceiver

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func waitForNobody(ch chan int) { <-ch }

// TestGoroutinesOfThisProcess looks at the test's own.
func TestGoroutinesOfThisProcess(t *testing.T) {
	const many = 7
	never := make(chan int)
	defer close(never)
	for range many {
		go waitForNobody(never)
	}
	now := time.Now().UnixNano()
	g := &gatherer{
		cfg: createDefaultConfig().(*Config), stats: newStats(nil), arch: runtime.GOARCH, targets: map[int32]*target{},
		now: func() int64 { now += int64(time.Second); return now },
	}
	g.symbols = newSymbols(stack.NewUnwinder(stack.Options{}), nil, g.stats, zap.NewNop())
	tg := g.target(int32(os.Getpid())) //nolint:gosec // a pid
	n := newGoroutines(g.cfg, g, &rootfs.Door{}, zap.NewNop())
	if _, err := n.locate(targetMemory{n.door, tg.pid}); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("this process may not read its own memory: %v", err)
		}
		t.Fatal(err)
	}
	var e threadtrace.Event
	var th *thread
	// They are parked some time after they are started.
	for range 1000 {
		for _, of := range tg.threads {
			of.events = nil
		}
		n.look(tg, false)
		if th, e = waitOf(tg, "waitForNobody"); e.Duration >= many*int64(time.Second) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if th == nil || th.name != "goroutines of github.com/perfscope/perfscope/receiver/syscallreceiver.TestGoroutinesOfThisProcess" {
		t.Fatalf("who made them is %+v", th)
	}
	if e.Kind != threadtrace.KindBlocked || e.Number != threadtrace.WaitChanReceive || e.Population != many || e.Duration != many*int64(time.Second) {
		t.Errorf("a second of their waiting is %+v", e)
	}
	for tid, th := range tg.threads {
		if tid >= 0 || th.name == "" {
			t.Errorf("thread %d, %q", tid, th.name)
		}
	}
	// What was found out of another program says nothing of the next one.
	tg.epoch.Add(1)
	tg.parked.creators[1] = "of the program before"
	n.look(tg, false)
	if tg.parked.creators[1] != "" || tg.parked.table == nil {
		t.Error("it is kept across an exec")
	}
	// A process in which they are not found is left alone for a while.
	tg.epoch.Add(1)
	n.g.symbols.unwind = &fakeUnwinder{}
	n.look(tg, false)
	n.look(tg, false)
	if got := g.stats.goroutines[lookUnlocated].Load(); got != 1 || tg.parked.until.IsZero() {
		t.Errorf("it is tried %d times", got)
	}
}

func TestInlinedFunctionsWait(t *testing.T) {
	st := threadtrace.Stack{Frames: []threadtrace.Frame{{Function: "runtime.chansend"}, {Function: "main.record", Inlined: true}, {Function: "main.take"}}}
	got := asWritten(st)
	if got.Frames[1].Inlined || got.Frames[1].Function != "main.record" || !st.Frames[1].Inlined {
		t.Errorf("%+v of %+v", got, st)
	}
}

// waitOf is the wait that has a function on its stack.
func waitOf(t *target, function string) (*thread, threadtrace.Event) {
	for _, th := range t.threads {
		for _, e := range th.events {
			st, _ := t.parkedStacks.get(e.Stack)
			for _, f := range st.Frames {
				if f.Function == "github.com/perfscope/perfscope/receiver/syscallreceiver."+function {
					return th, e
				}
			}
		}
	}
	return nil, threadtrace.Event{}
}

func TestLooksKeepTheirBudget(t *testing.T) {
	g := &gatherer{cfg: createDefaultConfig().(*Config), stats: newStats(nil), targets: map[int32]*target{}, now: func() int64 { return 1 }}
	n := newGoroutines(g.cfg, g, &rootfs.Door{}, zap.NewNop())
	g.symbols = newSymbols(&fakeUnwinder{}, nil, g.stats, zap.NewNop())
	tg := g.target(1)
	tg.followed = true
	tg.facts.Store(&stack.Facts{Runtime: "go"})
	looks := 0
	for range 100 {
		tg.parked.busy.Store(false)
		n.tick()
		if tg.parked.busy.Load() { // it is in the queue
			looks++
			n.left.Add(-4 * int64(n.allowance))
		}
	}
	if looks < 20 || looks > 35 {
		t.Errorf("%d looks of 100 that cost four times what there is", looks)
	}
}

func TestCreatorsAreBounded(t *testing.T) {
	p := &parked{roles: map[string]int32{}}
	seen := map[int32]bool{}
	for i := range 3 * maxCreators {
		id := p.role(string(rune('a' + i)))
		if id >= 0 {
			t.Fatalf("a thread's identifier, %d", id)
		}
		seen[id] = true
	}
	if len(seen) != maxCreators+1 || len(p.roles) != maxCreators {
		t.Errorf("%d identifiers", len(seen))
	}
}

// TestGoroutinesAreFollowed follows one of this process from one wait to the next.
func TestGoroutinesAreFollowed(t *testing.T) {
	steps := make(chan int)
	defer close(steps)
	go waitHereAndThere(steps)
	now := time.Now().UnixNano()
	g := &gatherer{
		cfg: createDefaultConfig().(*Config), stats: newStats(nil), arch: runtime.GOARCH, targets: map[int32]*target{},
		now: func() int64 { return now },
	}
	g.symbols = newSymbols(stack.NewUnwinder(stack.Options{}), nil, g.stats, zap.NewNop())
	tg := g.target(int32(os.Getpid())) //nolint:gosec // a pid
	n := newGoroutines(g.cfg, g, &rootfs.Door{}, zap.NewNop())
	if _, err := n.locate(targetMemory{n.door, tg.pid}); err != nil {
		if os.Getenv("CI") == "" {
			t.Skipf("this process may not read its own memory: %v", err)
		}
		t.Fatal(err)
	}
	follows := func(function string) *followed {
		for _, f := range tg.parked.followed {
			at := slices.IndexFunc(f.stack.Frames, func(f threadtrace.Frame) bool { return f.Origin != threadtrace.OriginRuntime })
			if f.waits && strings.HasSuffix(f.stack.Frames[at].Function, "."+function) {
				return f
			}
		}
		return nil
	}
	until := func(function string, look func()) {
		t.Helper()
		for range 1000 {
			now += int64(followInterval)
			if look(); follows(function) != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("it is not seen in %s", function)
	}
	until("waitHereAndThere", func() { n.look(tg, true) })
	n.again(tg)
	f := follows("waitHereAndThere")
	id, begun := threadtrace.GoroutineID(f.ID), f.since
	for range 5 {
		now += int64(followInterval)
		n.again(tg)
	}
	steps <- 1
	until("waitThere", func() { n.again(tg) })
	steps <- 1
	until("waitHereAndThere", func() { n.again(tg) })
	var waits []threadtrace.Event
	for _, th := range tg.threads {
		for _, e := range th.events {
			if is, ok := e.Followed(); ok && is == id {
				waits = append(waits, e)
			}
		}
	}
	// The first is told of when it is seen, and when it is over.
	if len(waits) != 3 {
		t.Fatalf("waits are %+v", waits)
	}
	first, second := waits[1], waits[2]
	if first.Time-first.Elapsed != begun || first.Elapsed < 5*int64(followInterval) || !first.Cut || first.Duration != 0 || first.Number != threadtrace.WaitChanReceive {
		t.Errorf("the first wait is %+v", first)
	}
	if second.Time-second.Elapsed <= first.Time || second.Cut {
		t.Errorf("the second wait is %+v, after %+v", second, first)
	}
	if st, _ := tg.parkedStacks.get(second.Stack); !slices.ContainsFunc(st.Frames, func(f threadtrace.Frame) bool { return strings.HasSuffix(f.Function, ".waitThere") }) {
		t.Errorf("the second wait is at %+v", st)
	}
	// Where a look comes late what it does between two waits is what was seen of it.
	now += 5 * int64(followInterval)
	steps <- 1
	until("waitThere", func() { n.again(tg) })
	left := int64(0)
	for _, th := range tg.threads {
		for _, e := range th.events {
			if is, ok := e.Followed(); ok && is == id {
				left = max(left, e.Time)
			}
		}
	}
	if f := follows("waitThere"); f.since <= left || f.since > left+2*int64(followInterval) || f.cut {
		t.Errorf("it left one wait at %d, and is in another since %d, %v", left-begun, f.since-begun, f.cut)
	}
	// It is another's turn.
	n.look(tg, false)
	if len(tg.parked.followed) != 0 || tg.parked.follows.Load() {
		t.Error("its goroutines are still followed")
	}
}

func waitHereAndThere(steps chan int) {
	for range steps {
		waitThere(steps)
	}
}

//go:noinline
func waitThere(steps chan int) { <-steps }

func TestProcessesTakeTurns(t *testing.T) {
	n := &goroutines{}
	a, b := &target{pid: 1}, &target{pid: 2}
	n.takeTurns([]*target{a, b})
	if n.takeTurns([]*target{a, b}); n.turn != a {
		t.Errorf("it is the turn of %+v", n.turn)
	}
	n.until = time.Time{}
	if n.takeTurns([]*target{a, b}); n.turn != b {
		t.Errorf("then of %+v", n.turn)
	}
	if n.takeTurns([]*target{a}); n.turn != a {
		t.Errorf("when that has ended, of %+v", n.turn)
	}
	if n.takeTurns(nil); n.turn != nil {
		t.Error("of one that has ended")
	}
}
