//go:build linux && (amd64 || arm64)

package capture

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watchConfig has no syscall hook attached.
func watchConfig() Config {
	cfg := DefaultConfig()
	cfg.SnapshotInterval = 50 * time.Millisecond
	cfg.PollInterval = 10 * time.Millisecond
	return cfg
}

// TestSamplesAtOnce: those of a process for which that is asked come before the rings are
// read the next time, those of another do not.
func TestSamplesAtOnce(t *testing.T) {
	cfg := watchConfig()
	cfg.PollInterval = time.Hour
	cfg.SnapshotInterval = time.Hour
	tr, r := startTracer(t, cfg)
	needs(t, tr, "samples")
	sampled := func(pid int) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.samples, func(s Sample) bool { return int(s.PID) == pid })
	}
	other := startHelper(t, "spin 1s")
	must(t, tr.AddProcess(other.pid()))
	other.say()
	other.hear()
	if sampled(int(other.pid())) {
		t.Error("samples are delivered though nobody asked for it")
	}
	h := startHelper(t, "spin 1s")
	must(t, tr.AddProcess(h.pid()))
	must(t, tr.DeliverAtOnce(h.pid()))
	h.say()
	h.hear()
	for deadline := time.Now().Add(30 * time.Second); !sampled(int(h.pid())); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no sample is delivered")
		}
	}
	must(t, tr.DeliverAtOnce(1)) // is not followed
}

func TestSamplesMatchCPUTime(t *testing.T) {
	cfg := watchConfig()
	cfg.SampleHz = 97
	tr, r := startTracer(t, cfg)
	needs(t, tr, "sample stacks", "samples")
	h := startHelper(t, "spin 1s")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	said := h.hear()
	must(t, tr.Poll())
	must(t, tr.Snapshot())
	tid, used := int32(atoi(t, said[0])), time.Duration(atoi(t, said[1]))
	r.mu.Lock()
	defer r.mu.Unlock()
	samples, stacks, user := 0, 0, 0
	for _, s := range r.samples {
		if s.TID != tid {
			continue
		}
		samples++
		if st, ok := r.stacks[s.StackID]; ok && st.Regs.IP != 0 && r.lengths[s.StackID] > 0 {
			stacks++
		}
		if s.Number == NoCall {
			user++
		}
	}
	seen := time.Duration(samples) * tr.SamplePeriod()
	t.Logf("used %v of CPU, %d samples stand for %v, %d with a stack", used, samples, seen, stacks)
	least := used / 2
	if os.Getenv(kernelTestEnv) != "" {
		least = used / 5 // an emulated machine loses ticks
	}
	if seen < least || seen > used*2 {
		t.Errorf("samples stand for %v of CPU, used are %v", seen, used)
	}
	if stacks < samples*9/10 || user < samples*8/10 {
		t.Errorf("of %d samples %d have a stack and %d are in user code", samples, stacks, user)
	}
	// The scheduler's own figure, from the last snapshot.
	var cpu time.Duration
	running := false
	for _, s := range r.snapshots {
		sum := time.Duration(0)
		for _, th := range s.Threads {
			sum += th.CPUTime
			// On a busy machine the snapshot itself may displace it.
			running = running || (th.TID == tid && th.Flags&ThreadBlocked == 0)
		}
		cpu = max(cpu, sum)
	}
	if cpu < used*9/10 || cpu > used+200*time.Millisecond {
		t.Errorf("snapshots say %v of CPU, the process %v", cpu, used)
	}
	if !running {
		t.Error("no snapshot saw the spinning thread run")
	}
	if s := tr.Stats(); s.Produced != 0 {
		t.Errorf("%d calls recorded with no hook attached", s.Produced)
	}
}

// TestSamplesAsOftenAsAllowed lowers the kernel's limit, as the kernel itself
// does where interrupts take long.
func TestSamplesAsOftenAsAllowed(t *testing.T) {
	if os.Getenv(kernelTestEnv) == "" {
		t.Skip("changes a setting of the whole machine: runs in an emulated one")
	}
	before, err := os.ReadFile(maxSampleRate)
	must(t, err)
	must(t, os.WriteFile(maxSampleRate, []byte("40"), 0))
	t.Cleanup(func() { must(t, os.WriteFile(maxSampleRate, before, 0)) })
	cfg := watchConfig()
	cfg.SampleHz = 97
	tr, r := startTracer(t, cfg)
	needs(t, tr, "sample stacks", "samples")
	h := startHelper(t, "spin 1s")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	if period := tr.SamplePeriod(); period != time.Second/40 {
		t.Errorf("a sample stands for %v, want a 40th of a second", period)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) == 0 {
		t.Fatal("no sample")
	}
	for _, s := range r.samples {
		if s.Period != time.Second/40 {
			t.Fatalf("a sample says that it stands for %v", s.Period)
		}
	}
}

func TestSnapshotsSeeBlockedThread(t *testing.T) {
	tr, r := startTracer(t, watchConfig())
	needs(t, tr, "snapshot stacks", "snapshots")
	h := startHelper(t, "block")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	began := time.Now()
	time.Sleep(400 * time.Millisecond)
	must(t, tr.Snapshot())
	must(t, tr.Snapshot())
	r.mu.Lock()
	var rows []Thread
	for _, s := range r.snapshots {
		for _, th := range s.Threads {
			if th.TID == tid && th.Flags&ThreadBlocked != 0 && th.Number == unix.SYS_READV {
				rows = append(rows, th)
			}
		}
	}
	r.mu.Unlock()
	if len(rows) < 4 {
		t.Fatalf("%d snapshots of the blocked thread, want more: %+v", len(rows), rows)
	}
	last := rows[len(rows)-1]
	r.mu.Lock()
	stack, ok := r.stacks[last.StackID]
	bytes := r.lengths[last.StackID]
	r.mu.Unlock()
	if !ok || stack.Kind != StackBlocked || stack.TID != tid || stack.Number != unix.SYS_READV || bytes < 256 {
		t.Errorf("stack %+v with %d bytes of %+v", stack, bytes, last)
	}
	fresh := 0
	for _, th := range rows {
		if th.Flags&ThreadNewStack != 0 {
			fresh++
		}
		if th.Since != last.Since && th.Flags&ThreadSameWait != 0 {
			t.Errorf("the wait began at %d and at %d", th.Since, last.Since)
		}
	}
	if fresh != 1 {
		t.Errorf("%d stacks of one wait, want one", fresh)
	}
	if since := time.Unix(0, last.Since); since.Before(began.Add(-time.Second)) || time.Since(since) < 300*time.Millisecond {
		t.Errorf("the wait of the last %v began at %v", time.Since(began), since)
	}
	h.say()
	h.hear()
	t.Logf("%d snapshots, dropped %v", tr.Stats().Snapshots, tr.Stats().Dropped)
}

// TestSinceWhenAThreadWaits: with no hook attached, and no look at it for a while, it is known
// when a thread began to wait.
func TestSinceWhenAThreadWaits(t *testing.T) {
	cfg := watchConfig()
	cfg.SnapshotInterval = time.Hour
	tr, r := startTracer(t, cfg)
	needs(t, tr, "snapshots")
	h := startHelper(t, "block")
	must(t, tr.AddProcess(h.pid()))
	must(t, tr.Snapshot())
	time.Sleep(50 * time.Millisecond)
	h.say()
	tid := int32(atoi(t, h.hear()[0]))
	began := time.Now()
	time.Sleep(400 * time.Millisecond)
	must(t, tr.Snapshot())
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.snapshots[len(r.snapshots)-1]
	i := slices.IndexFunc(last.Threads, func(th Thread) bool { return th.TID == tid && th.Flags&ThreadBlocked != 0 })
	if i < 0 {
		t.Fatalf("thread %d is not seen to wait: %+v", tid, last.Threads)
	}
	since := time.Duration(last.Threads[i].Since - began.UnixNano())
	if os.Getenv(kernelTestEnv) != "" && since > 350*time.Millisecond {
		t.Skip("this kernel does not tell")
	}
	t.Logf("the wait began at %v", since)
	if since < -100*time.Millisecond || since > 100*time.Millisecond {
		t.Errorf("a wait that has begun at 0 is said to have begun at %v", since)
	}
}

func TestSnapshotStacksAreSharedFairly(t *testing.T) {
	const parked, most = 300, 32
	cfg := watchConfig()
	cfg.MaxSnapshotStacks = most
	tr, r := startTracer(t, cfg)
	h := startHelper(t, "park 300")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	with := 0
	eventually(t, "all parked threads have a stack", func() bool {
		must(t, tr.Snapshot())
		r.mu.Lock()
		defer r.mu.Unlock()
		with = 0
		for _, th := range r.snapshots[len(r.snapshots)-1].Threads {
			if th.StackID != 0 {
				with++
			}
		}
		return with >= parked
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.snapshots {
		fresh := 0
		for _, th := range s.Threads {
			if th.Flags&ThreadNewStack != 0 {
				fresh++
			}
			if _, ok := r.stacks[th.StackID]; th.StackID != 0 && !ok {
				t.Fatalf("snapshot %d refers to a stack that never came", i)
			}
		}
		if fresh > most {
			t.Errorf("snapshot %d has %d new stacks, want at most %d", i, fresh, most)
		}
	}
	t.Logf("%d threads had a stack each after %d snapshots; dropped %v", with, len(r.snapshots), tr.Stats().Dropped)
}

func TestNextOdds(t *testing.T) {
	for _, c := range []struct {
		budget, same, fresh uint32
		want                odds
	}{
		{100, 0, 0, odds{1, 1}},
		{100, 50, 50, odds{1, 1}},
		{100, 200, 0, odds{0.5, 1}},
		{100, 200, 100, odds{0.375, 0.25}},
		{100, 0, 200, odds{1, 0.5}},
		{0, 10, 10, odds{0, 0}},
	} {
		if got := nextOdds(c.budget, c.same, c.fresh); got != c.want {
			t.Errorf("nextOdds(%d, %d, %d) = %+v, want %+v", c.budget, c.same, c.fresh, got, c.want)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	cfg := watchConfig()
	tr, r := startTracer(b, cfg)
	r.discard = true
	h := startHelper(b, "park 1000")
	must(b, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	for b.Loop() {
		must(b, tr.Snapshot())
	}
}
