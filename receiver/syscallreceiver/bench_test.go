package syscallreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
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

// instantUnwinder costs nothing.
type instantUnwinder struct {
	fakeUnwinder
	st threadtrace.Stack
}

func (u *instantUnwinder) Try(int32, stack.Registers, stack.Copy) (threadtrace.Stack, error) {
	return u.st, nil
}

// BenchmarkSeparation is what it costs that stacks are unwound by others than the one
// who reads the rings: a copy of each, a line for each process, another goroutine.
// It is the CPU time beyond that of unwinding them at once, an event, when one in
// sixteen has a stack of 8 KiB, the most that the default allows.
func BenchmarkSeparation(b *testing.B) {
	const events, every, size, inARead = 100_000, 16, 8 << 10, 128
	h := newBench(b, nil)
	h.find(server(100))
	u := &instantUnwinder{st: threadtrace.Stack{Frames: make([]threadtrace.Frame, 20)}}
	h.symbols.unwind = u
	copied := make([]byte, size)
	raw := func(i int) rawStack {
		return rawStack{ID: uint32(i), PID: 100, TID: 100, Regs: stack.Registers{IP: 1}, Copy: stack.Copy{Bytes: copied}} //nolint:gosec // small
	}
	t := h.target(100)
	var apart, once time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begun := ownCPUTime()
		for i := range events / every {
			h.stack(raw(i))
			if i%inARead == 0 {
				h.symbols.quick.Settle(time.Minute)
			}
		}
		h.symbols.quick.Settle(time.Minute)
		between := ownCPUTime()
		for i := range events / every {
			one := raw(i)
			st, _ := u.Try(one.PID, one.Regs, one.Copy)
			h.named(t, one, namedStack{Stack: st})
		}
		apart, once = apart+between-begun, once+ownCPUTime()-between
		b.StopTimer()
		h.symbols.count.Add(-int64(t.named.turn()))
		b.StartTimer()
	}
	b.ReportMetric(float64((apart-once).Nanoseconds())/float64(b.N)/events, "ns/event")
	b.ReportMetric(float64((apart-once).Nanoseconds())/float64(b.N)/(events/every), "ns/stack")
	b.ReportMetric(0, "ns/op")
}
