package window

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/perfscope/perfscope/internal/syscalltrace"
)

// Whatever comes, nothing breaks and the memory stays within its bounds.
func TestAnythingGoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	cfg := DefaultConfig()
	cfg.MaxUnits = 1200
	s := NewService(cfg, "amd64")
	now := epoch
	var most Stats
	for range 300 {
		for range 20 {
			b := &syscalltrace.Batch{ThreadID: rng.Int32N(40000)}
			for range 1 + rng.IntN(8) {
				var st syscalltrace.Stack
				for range rng.IntN(5) {
					st.Frames = append(st.Frames, syscalltrace.Frame{
						Function: fmt.Sprint("f", rng.IntN(40000)), Module: "m", Origin: syscalltrace.Origin(rng.IntN(4)),
					})
				}
				b.Stacks = append(b.Stacks, st)
			}
			for range rng.IntN(60) {
				at := now + rng.Int64N(second)
				if rng.IntN(100) == 0 {
					at = rng.Int64() - rng.Int64()
				}
				b.Events = append(b.Events, syscalltrace.Event{
					Kind: syscalltrace.Kind(rng.IntN(5)), Time: at, Duration: rng.Int64N(2*second) - second/10, Elapsed: rng.Int64N(second),
					Number: rng.Int32N(700) - 1, Return: rng.Int32N(300) - 200, Stack: rng.Uint32N(12),
				})
			}
			s.AddBatch(b)
		}
		s.AddCoverage(syscalltrace.Coverage{Start: now, End: now + second, Traced: 1, CPUTime: 1e8, Functions: rng.IntN(2)})
		now += second
		for _, a := range s.Advance(now - 2*second) {
			if !(a.Score >= 0 && a.Impact >= 0 && a.Impact <= 1) || a.End <= a.Start {
				t.Fatalf("impossible anomaly %+v", a)
			}
			for _, f := range a.Suspects {
				if !(f.Score >= 0 && f.Score <= 1) {
					t.Fatalf("impossible score %+v", f)
				}
			}
		}
		st := s.Stats()
		most.Hops, most.Units, most.Threads, most.Stacks = max(most.Hops, st.Hops), max(most.Units, st.Units), max(most.Threads, st.Threads), max(most.Stacks, st.Stacks)
	}
	if most.Hops > 60 || most.Units > cfg.MaxUnits || most.Threads > maxThreads || most.Stacks > 16384 || len(s.open) > maxOpen {
		t.Errorf("bounds are exceeded: %+v, %d open hops", most, len(s.open))
	}
	if most.Hops == 0 || most.Stacks < 8192 || s.Stats().ThreadsOverflow == 0 {
		t.Errorf("the test does not reach the bounds: %+v", s.Stats())
	}
}
