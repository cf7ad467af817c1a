package syscallreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/capture"
)

// BenchmarkCalls takes the calls of a second from the tracer and makes log
// records of them, as one thread makes them all, or many by turns of a few:
// the receiver's part of the way from the ring to a unit's features.
func BenchmarkCalls(b *testing.B) {
	const perSecond, turn, batch = 100_000, 8, 512
	for _, threads := range []int{1, 16, 2000} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			h := newBench(b, nil)
			h.find(server(100))
			calls := make([]capture.Call, perSecond)
			step := int64(time.Second) / perSecond
			for i := range calls {
				tid := int32(100 + i/turn%threads)
				calls[i] = capture.Call{PID: 100, TID: tid, Number: int32(i % 3), Return: int32(i % 512), Start: epoch + int64(i)*step, Duration: time.Duration(step / 2)}
			}
			handler := kernelHandler{h.gatherer}
			b.ReportAllocs()
			for b.Loop() {
				for at := 0; at < len(calls); at += batch {
					handler.Calls(calls[at:min(at+batch, len(calls))])
				}
				b.StopTimer()
				h.wait(time.Second)
				for i := range calls {
					calls[i].Start += int64(time.Second)
				}
				b.StartTimer()
				h.flush()
				h.deliveries = h.deliveries[:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perSecond, "ns/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}
