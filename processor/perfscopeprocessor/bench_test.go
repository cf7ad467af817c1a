package perfscopeprocessor

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/syscalllog"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/window"
)

// BenchmarkFeatures takes the packed records of a second, 100,000 calls of 16
// threads in units of 30, to the features of their units: the processor's part
// of the way from the ring.
func BenchmarkFeatures(b *testing.B) {
	const perSecond, threads, perUnit = 100_000, 16, 30
	service := &service{threads: map[int32]int64{}, analyzer: window.NewService(window.DefaultConfig(), "amd64")}
	now := time.Unix(0, epoch+3600*sec)
	batches := make([]*syscalltrace.Batch, threads)
	for th := range batches {
		batches[th] = &syscalltrace.Batch{ThreadID: int32(100 + th), ThreadName: "worker"}
		for i := range perSecond / threads {
			e := syscalltrace.Event{Time: epoch + int64(i)*sec*threads/perSecond, Duration: 40_000, Number: int32(i % 9), Return: 100}
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
			syscalllog.AppendBatch(recs, syscalllog.FormatPacked, "amd64", batch)
			for i := range batch.Events {
				batch.Events[i].Time += sec
			}
			events += len(batch.Events)
		}
		syscalllog.AppendCoverage(recs, &syscalltrace.Coverage{Start: start, End: start + sec, Traced: time.Second, Threads: threads})
		b.StartTimer()
		f, errs := decode(rl, now)
		if len(errs) > 0 {
			b.Fatal(errs)
		}
		service.fold(f)
		b.StopTimer()
		start += sec
		service.analyzer.Advance(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
	b.ReportMetric(0, "ns/op")
}
