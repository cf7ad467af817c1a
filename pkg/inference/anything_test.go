package inference

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// possible fails when an anomaly cannot be.
func possible(t *testing.T, a *Anomaly) {
	t.Helper()
	if !(a.Score >= 0 && a.Impact >= 0 && a.Impact <= 1) || a.End <= a.Start || a.Onset > a.Start {
		t.Fatalf("impossible anomaly %+v", a)
	}
	for _, f := range a.Suspects {
		if !(f.Score >= 0 && f.Score <= 1) {
			t.Fatalf("impossible score %+v", f)
		}
	}
	for _, u := range a.Units {
		if u.End < u.Start {
			t.Fatalf("impossible stretch %+v", u)
		}
	}
}

// bounded fails when an analyzer holds more than it may.
func bounded(t *testing.T, a *Analyzer) {
	t.Helper()
	st := a.Stats()
	hops := int(a.cfg.Window / a.cfg.Hop)
	if st.Hops > hops || st.Units > a.cfg.MaxUnits || st.Threads > maxThreads || st.Stacks > 2*frames.MaxStacks || len(a.open) > maxOpen {
		t.Fatalf("bounds are exceeded: %+v, %d open hops", st, len(a.open))
	}
	if st.UnitsEvicted > st.UnitsSeen || st.Bytes < 0 || st.Score < 0 || st.Evidence < 0 || st.Load < 0 || st.Active < 0 {
		t.Fatalf("figures do not agree: %+v", st)
	}
}

func TestWhateverComesTheMemoryIsBounded(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	cfg := DefaultConfig()
	cfg.MaxUnits = 1200
	a := NewAnalyzer(cfg, "amd64")
	now := epoch
	most := 0
	for range 300 {
		for range 20 {
			b := &threadtrace.Batch{ThreadID: rng.Int32N(40000)}
			for range 1 + rng.IntN(8) {
				var st threadtrace.Stack
				for range rng.IntN(5) {
					st.Frames = append(st.Frames, threadtrace.Frame{
						Function: fmt.Sprint("f", rng.IntN(40000)), Module: "m", Origin: threadtrace.Origin(rng.IntN(4)),
					})
				}
				b.Stacks = append(b.Stacks, st)
			}
			for range rng.IntN(60) {
				at := now + rng.Int64N(second)
				if rng.IntN(100) == 0 {
					at = rng.Int64() - rng.Int64()
				}
				b.Events = append(b.Events, threadtrace.Event{
					Kind: threadtrace.Kind(rng.IntN(5)), Time: at, Duration: rng.Int64N(2*second) - second/10, Elapsed: rng.Int64N(second),
					Number: rng.Int32N(700) - 1, Return: rng.Int32N(300) - 200, Stack: rng.Uint32N(12),
				})
			}
			a.AddBatch(b)
		}
		a.AddCoverage(threadtrace.Coverage{Start: now, End: now + second, Traced: 1, CPUTime: 1e8, Functions: rng.IntN(2)})
		now += second
		for _, found := range a.Advance(now - 2*second) {
			possible(t, &found)
		}
		bounded(t, a)
		most = max(most, a.Stats().Hops)
	}
	if st := a.Stats(); most == 0 || st.Stacks < frames.MaxStacks || st.ThreadsOverflow == 0 {
		t.Errorf("the test does not reach the bounds: %+v", st)
	}
}

// reader takes figures from the bytes of a fuzzer; zeros when there are no more.
type reader struct{ data []byte }

func (r *reader) next(n int) uint64 {
	var word [8]byte
	n = copy(word[:n], r.data)
	r.data = r.data[n:]
	return binary.LittleEndian.Uint64(word[:])
}

func (r *reader) int64() int64 { return int64(r.next(8)) }
func (r *reader) byte() byte   { return byte(r.next(1)) }

// instant is near the present most of the time, and anywhere otherwise.
func (r *reader) instant(now int64) int64 {
	if r.byte() < 16 {
		return r.int64()
	}
	return now + int64(r.next(4))%(8*second)
}

func (r *reader) batch(now int64) *threadtrace.Batch {
	b := &threadtrace.Batch{ThreadID: int32(r.next(2)), Dropped: r.next(1)}
	for range r.byte() % 4 {
		var st threadtrace.Stack
		for range r.byte() % 6 {
			f := r.byte()
			st.Frames = append(st.Frames, threadtrace.Frame{
				Function: fmt.Sprint("f", f%32), Module: []string{"m", "[jit]", "libc.so.6", "libuv.so"}[f%4], Origin: threadtrace.Origin(f / 32 % 4), Inlined: f > 250,
			})
		}
		b.Stacks = append(b.Stacks, st)
	}
	for range r.byte() % 16 {
		b.Events = append(b.Events, threadtrace.Event{
			Kind: threadtrace.Kind(r.byte() % 6), Cut: r.byte() > 200, Time: r.instant(now), Duration: int64(int32(r.next(4))) * 4,
			Elapsed: r.int64(), Delay: r.int64(), Number: int32(r.next(2)) - 4, Return: int32(r.next(4)), Stack: uint32(r.byte() % 8),
		})
	}
	return b
}

func (r *reader) coverage(now int64) threadtrace.Coverage {
	c := threadtrace.Coverage{
		Start: now, End: now + second, Traced: time.Duration(r.next(4)), SamplePeriod: time.Duration(r.next(4)), SnapshotPeriod: time.Duration(r.next(4)),
		CPUTime: time.Duration(int32(r.next(4))) * 1000, RunDelay: time.Duration(int32(r.next(4))), Functions: int(r.byte()),
	}
	if r.byte() < 32 {
		c.Start, c.End = r.int64(), r.int64()
	}
	if r.byte() < 32 {
		c.Dropped = map[string]uint64{"ring_overwrite": r.next(8)}
	}
	return c
}

// Whatever comes, nothing breaks, the memory is bounded and the figures agree.
func FuzzAnalyzer(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 4000)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(anything)
}

// anything feeds an analyzer with what the bytes of a fuzzer say.
func anything(t *testing.T, data []byte) {
	r := reader{data}
	cfg := DefaultConfig()
	cfg.Hop, cfg.Window, cfg.MaxUnits = time.Second, 12*time.Second, 48
	a := NewAnalyzer(cfg, "amd64")
	now := epoch
	for len(r.data) > 0 {
		switch r.byte() % 4 {
		case 0:
			a.AddCoverage(r.coverage(now))
		case 1:
			now += int64(r.next(4))
			for _, found := range a.Advance(now - second) {
				possible(t, &found)
			}
		default:
			a.AddBatch(r.batch(now))
		}
		bounded(t, a)
	}
	a.Advance(now + 10*second)
	bounded(t, a)
}
