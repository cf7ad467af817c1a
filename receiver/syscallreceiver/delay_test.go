package syscallreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestDelays: what a thread waited for a CPU is no part of how long it waited in
// its call, and a call in flight has the delay that its last look showed.
func TestDelays(t *testing.T) {
	b := newBench(t, func(*Config) {})
	b.find(server(100))
	h := &kernelHandler{b.gatherer}
	const ms = int64(time.Millisecond)
	look := func(at int64, delay, total time.Duration) {
		h.Snapshot(&capture.Snapshot{Time: epoch + at*ms, Interval: 200 * time.Millisecond, Threads: []capture.Thread{{
			PID: 100, TID: 101, Number: 1, Flags: capture.ThreadBlocked | capture.ThreadSinceExact, Since: epoch + 10*ms, Delay: delay, RunDelay: total,
		}}})
	}
	h.Calls([]capture.Call{{PID: 100, TID: 100, Start: epoch, Duration: 5 * time.Millisecond, Delay: 4 * time.Millisecond}})
	look(100, 0, time.Second)
	look(300, 30*time.Millisecond, time.Second+31*time.Millisecond)
	b.tracer.inFlight = []event{call(100, 101, 10, 400, 1, 0, 0)}
	b.wait(500 * time.Millisecond)
	var events []threadtrace.Event
	b.gatherer.mu.Lock()
	events = append(events, b.targets[100].threads[100].events...)
	events = append(events, b.targets[100].threads[101].events...)
	assert.Equal(t, 31*time.Millisecond, b.targets[100].usage.delay)
	b.gatherer.mu.Unlock()
	require.Len(t, events, 3)
	assert.Equal(t, 4*ms, events[0].Delay)
	assert.Equal(t, 90*ms, events[1].Elapsed)
	assert.Equal(t, 260*ms, events[2].Elapsed)
	assert.Equal(t, 30*ms, events[2].Delay)
	b.flush()
	require.Len(t, b.deliveries, 1)
	got := decode(t, b.deliveries[0].logs)[0]
	require.Len(t, got.coverage, 1)
	assert.Equal(t, 31*time.Millisecond, got.coverage[0].RunDelay)
	inFlight := got.batches[1].Events[0] // by time
	assert.Equal(t, threadtrace.KindInFlight, inFlight.Kind)
	assert.Equal(t, 30*ms, inFlight.Delay)
}
