package inference

import (
	"reflect"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Vectors that are kept are those that are made anew, also where threads begin to
// idle elsewhere, and so is all that is told.
func TestKeptVectorsAreThoseMadeAnew(t *testing.T) {
	moved := 0
	live := func(seed uint64, keep bool) (all []any) {
		s := newServer(t, seed)
		onePhase := func(seconds int, l load) {
			for range seconds {
				if !keep {
					s.analyzer.habit.vectors = learnedVectors{}
				}
				was := s.analyzer.habit.vectors.idle
				s.run(1, l)
				for at, idle := range s.analyzer.habit.vectors.idle {
					if before, ok := was[at]; keep && ok && before != idle {
						moved++
					}
				}
				stats := s.analyzer.Stats()
				stats.Bytes = 0 // what is kept differs, of course
				all = append(all, stats)
			}
		}
		asks := with(pool(6), func(l *load) {
			for i := range l.waits {
				l.waits[i].share = 0.6
				l.waits[i].also = &site{stack: "@read next_piece serve worker", call: "read", share: 0.28}
			}
		})
		onePhase(60, asks)
		onePhase(40, with(asks, func(l *load) {
			for i := range l.waits {
				l.waits[i].share, l.waits[i].also = 0.1, &site{stack: "@read next_piece serve worker", call: "read", share: 0.3}
			}
		}))
		onePhase(20, steady(1))
		onePhase(15, with(steady(1), func(l *load) { l.busy["scan find handle loop main"] = 0.5 }))
		onePhase(30, evenly(0.2))
		return append(all, s.found)
	}
	for seed := range uint64(seeds) {
		if kept, anew := live(seed, true), live(seed, false); !reflect.DeepEqual(kept, anew) {
			for i := range kept {
				if !reflect.DeepEqual(kept[i], anew[i]) {
					t.Fatalf("seed %d, second %d: %+v, made anew %+v", seed, i, kept[i], anew[i])
				}
			}
		}
	}
	if moved == 0 {
		t.Error("no place became another: the test compares nothing")
	}
}

func TestKeptVectorsAreThoseMadeAnewInACrowd(t *testing.T) {
	live := func(keep bool) (all []any) {
		a := NewAnalyzer(DefaultConfig(), "amd64")
		for i, batches := range crowd(t) {
			start := epoch + int64(i)*second
			for _, b := range batches {
				a.AddBatch(b)
			}
			a.AddCoverage(threadtrace.Coverage{
				Start: start, End: start + second, Traced: time.Second, CPUTime: 1234567890,
				SamplePeriod: time.Second / 49, SnapshotPeriod: 200 * time.Millisecond, Threads: 6, Functions: 500,
			})
			if !keep {
				a.habit.vectors = learnedVectors{}
			}
			found, stats := a.Advance(start), a.Stats()
			stats.Bytes = 0
			all = append(all, found, stats)
		}
		return all
	}
	if kept, anew := live(true), live(false); !reflect.DeepEqual(kept, anew) {
		t.Errorf("%+v\nmade anew\n%+v", kept, anew)
	}
}
