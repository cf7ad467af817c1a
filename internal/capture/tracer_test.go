//go:build linux && (amd64 || arm64)

package capture

import (
	"context"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(helperEnv); what != "" {
		runHelper(what)
		return
	}
	goleak.VerifyTestMain(m)
}

// recorder keeps all it is given.
type recorder struct {
	mu        sync.Mutex
	calls     []Call
	samples   []Sample
	stacks    map[uint32]RawStack // with Bytes nil
	lengths   map[uint32]int
	snapshots []Snapshot
	forks     []Fork
	execs     []Exec
	exits     []Exit
	edges     []Tracing
	contexts  []Context
	wakings   []Waking
	orphans   int // calls whose stack had not come before
	discard   bool
	onTracing func(Tracing) // nil, or what to do as an edge is told
}

func (r *recorder) Calls(batch []Call) {
	if r.discard {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		if _, ok := r.stacks[c.StackID]; c.StackID != 0 && !ok {
			r.orphans++
		}
	}
	r.calls = append(r.calls, batch...)
}

func (r *recorder) Stack(s *RawStack) {
	if r.discard {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stacks == nil {
		r.stacks, r.lengths = map[uint32]RawStack{}, map[uint32]int{}
	}
	c := *s
	c.Bytes = nil
	r.stacks[s.ID], r.lengths[s.ID] = c, len(s.Bytes)
}

func (r *recorder) Sample(s Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.samples = append(r.samples, s)
}

func (r *recorder) Snapshot(s *Snapshot) {
	if r.discard {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := *s
	c.Threads = slices.Clone(s.Threads)
	r.snapshots = append(r.snapshots, c)
}

func (r *recorder) Fork(f Fork) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forks = append(r.forks, f)
}

func (r *recorder) Waking(w Waking) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakings = append(r.wakings, w)
}

func (r *recorder) Exec(e Exec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.execs = append(r.execs, e)
}

func (r *recorder) Tracing(e Tracing) {
	if r.onTracing != nil {
		r.onTracing(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.InFlight = slices.Clone(e.InFlight)
	r.edges = append(r.edges, e)
}

func (r *recorder) Exit(e Exit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exits = append(r.exits, e)
}

func (r *recorder) Context(c Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.contexts = append(r.contexts, c)
}

// count returns how many calls match.
func (r *recorder) count(match func(Call) bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, c := range r.calls {
		if match(c) {
			n++
		}
	}
	return n
}

func number(n int32) func(Call) bool { return func(c Call) bool { return c.Number == n } }

// testConfig traces every call, with the watch off.
func testConfig() Config {
	cfg := DefaultConfig()
	cfg.Continuous, cfg.SampleHz, cfg.SnapshotInterval = true, 0, 0
	cfg.RingRecords = 1 << 16
	cfg.StackRate = 0
	cfg.PollInterval = 10 * time.Millisecond
	return cfg
}

// startTracer starts a tracer or skips the test, which CI does not accept.
func startTracer(t testing.TB, cfg Config) (*Tracer, *recorder) {
	t.Helper()
	r := &recorder{}
	tr, err := New(cfg, r, nil)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the kernel must allow this in CI: %v", err)
		}
		t.Skipf("cannot trace here: %v", err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err := tr.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return tr, r
}

// TestFeatures says what this kernel gives; the kernel tests read it.
func TestFeatures(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Continuous, cfg.TraceContext = true, true
	tr, _ := startTracer(t, cfg)
	denied := tr.Degraded()
	for _, d := range denied {
		t.Logf("DENIED %s: %s", d.Feature, d.Reason)
		if d.Reason == "" || strings.Contains(d.Reason, "please report") {
			t.Errorf("%s is denied, and the reason does not say why: %q", d.Feature, d.Reason)
		}
	}
	t.Logf("FEATURES %s %d denied", kernelRelease(), len(denied))
}

// kernelTestEnv is set when the tests run on an old or locked kernel.
const kernelTestEnv = "PERFSCOPE_KERNEL_TEST"

// needs skips a test of features that such a kernel denies; elsewhere they must
// be there.
func needs(t testing.TB, tr *Tracer, features ...string) {
	t.Helper()
	for _, d := range tr.Degraded() {
		switch {
		case !slices.Contains(features, d.Feature):
		case os.Getenv(kernelTestEnv) != "":
			t.Skipf("denied: %s: %s", d.Feature, d.Reason)
		default:
			t.Fatalf("degraded: %+v", d)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkComplete holds the books to be exact: what the kernel recorded was
// delivered or is counted as lost. The hooks must be off.
func checkComplete(t *testing.T, s Stats) {
	t.Helper()
	if lost := s.Dropped[DropRingOverwrite] + s.Dropped[DropTornRead]; s.Produced != s.Calls+lost {
		t.Errorf("recorded %d, delivered %d and dropped %d", s.Produced, s.Calls, lost)
	}
}

func TestEveryCallIsDeliveredInOrder(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	emulated := os.Getenv(kernelTestEnv) != ""
	stacks := !emulated || len(tr.Degraded()) == 0
	h := startHelper(t, "calls 1000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	must(t, tr.Poll())
	must(t, tr.Detach())
	must(t, tr.Poll())
	checkComplete(t, tr.Stats())

	var seq []Call
	r.mu.Lock()
	for _, c := range r.calls {
		if c.TID == tid && c.PID == h.pid() {
			seq = append(seq, c)
		}
	}
	r.mu.Unlock()
	var last int64
	counts := map[int32]int{}
	for _, c := range seq {
		if c.Start < last && !emulated { // whose clock jumps
			t.Fatalf("call %d starts at %d, before the end of the last at %d", c.Number, c.Start, last)
		}
		last = c.Start + int64(c.Duration)
		counts[c.Number]++
	}
	// The thread's own three calls in their order.
	var ring []int32
	for _, c := range seq {
		switch c.Number {
		case unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEGID:
			ring = append(ring, c.Number)
		}
	}
	if len(ring) != 3000 {
		t.Errorf("got %d calls of the loop, want 3000 (%v)", len(ring), counts)
	}
	for i, n := range ring {
		if want := []int32{unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEGID}[i%3]; n != want {
			t.Fatalf("call %d of the loop is %d, want %d", i, n, want)
		}
	}
	slept, failed := false, false
	for _, c := range seq {
		switch {
		case c.Number == unix.SYS_NANOSLEEP && c.Duration >= 20*time.Millisecond:
			slept = true
			// A loaded machine may wake it late, never early.
			if c.Duration > 500*time.Millisecond {
				t.Errorf("a sleep of 20ms took %v", c.Duration)
			}
			// On an emulated machine it may not be the first slow one of the second.
			if !emulated && (c.Flags&FlagSlow == 0 || c.StackID == 0) {
				t.Errorf("a slow call has no stack: %+v", c)
			}
		case c.Number == unix.SYS_OPENAT && c.Return == -int32(unix.ENOENT):
			failed = true
		case c.Number == unix.SYS_GETPPID && c.Return != int32(os.Getpid()):
			t.Fatalf("getppid returned %d, want %d", c.Return, os.Getpid())
		}
	}
	if !slept || !failed {
		t.Errorf("nanosleep seen %v, failing openat seen %v (%v)", slept, failed, counts)
	}
	if now := time.Now().UnixNano(); last > now || last < now-int64(time.Minute) {
		t.Errorf("the last call ended at %d, now is %d", last, now)
	}
	// One in 16, the first of each number, slow and failing ones.
	sampled := r.count(func(c Call) bool { return c.TID == tid && c.Flags&FlagSampled != 0 })
	if stacks && (sampled < 3000/16/2 || sampled > 3000/16*2) {
		t.Errorf("%d of 3000 calls were sampled, want about %d", sampled, 3000/16)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.orphans != 0 {
		t.Errorf("%d calls came before their stacks", r.orphans)
	}
	for id, s := range r.stacks {
		if s.Regs.IP == 0 || s.Regs.SP == 0 || r.lengths[id] == 0 || s.Kind != StackAtCall {
			t.Errorf("bad stack %+v with %d bytes", s, r.lengths[id])
		}
	}
}

// However many calls a thread makes, so many of them cost it a stack copy. They
// take several windows: in the first one the first calls have its budget.
func TestStackRate(t *testing.T) {
	cfg := testConfig()
	cfg.StackEvery, cfg.StackRate = 2, 60
	tr, r := startTracer(t, cfg)
	needs(t, tr, "syscall stacks")
	h := startHelper(t, "calls 80000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	must(t, tr.Poll())
	loop := func(c Call) bool { return c.TID == tid }
	var first, last int64
	r.mu.Lock()
	for _, c := range r.calls {
		if loop(c) {
			if first == 0 {
				first = c.Start
			}
			last = c.Start
		}
	}
	r.mu.Unlock()
	// One in each window of 2^24 ns; a first call does not count.
	windows := int((last-first)>>24) + 2
	sampled := r.count(func(c Call) bool { return c.TID == tid && c.Flags == FlagSampled })
	if sampled == 0 || sampled > windows {
		t.Errorf("%d of %d calls have a stack in %d windows", sampled, r.count(loop), windows)
	}
	if lost := r.count(func(c Call) bool { return c.Flags&FlagStackLost != 0 }); lost != 0 {
		t.Errorf("%d stacks beyond the rate count as lost", lost)
	}
}

// TestSlowStackRate has many threads sleep and sleep: each call is a slow one.
func TestSlowStackRate(t *testing.T) {
	for _, c := range []struct {
		name      string
		snapshots time.Duration
	}{{"budget", 0}, {"idle calls are left to the snapshots", time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.StackEvery, cfg.StackRate, cfg.SnapshotInterval = 30000, DefaultConfig().StackRate, c.snapshots
			cfg.StackRingBytes = 64 << 20
			tr, r := startTracer(t, cfg)
			h := startHelper(t, "sleepers 200")
			must(t, tr.AddProcess(h.pid()))
			h.say()
			h.hear()
			must(t, tr.Poll())
			var first, last int64
			calls, slow, again, stacks := 0, 0, 0, map[int32]int{}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, call := range r.calls {
				if call.Number != unix.SYS_NANOSLEEP || call.PID != h.pid() {
					continue
				}
				calls++
				end := call.Start + int64(call.Duration)
				if first == 0 {
					first = end
				}
				last = max(last, end)
				if call.Flags&FlagSlow != 0 {
					slow++
					if stacks[call.TID] > 0 {
						again++
					}
				}
				if call.StackID != 0 {
					stacks[call.TID]++
				}
			}
			// Eight in each window of 2^24 ns and CPU: StackRate/60*4/2.
			most := (int((last-first)>>24) + 2) * runtime.NumCPU() * 8
			s := tr.Stats()
			t.Logf("%d sleeps in %v: %d slow stacks, %d of them not a thread's first, at most %d allowed; dropped %v",
				calls, time.Duration(last-first), slow, again, most, s.Dropped)
			if calls < 200*20 || slow == 0 || slow > most {
				t.Errorf("%d slow stacks of %d sleeps, want 1 to %d", slow, calls, most)
			}
			if c.snapshots > 0 && again > 0 {
				t.Errorf("%d sleeps after the first have a stack", again)
			}
			// A wave of first calls is spread, not forgotten.
			if len(stacks) < 200 {
				t.Errorf("%d of 200 threads have a stack", len(stacks))
			}
			if s.Dropped[DropStackRing] != 0 {
				t.Errorf("stacks beyond the budget count as lost: %v", s.Dropped)
			}
		})
	}
}

func TestIdleCalls(t *testing.T) {
	for arch, numbers := range map[string][]int32{"amd64": {232, 7, 202, 35}, "arm64": {22, 73, 98, 101}} {
		set := idleCalls(arch)
		for _, nr := range numbers {
			if set[nr/64]>>(nr%64)&1 == 0 {
				t.Errorf("%s: call %d is not idle", arch, nr)
			}
		}
		if set[0]&1 != 0 {
			t.Errorf("%s: call 0 is idle", arch)
		}
	}
}

func TestCallInFlight(t *testing.T) {
	tr, r := startTracer(t, testConfig())
	h := startHelper(t, "block")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	var found Call
	isOurs := func(c Call) bool { return c.TID == tid && c.Number == unix.SYS_READV }
	eventually(t, "the blocked read is in flight", func() bool {
		calls, err := tr.InFlight(50 * time.Millisecond)
		must(t, err)
		i := slices.IndexFunc(calls, isOurs)
		if i >= 0 {
			found = calls[i]
		}
		return i >= 0
	})
	if found.Duration < 50*time.Millisecond || found.PID != h.pid() {
		t.Errorf("in flight: %+v", found)
	}
	must(t, tr.Poll())
	if n := r.count(isOurs); n != 0 {
		t.Fatalf("the call was delivered %d times before it returned", n)
	}
	h.say()
	h.hear()
	must(t, tr.Poll())
	if n := r.count(isOurs); n != 1 {
		t.Fatalf("the call was delivered %d times after it returned, want once", n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.calls, isOurs)
	if c := r.calls[i]; c.Return != 1 || c.Duration < found.Duration {
		t.Errorf("returned as %+v, was in flight as %+v", c, found)
	}
}

func TestThousandThreads(t *testing.T) {
	const threads, each = 1000, 200
	for _, size := range []struct {
		name    string
		records int
	}{{"large ring", 1 << 18}, {"tiny ring", 64}} {
		t.Run(size.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.RingRecords = size.records
			cfg.StackEvery = 0
			tr, r := startTracer(t, cfg)
			h := startHelper(t, "threads 1000 200")
			must(t, tr.AddProcess(h.pid()))
			h.say()
			h.hear()
			must(t, tr.Poll())
			must(t, tr.Detach())
			must(t, tr.Poll())
			s := tr.Stats()
			checkComplete(t, s)
			got := r.count(number(unix.SYS_GETPPID))
			lost := s.Dropped[DropRingOverwrite] + s.Dropped[DropTornRead]
			t.Logf("%d threads, %d calls made in the loops, %d of them delivered; all calls: %d recorded, %d delivered, %v; %d late",
				s.Threads, threads*each, got, s.Produced, s.Calls, s.Dropped, s.Late)
			switch {
			case s.Dropped[DropSlotCollision] != 0 || s.Dropped[DropThread] != 0:
				t.Errorf("threads without a slot: %v", s.Dropped)
			case size.records == 64 && (lost == 0 || got == threads*each):
				t.Errorf("a ring of 64 lost %d", lost)
			case size.records != 64 && (lost != 0 || got != threads*each):
				t.Errorf("delivered %d of %d calls, lost %d", got, threads*each, lost)
			}
		})
	}
}

// eventually waits for something that takes its time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10s: %s", what)
		}
	}
}
