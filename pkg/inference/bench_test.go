package inference

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	benchThreads = 16
	// benchUnit is the calls of one unit, its wait among them.
	benchUnit = 30
)

// busy makes a second of a service that makes perSecond calls, spread over its
// threads: units of 29 calls of eight kinds between two waits, one in 16 calls
// with one of 64 stacks, and 49 samples a second and thread.
func busy(b *testing.B, start int64, perSecond int) []*threadtrace.Batch {
	b.Helper()
	number := func(name string) int32 {
		nr, ok := threadtrace.Number("amd64", name)
		if !ok {
			b.Fatal(name)
		}
		return nr
	}
	wait := number("epoll_wait")
	var kinds []int32
	for _, name := range []string{"read", "write", "recvfrom", "sendto", "fstat", "lseek", "openat", "close"} {
		kinds = append(kinds, number(name))
	}
	var stacks []threadtrace.Stack
	for i := range 64 {
		stacks = append(stacks, stackOf(fmt.Sprintf("@write put%d handle%d serve loop main", i, i%8)))
	}
	var batches []*threadtrace.Batch
	per := perSecond / benchThreads
	for thread := range benchThreads {
		batch := &threadtrace.Batch{ThreadID: int32(100 + thread), ThreadName: "worker", Stacks: stacks}
		step := second / int64(per)
		for i := range per {
			e := threadtrace.Event{Time: start + int64(i)*step, Duration: step / 4, Number: kinds[i%len(kinds)], Return: 100}
			if i%benchUnit == 0 {
				e.Number, e.Return, e.Duration = wait, 1, step/2
			} else if i%16 == 1 {
				e.Stack = uint32(1 + i/16%len(stacks))
			}
			batch.Events = append(batch.Events, e)
			if i%(per/49) == per/98 {
				batch.Events = append(batch.Events, threadtrace.Event{
					Kind: threadtrace.KindSample, Time: e.End(), Duration: second / 490, Number: threadtrace.NoCall, Stack: uint32(1 + i%len(stacks)),
				})
			}
		}
		batches = append(batches, batch)
	}
	return batches
}

// feed delivers a second and returns the events in it.
func feed(s *Analyzer, start int64, batches []*threadtrace.Batch) int {
	events := 0
	for _, batch := range batches {
		s.AddBatch(batch)
		events += len(batch.Events)
	}
	s.AddCoverage(threadtrace.Coverage{
		Start: start, End: start + second, Traced: time.Second, SamplePeriod: time.Second / 49,
		SnapshotPeriod: 200 * time.Millisecond, CPUTime: 1600 * time.Millisecond, Threads: benchThreads, Functions: 1000,
	})
	return events
}

// shift moves batches by a time: making them costs more than folding them.
func shift(batches []*threadtrace.Batch, by int64) {
	for _, batch := range batches {
		for i := range batch.Events {
			batch.Events[i].Time += by
		}
	}
}

// BenchmarkFold folds events into units and hops.
func BenchmarkFold(b *testing.B) {
	s := NewAnalyzer(DefaultConfig(), "amd64")
	now, events := epoch, 0
	batches := busy(b, now, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		events += feed(s, now, batches)
		b.StopTimer()
		now += second
		shift(batches, second)
		s.Advance(now - second)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkAnalyse judges the newest hop of a whole window: five minutes with
// 30 million events and a million units.
func BenchmarkAnalyse(b *testing.B) {
	benchmarkHop(b, DefaultConfig())
}

func benchmarkHop(b *testing.B, cfg Config) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewAnalyzer(cfg, "amd64")
	now, events := epoch, 0
	batches := busy(b, now, 100_000)
	hop := func() {
		for range cfg.Hop / time.Second {
			events += feed(s, now, batches)
			now += second
			shift(batches, second)
		}
	}
	for range cfg.Window / cfg.Hop {
		hop()
		s.Advance(now)
	}
	units := s.Stats().UnitsSeen
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		hop()
		b.StartTimer()
		if found := s.Advance(now); len(found) > 0 {
			b.Fatal("a steady load is abnormal: ", found[0].Summary)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "window-MiB")
	b.ReportMetric(float64(units), "window-units")
}
