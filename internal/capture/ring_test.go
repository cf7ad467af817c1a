//go:build linux && (amd64 || arm64)

package capture

import (
	"testing"
	"time"
)

// put writes a record as the kernel does.
func (r *ring) put(start, duration uint64, tid uint32) {
	r.records[*r.produced&uint64(len(r.records)-1)] = captureCallRecord{
		Start: start, DurationNr: duration | 39<<durationBits, Tid: tid, TgidFlags: 7 | uint32(FlagFirst)<<pidBits, Ret: -1, Stack: 5,
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
