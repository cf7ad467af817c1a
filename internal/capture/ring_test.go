//go:build linux && (amd64 || arm64)

package capture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"
)

// put writes a record as the kernel does.
func (r *ring) put(start, duration uint64, tid uint32) {
	r.records[*r.produced&uint64(len(r.records)-1)] = captureCallRecord{
		Start: start, DurationNr: duration | 39<<durationBits, TidDelay: tid, TgidFlags: 7 | uint32(FlagFirst)<<flagsShift, Ret: -1, Stack: 5,
	}
	*r.produced++
}

func newRing(records, chunk int) *ring {
	return &ring{produced: new(uint64), records: make([]captureCallRecord, records), buf: make([]captureCallRecord, chunk)}
}

func TestMergeOrdersByEnd(t *testing.T) {
	a, b := newRing(16, 2), newRing(16, 2)
	for i := uint64(0); i < 10; i++ {
		a.put(i*100, 10, uint32(i))
		b.put(i*100+50, 10, uint32(i+100))
	}
	m := merger{rings: []*ring{a, b}, batch: make([]Call, 0, 3)}
	var got []Call
	run := func(cut uint64) {
		a.snapshotLimit()
		b.snapshotLimit()
		m.merge(cut, 1000, func(c []Call) { got = append(got, c...) })
	}
	run(510) // the eleventh record, of a, ends at 510
	if len(got) != 11 {
		t.Fatalf("%d calls ended by 510, want 11", len(got))
	}
	want := Call{PID: 7, TID: 0, Number: 39, Return: -1, Start: 1000, Duration: 10, StackID: 5, Flags: FlagFirst}
	if got[0] != want {
		t.Errorf("%+v, want %+v", got[0], want)
	}
	run(1 << 40)
	if len(got) != 20 || m.late != 0 || m.calls != 20 {
		t.Fatalf("%d calls, %d late", len(got), m.late)
	}
	for i, c := range got[1:] {
		if c.Start < got[i].Start {
			t.Errorf("call %d starts at %d, after one at %d", i+1, c.Start, got[i].Start)
		}
	}
}

// TestMergeManyRings merges rings of random calls and compares with sorting.
// TestNoRoomWhileHeldBack: what was written within the slack stays in the ring,
// so that whoever wrote it may not have another share yet.
func TestNoRoomWhileHeldBack(t *testing.T) {
	quiet, flooded := newRing(64, 4), newRing(64, 4)
	m := merger{rings: []*ring{quiet, flooded}, batch: make([]Call, 0, 8)}
	for i := range uint64(64 / shareParts * shareOfGroup) {
		flooded.put(1000+i, 1, 1)
	}
	poll := func(cut uint64) bool {
		quiet.snapshotLimit()
		flooded.snapshotLimit()
		m.merge(cut, 0, func([]Call) {})
		return m.room()
	}
	if poll(1000) {
		t.Error("room beside a whole share that is not read")
	}
	if !poll(1 << 40) {
		t.Error("no room although all is read")
	}
}

func TestMergeManyRings(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		m := merger{batch: make([]Call, 0, 7)}
		for range 1 + rng.IntN(40) {
			m.rings = append(m.rings, newRing(64, 1+rng.IntN(8)))
		}
		var want, got []int64
		now, sent := uint64(1000), 0
		for range 5 {
			for range rng.IntN(10 * len(m.rings)) {
				// Some rings get most, and some none at all.
				r := m.rings[rng.IntN(1+rng.IntN(len(m.rings)))]
				if *r.produced-r.next >= 60 {
					continue
				}
				now += uint64(1 + rng.IntN(3))
				took := uint64(rng.IntN(1000))
				r.put(now-took, took, 1)
				want = append(want, int64(now))
				sent++
			}
			for _, r := range m.rings {
				r.snapshotLimit()
			}
			m.merge(now-uint64(rng.IntN(50)), 0, func(c []Call) {
				for _, c := range c {
					got = append(got, c.Start+int64(c.Duration))
				}
			})
		}
		m.merge(1<<62, 0, func(c []Call) {
			for _, c := range c {
				got = append(got, c.Start+int64(c.Duration))
			}
		})
		if !slices.Equal(got, want) || m.late != 0 || m.calls != uint64(sent) {
			t.Fatalf("%d rings: delivered %d calls, want %d; %d late\n%v\n%v", len(m.rings), len(got), sent, m.late, got, want)
		}
	}
}

// TestManyCPUs loads the programs as on a machine with 128 CPUs.
func TestManyCPUs(t *testing.T) {
	startTracer(t, testConfig()) // skips where tracing is not allowed
	defer func(f func() (int, error)) { possibleCPUs = f }(possibleCPUs)
	possibleCPUs = func() (int, error) { return 128, nil }
	spec, err := loadCapture()
	must(t, err)
	cfg := testConfig()
	cfg.RingRecords = DefaultConfig().RingRecords
	core, logs := observer.New(zap.InfoLevel)
	r := &recorder{}
	tr, err := newTracer(spec, cfg, r, zap.New(core))
	must(t, err)
	must(t, tr.Start(t.Context()))
	said := logs.FilterMessageSnippet("smaller than configured").All()
	if len(said) != 1 || said[0].ContextMap()["records_per_cpu"] != int64(16384) {
		t.Errorf("the log says %+v", said)
	}
	h := startHelper(t, "calls 1000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	h.hear()
	must(t, tr.Poll())
	if n := r.count(number(unix.SYS_GETPPID)); n != 1000 {
		t.Errorf("%d of 1000 calls delivered", n)
	}
	// The rings of calls, that of stacks, and two scratches per CPU.
	least := int64(maxRingBytes + cfg.StackRingBytes + 128*2*MaxStackBytes)
	if n := tr.Stats().Memory; n < least || n > least+16<<20 {
		t.Errorf("the maps take %d bytes, want at least %d and not much more", n, least)
	} else {
		t.Logf("the maps take %d bytes", n)
	}
	must(t, tr.Close())
	if n := tr.Stats().Memory; n != 0 {
		t.Errorf("the maps take %d bytes after Close", n)
	}
}

func TestRingCountsWhatIsOverwritten(t *testing.T) {
	for _, c := range []struct {
		name                       string
		before                     int
		delivered, overwrite, torn uint64
	}{
		{"fits", 15, 15, 0, 0},
		{"full: the oldest may be half written", 16, 15, 1, 0},
		{"overtaken", 40, 15, 25, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRing(16, 4)
			for i := range c.before {
				r.put(uint64(i), 1, 1)
			}
			r.snapshotLimit()
			m := merger{rings: []*ring{r}, batch: make([]Call, 0, 64)}
			n := uint64(0)
			m.merge(1<<40, 0, func(b []Call) { n += uint64(len(b)) })
			if n != c.delivered || r.overwritten != c.overwrite || r.torn != c.torn {
				t.Errorf("delivered %d, overwritten %d, torn %d", n, r.overwritten, r.torn)
			}
			if n+r.overwritten+r.torn != *r.produced {
				t.Errorf("%d of %d accounted for", n+r.overwritten+r.torn, *r.produced)
			}
		})
	}
}

// TestRingUnderFire writes and reads at once: nothing torn may come out, and
// the books must balance.
func TestRingUnderFire(t *testing.T) {
	cfg := testConfig()
	cfg.RingRecords, cfg.StackEvery = 16, 0
	tr, r := startTracer(t, cfg)
	h := startHelper(t, "threads 8 20000")
	must(t, tr.AddProcess(h.pid()))
	h.say()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tr.Stats().Produced < 8*20000 {
			if tr.Poll() != nil {
				return
			}
		}
	}()
	h.hear()
	<-done
	must(t, tr.Detach())
	must(t, tr.Poll())
	checkComplete(t, tr.Stats())
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.calls {
		if c.PID != h.pid() || c.Number > 500 || c.Duration < 0 || c.Duration > time.Minute {
			t.Fatalf("a torn record: %+v", c)
		}
	}
	t.Logf("%+v", tr.Stats())
}

func TestParseCPUList(t *testing.T) {
	for in, want := range map[string]int{"0\n": 1, "0-3,8\n": 5, "0-1": 2, "1-0": -1, "x": -1, "": -1, "0-99999999": -1} {
		got, err := parseCPUList(in)
		if (err != nil) != (want < 0) || (err == nil && len(got) != want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestMissingCapabilities(t *testing.T) {
	for status, want := range map[string]int{
		"Name:\tx\nCapEff:\t000001ffffffffff\n": 0,
		"CapEff:\t0000000000200000\n":           0, // CAP_SYS_ADMIN
		"CapEff:\t000000c000000000\n":           0, // CAP_PERFMON, CAP_BPF
		"CapEff:\t0000008000000000\n":           1,
		"CapEff:\t0000000000000000\n":           2,
	} {
		set, err := effectiveCapabilities(status)
		if got := missingCapabilities(set); err != nil || len(got) != want {
			t.Errorf("%q: %v, %v", status, got, err)
		}
	}
	if _, err := effectiveCapabilities("Name: x\n"); err == nil {
		t.Error("a status without CapEff was taken")
	}
}

func BenchmarkReader(b *testing.B) {
	r := newRing(1<<17, ringChunk)
	m := merger{rings: []*ring{r, newRing(1<<17, ringChunk)}, batch: make([]Call, 0, callBatch)}
	const each = 100000
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for i := range uint64(each) {
			r.put(i*100, 10, 1)
		}
		r.snapshotLimit()
		b.StartTimer()
		m.merge(1<<62, 0, func(c []Call) { n += len(c) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

// BenchmarkMerge reads many rings of which each holds a part of the calls.
func BenchmarkMerge(b *testing.B) {
	for _, c := range []struct{ rings, busy int }{{2, 2}, {16, 16}, {64, 64}, {128, 128}, {128, 2}} {
		b.Run(fmt.Sprintf("rings=%d/busy=%d", c.rings, c.busy), func(b *testing.B) {
			m := merger{batch: make([]Call, 0, callBatch)}
			for range c.rings {
				m.rings = append(m.rings, newRing(1<<11, ringChunk))
			}
			const calls = 1 << 16
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				busy := m.rings[:c.busy]
				for at := 0; at < calls; {
					each := min(calls/c.busy, 1000)
					for i, r := range busy {
						for k := range each {
							r.put(uint64(n+k*c.busy+i)*100, 10, 1)
						}
					}
					at += each * c.busy
					for _, r := range m.rings {
						r.snapshotLimit()
					}
					b.StartTimer()
					m.merge(1<<62, 0, func(c []Call) { n += len(c) })
					b.StopTimer()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
		})
	}
}

// TestPollsAreFewWhereLittleComes: the rings are read at the interval of the
// configuration only while they fill.
func TestPollsAreFewWhereLittleComes(t *testing.T) {
	tr := &Tracer{cfg: Config{PollInterval: 50 * time.Millisecond}}
	for _, tc := range []struct {
		attached, crowded bool
		want              time.Duration
	}{
		{false, false, 200 * time.Millisecond},
		{true, false, 50 * time.Millisecond},
		{false, true, 50 * time.Millisecond},
		{true, true, 50 * time.Millisecond},
	} {
		tr.read.attached, tr.read.crowded = tc.attached, tc.crowded
		if got := tr.pollInterval(); got != tc.want {
			t.Errorf("attached %v, crowded %v: polls every %v, want %v", tc.attached, tc.crowded, got, tc.want)
		}
	}
}
