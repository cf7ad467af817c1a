package perfscopeprocessor

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// BenchmarkFeatures takes the packed records of a second, 100,000 calls of 16
// threads in units of 30, to the features of their units: the processor's part
// of the way from the ring.
func BenchmarkFeatures(b *testing.B) {
	const perSecond, threads, perUnit = 100_000, 16, 30
	service := &service{threads: map[int32]int64{}, analyzer: inference.NewAnalyzer(inference.DefaultConfig(), "amd64")}
	now := time.Unix(0, epoch+3600*sec)
	batches := make([]*threadtrace.Batch, threads)
	for th := range batches {
		batches[th] = &threadtrace.Batch{ThreadID: int32(100 + th), ThreadName: "worker"}
		for i := range perSecond / threads {
			e := threadtrace.Event{Time: epoch + int64(i)*sec*threads/perSecond, Duration: 40_000, Number: int32(i % 9), Return: 100}
			if i%perUnit == 0 {
				e.Number, e.Return = 232, 1 // epoll_wait
			}
			batches[th].Events = append(batches[th].Events, e)
		}
	}
	start, events := int64(epoch), 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		rl := plog.NewLogs().ResourceLogs().AppendEmpty()
		resource(rl.Resource().Attributes(), "server", 100)
		recs := rl.ScopeLogs().AppendEmpty().LogRecords()
		for _, batch := range batches {
			tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", batch)
			for i := range batch.Events {
				batch.Events[i].Time += sec
			}
			events += len(batch.Events)
		}
		tracelog.AppendCoverage(recs, &threadtrace.Coverage{Start: start, End: start + sec, Traced: time.Second, Threads: threads})
		b.StartTimer()
		for _, f := range decoded(b, rl, now) {
			service.fold(f)
		}
		b.StopTimer()
		start += sec
		service.analyzer.Advance(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
	b.ReportMetric(0, "ns/op")
}
