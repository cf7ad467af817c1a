package hop

import (
	"math"
	"math/bits"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	second = int64(1e9)
	length = 5 * second
	start  = 1_700_000_000 * second
)

var classes = threadtrace.NewClasses("amd64")

func number(t *testing.T, name string) int32 {
	t.Helper()
	n, ok := threadtrace.Number("amd64", name)
	if !ok {
		t.Fatalf("no call %q", name)
	}
	return n
}

// opened is a hop that is covered, and traced all the time.
func opened() *Open {
	h := NewOpen(start, start+length, 10)
	h.Cover(&threadtrace.Coverage{
		Start: start, End: start + length, Traced: time.Duration(length), SamplePeriod: time.Second / 49, SnapshotPeriod: time.Second / 5,
	})
	return h
}

func closed(t *testing.T, h *Open) *Closed {
	t.Helper()
	c := h.Close(classes, new(Adder))
	if c == nil {
		t.Fatal("the hop says nothing")
	}
	c.WaitExactly(classes)
	return c
}

func TestAMomentIsAPartOfTheHop(t *testing.T) {
	for _, tc := range []struct {
		at   int64
		want uint64
	}{{0, 1}, {length/Moments - 1, 1}, {length / Moments, 2}, {length - 1, 1 << 63}, {-second, 1}, {3 * length, 1 << 63}} {
		h := opened()
		h.Blocked(Cell{Thread: 1, Stack: 2, Waiting: true}, &threadtrace.Event{Time: start + tc.at, Duration: 1})
		for _, w := range closed(t, h).Wait {
			if w.Moments != tc.want {
				t.Errorf("%d ns into the hop: moments %b", tc.at, w.Moments)
			}
		}
	}
}

func TestThreadsSeenByOneLookAreOneMoment(t *testing.T) {
	h := opened()
	for look := range int64(3) {
		for id := range int32(8) {
			h.Blocked(Cell{Thread: id, Stack: 2, Number: 1, Waiting: true}, &threadtrace.Event{Time: start + look*second, Duration: second / 5, Elapsed: look * second, Number: 1})
		}
	}
	w := closed(t, h).Wait[Place{2, 1}]
	if n := bits.OnesCount64(w.Moments); n != 3 || w.Threads != 8 || w.Longest != 2*second || w.Time != 8*3*0.2e9/5 {
		t.Errorf("%d moments of %+v", n, w)
	}
}

// The time in which a thread was runnable and had no CPU is no part of what a call took.
func TestRunDelayIsNoWaiting(t *testing.T) {
	fsync := number(t, "fsync")
	h := opened()
	for i := range int64(50) {
		h.Call(&threadtrace.Event{Time: start + i*second/10, Duration: 10e6, Delay: 9e6, Number: fsync, Stack: 3}, classes.Of(fsync))
	}
	c := closed(t, h)
	if got := c.Calls[unit.Key{Number: fsync}]; got.N != 10 || got.Time != 10*1e6 {
		t.Errorf("%+v", got)
	}
	if w := c.Wait[Place{3, fsync}]; w.Time != 10*1e6 || !w.Exact {
		t.Errorf("the wait is %+v", w)
	}
	h = opened()
	h.Call(&threadtrace.Event{Time: start, Duration: 1e6, Delay: 2e6, Number: fsync}, classes.Of(fsync))
	if got := closed(t, h).Calls[unit.Key{Number: fsync}]; got.Time != 0 {
		t.Errorf("a call that had a CPU for less than nothing took %v", got.Time)
	}
}

func TestACallThatBeganBeforeTheHopCountsForWhatIsInIt(t *testing.T) {
	read := number(t, "read")
	h := opened()
	h.Call(&threadtrace.Event{Time: start - 100*second, Duration: 101 * second, Number: read, Return: 10}, classes.Of(read))
	if got := closed(t, h).Calls[unit.Key{Number: read}]; got.Time != 1e9 {
		t.Errorf("it took %v ns a second", got.Time)
	}
}

// A call that a burst of tracing cut at its end has its time there, and its count in
// the burst that sees it return.
func TestACutCallHasTimeWithoutACount(t *testing.T) {
	fsync := number(t, "fsync")
	h := opened()
	h.CutOff(&threadtrace.Event{Kind: threadtrace.KindInFlight, Cut: true, Time: start, Duration: 3e6, Delay: 1e6, Number: fsync})
	h.Call(&threadtrace.Event{Time: start + second, Duration: 4e6, Cut: true, Number: fsync}, classes.Of(fsync))
	if got := closed(t, h).Calls[unit.Key{Number: fsync}]; got.N != 0.2 || got.Time != 6e6/5 {
		t.Errorf("%+v", got)
	}
	h.CutOff(&threadtrace.Event{Number: -3, Duration: 1})
	h.CutOff(&threadtrace.Event{Number: 5000, Duration: 1})
}

func TestWaitsThatAreNeverIdleAreAsLongAsTheirCalls(t *testing.T) {
	fsync, epoll, stuck := number(t, "fsync"), number(t, "epoll_wait"), number(t, "connect")
	h := opened()
	see := func(stack uint32, nr int32, looks int, elapsed int64) {
		for i := range looks {
			h.Blocked(Cell{Thread: 1, Stack: stack, Number: nr, Waiting: true}, &threadtrace.Event{Time: start + int64(i)*second/5, Duration: second / 5, Elapsed: elapsed, Number: nr})
		}
	}
	see(1, fsync, 3, 1)
	see(2, fsync, 1, 1)
	see(3, epoll, 5, 1)
	see(4, stuck, 2, 2*second)
	for i := range int64(100) {
		for _, nr := range []int32{fsync, epoll, stuck} {
			h.Call(&threadtrace.Event{Time: start + i*second/20, Duration: 2e6, Number: nr, Return: 0}, classes.Of(nr))
		}
	}
	c := closed(t, h)
	for _, tc := range []struct {
		at    Place
		want  float64
		exact bool
	}{
		{Place{1, fsync}, 100 * 2e6 / 5 * 3 / 4, true},
		{Place{2, fsync}, 100 * 2e6 / 5 / 4, true},
		{Place{3, epoll}, 0.2e9, false},         // may be idle
		{Place{4, stuck}, 2 * 0.2e9 / 5, false}, // what is in flight has no length yet
	} {
		if w := c.Wait[tc.at]; math.Abs(w.Time-tc.want) > 1 || w.Exact != tc.exact {
			t.Errorf("%+v: %+v, want %v", tc.at, w, tc.want)
		}
	}
}

func TestLostCallsWereLikeTheOthers(t *testing.T) {
	read := number(t, "read")
	for _, tc := range []struct {
		lost  uint64
		n     float64
		holey bool
	}{{0, 20, false}, {50, 30, false}, {300, 80, true}} {
		h := opened()
		for i := range int64(100) {
			h.Call(&threadtrace.Event{Time: start + i*second/20, Duration: 2e3, Number: read, Return: 7}, classes.Of(read))
		}
		h.Cover(&threadtrace.Coverage{Start: start, End: start + length, Traced: time.Duration(length), Dropped: map[string]uint64{"ring_overwrite": tc.lost, "no_stack": 1000}})
		c := closed(t, h)
		if got := c.Calls[unit.Key{Number: read}]; got.N != tc.n || c.Holey != tc.holey {
			t.Errorf("%d lost: %v calls a second, holey %v", tc.lost, got.N, c.Holey)
		}
	}
}

func TestTooLittleOfAHopSaysNothing(t *testing.T) {
	h := NewOpen(start, start+length, 10)
	h.Cover(&threadtrace.Coverage{Start: start, End: start + 2*second})
	if h.Close(classes, new(Adder)) != nil {
		t.Error("two fifths of a hop are judged")
	}
}

func TestSampledTimeCountsOnlyWhereTheExactOneLacksAProcess(t *testing.T) {
	for name, tc := range map[string]struct {
		covered int64 // of a second process
		want    float64
	}{
		"two processes":             {length, 0.4e9},
		"a process that ended amid": {length / 2, 1e9},
	} {
		h := opened()
		h.Cover(&threadtrace.Coverage{Start: start, End: start + tc.covered, CPUTime: 2 * time.Second})
		for i := range int64(50) {
			h.Sample(Cell{Thread: 1, Stack: 1}, &threadtrace.Event{Time: start + i*second/10, Duration: second / 10, Number: threadtrace.NoCall})
		}
		if c := closed(t, h); c.CPUTotal != tc.want || c.CPUOutside != 1e9 {
			t.Errorf("%s: %v, of it %v outside of calls", name, c.CPUTotal, c.CPUOutside)
		}
	}
}

func TestAHopIsBounded(t *testing.T) {
	read, connect := number(t, "read"), number(t, "connect")
	h := opened()
	total := int64(0)
	for i := range int32(3 * maxCells) {
		h.Sample(Cell{Thread: i, Stack: uint32(i % 7)}, &threadtrace.Event{Time: start, Duration: 1000, Number: threadtrace.NoCall})
		total += 1000
		h.Call(&threadtrace.Event{Time: start, Duration: 1, Number: read, Return: 1, Stack: uint32(1 + i)}, classes.Of(read))
		h.Call(&threadtrace.Event{Time: start, Duration: 1, Number: connect, Return: -i}, classes.Of(connect))
		h.Refused(i, &threadtrace.Event{Time: start, Number: connect, Return: -1 - i%100})
		h.Follow(Order{}, uint32(1+i))
	}
	if len(h.cells.list) > maxCells+7 || len(h.sites.list) > maxSites || len(h.failed) > maxSites || len(h.refused) > maxRefused || len(h.Orders) > maxOrders {
		t.Errorf("%d cells, %d sites, %d failures, %d refusals, %d orders", len(h.cells.list), len(h.sites.list), len(h.failed), len(h.refused), len(h.Orders))
	}
	for k, threads := range h.refused {
		if len(threads) > maxThreads {
			t.Errorf("%d threads were refused %v", len(threads), k)
		}
	}
	sum := int64(0)
	for _, s := range h.cells.list {
		sum += s.Time
	}
	if sum != total {
		t.Errorf("%d of %d ns are kept: time beyond the bound has no thread, and is not lost", sum, total)
	}
}

func TestTheLongestUnitsAreKept(t *testing.T) {
	s := newUnitSample(20, 1)
	for i := range int64(1000) {
		s.Add(&unit.Unit{Start: i, End: i + i*7919%1000})
	}
	kept := s.kept()
	if len(kept) != 20 || s.Seen != 1000 || s.Evicted != 980 {
		t.Fatalf("%d kept, %d seen, %d evicted", len(kept), s.Seen, s.Evicted)
	}
	long := 0
	for _, u := range kept {
		if u.Duration() >= 990 {
			long++
		}
	}
	if long < 10 {
		t.Errorf("%d of the ten longest are kept", long)
	}
}

func TestTheMeanOfHopsFollowsTheirTime(t *testing.T) {
	h1, h2 := opened(), opened()
	for i := range int64(25) {
		h1.Blocked(Cell{Thread: 1, Stack: 1, Number: 7, Waiting: true}, &threadtrace.Event{Time: start + i*second/5, Duration: second / 5, Number: 7})
	}
	h1.Sample(Cell{Thread: 1, Stack: 2}, &threadtrace.Event{Time: start, Duration: second, Number: threadtrace.NoCall})
	a, b := closed(t, h1), closed(t, h2)
	m := Merge(nil, a)
	m = Merge(m, b)
	m = Merge(m, b)
	if w := m.Wait[Place{1, 7}]; math.Abs(w.Time-1e9/3) > 2 || math.Abs(m.CPU.Map()[2]-0.2e9/3) > 2 || m.Seconds != 15 {
		t.Errorf("wait %v, on CPU %v, of %v s", w.Time, m.CPU.Map()[2], m.Seconds)
	}
	if a.Wait[Place{1, 7}].Time != 1e9 || a.Seconds != 5 {
		t.Error("the first hop was changed")
	}
	if math.Abs(m.SamplePeriod*3-a.SamplePeriod) > 1 {
		t.Errorf("one sample stands for %v, of one hop for %v", m.SamplePeriod, a.SamplePeriod)
	}
}

// TestGoroutinesShareOneThread: the time of many at a place is theirs together, and
// the share of it is told by how many there are.
func TestGoroutinesShareOneThread(t *testing.T) {
	h := NewOpen(0, 5e9, 10)
	h.Cover(&threadtrace.Coverage{Start: 0, End: 5e9, SnapshotPeriod: 200 * time.Millisecond})
	idle, wait := Cell{Thread: -1, Stack: 1, Number: threadtrace.WaitIO, Waiting: true}, Cell{Thread: -1, Stack: 2, Number: threadtrace.WaitMutex, Waiting: true}
	for at := int64(4e8); at < 5e9; at += 4e8 {
		h.Blocked(idle, &threadtrace.Event{Time: at, Duration: 15 * 4e8, Number: idle.Number, Population: 20})
		h.Blocked(wait, &threadtrace.Event{Time: at, Duration: 5 * 4e8, Number: wait.Number, Population: 20})
	}
	c := h.Close(threadtrace.NewClasses(threadtrace.ArchAMD64), new(Adder))
	if c.Starved {
		t.Error("looks at goroutines are further apart than those at threads, and that says nothing of the machine")
	}
	w := c.Wait[Place{2, wait.Number}]
	if w.Threads != 20 || w.Share() < 0.2 || w.Share() > 0.3 || w.Time < 4.5e9 || w.Time > 5e9 {
		t.Errorf("five of twenty are %+v, a share of %v", w, w.Share())
	}
	c.DescribeThreads(func(p Place) bool { return p.Number == idle.Number })
	if home := c.Homes[-1]; home.Stack != 1 || home.Share > 0.8 || c.Threads != 1 {
		t.Errorf("they idle at %+v, and are %d threads", home, c.Threads)
	}
}

// TestAnyTracedTimeCounts: how much calls say follows from how many there are, so that no part
// of a hop is too short.
func TestAnyTracedTimeCounts(t *testing.T) {
	h := NewOpen(start, start+length, 10)
	h.Cover(&threadtrace.Coverage{
		Start: start, End: start + length, Traced: 10 * time.Millisecond, SamplePeriod: time.Second / 49, SnapshotPeriod: time.Second / 5,
	})
	if c := h.Close(classes, new(Adder)); math.Abs(c.CallSeconds-0.01) > 1e-9 || !c.Traced() {
		t.Errorf("ten milliseconds of traced time are %v s", c.CallSeconds)
	}
}
