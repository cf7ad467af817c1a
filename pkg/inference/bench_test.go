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

// wide is a second of a service with a thousand cells: 440 functions on CPU and 40
// places of waits amid work, each with its node, under callers that are shared.
func wide(b *testing.B, start int64) []*threadtrace.Batch {
	const functions, places = 440, 40
	read, write, futex := number(b, "read"), number(b, "write"), number(b, "futex")
	var stacks []threadtrace.Stack
	for i := range functions {
		stacks = append(stacks, stackOf(fmt.Sprintf("step%d part%d handle%d serve loop main", i, i%20, i%8)))
	}
	for i := range places {
		stacks = append(stacks, stackOf(fmt.Sprintf("@pthread_mutex_lock update%d part%d handle%d serve loop main", i, i%20, i%8)))
	}
	var batches []*threadtrace.Batch
	for thread := range benchThreads {
		batch := &threadtrace.Batch{ThreadID: int32(100 + thread), ThreadName: "worker", Stacks: stacks}
		for i := range int64(49) {
			at := start + i*period
			n := int(i)*benchThreads + thread
			batch.Events = append(batch.Events,
				threadtrace.Event{Time: at, Duration: 3e3, Number: read, Return: 100},
				threadtrace.Event{Time: at + 1e6, Duration: 4e3, Number: write, Return: 1000},
				threadtrace.Event{Kind: threadtrace.KindSample, Time: at + 2e6, Duration: period, Number: threadtrace.NoCall, Stack: uint32(1 + n%functions)})
		}
		for i := range int64(5) {
			n := int(i)*benchThreads + thread
			batch.Events = append(batch.Events, threadtrace.Event{
				Kind: threadtrace.KindBlocked, Time: start + i*tick, Duration: tick, Elapsed: tick, Number: futex, Stack: uint32(1 + functions + n%places),
			})
		}
		batches = append(batches, batch)
	}
	return batches
}

// services is how many are judged on one core, each once a hop.
const services = 256

// BenchmarkHop judges a hop of a service with a thousand cells and a whole window of
// past: ahead, and when it is over.
func BenchmarkHop(b *testing.B) {
	cfg := DefaultConfig()
	a := NewAnalyzer(cfg, "amd64")
	now := epoch
	batches := wide(b, now)
	live := func(seconds time.Duration) {
		for range seconds {
			feed(a, now, batches)
			now += second
			shift(batches, second)
		}
	}
	whole := cfg.Hop / time.Second
	half := (whole + 1) / 2
	for range cfg.Window / cfg.Hop {
		live(whole)
		a.Advance(now)
	}
	if cells := a.habit.index.Len(); cells < 1000 {
		b.Fatalf("%d cells", cells)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		live(half)
		b.StartTimer()
		if found, ok := a.Ahead(now); ok {
			b.Fatal("a steady load is abnormal: ", found.Summary)
		}
		b.StopTimer()
		live(whole - half)
		b.StartTimer()
		if found := a.Advance(now); len(found) > 0 {
			b.Fatal("a steady load is abnormal: ", found[0].Summary)
		}
	}
	perHop := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(100*services*perHop/float64(cfg.Hop), "%core/256services")
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
