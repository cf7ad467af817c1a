package syscallreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// The stack of a wait comes before the snapshot that shows the wait, and no
// second time: a flush between the two must not lose it.
func TestFlushBetweenStackAndSnapshot(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.wait(200 * time.Millisecond)
	blocked := raw(7, 100, 101, 3, 9)
	blocked.Blocked = true
	b.stack(blocked)
	b.flush()
	for look := int64(1); look <= 2; look++ {
		b.wait(200 * time.Millisecond)
		b.tracer.give(func(g *gatherer) {
			g.event(event{100, 101, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: epoch + look*200e6, Duration: 200e6, Elapsed: look * 200e6, Number: 262, Stack: 7}})
		})
		b.flush()
		got := decode(t, b.deliveries[len(b.deliveries)-1].logs)
		require.Len(t, got[0].batches, 1)
		require.Equal(t, uint32(1), got[0].batches[0].Events[0].Stack, "look %d", look)
		assert.Equal(t, "f3 f9", framesOf(got[0].batches[0].Stacks[0]))
	}
}

// A stack and its call that come while a flush begins are delivered with it: the
// call waits for the names, however late in the flush it came.
func TestStackDuringFlush(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.wait(200 * time.Millisecond)
	b.unwinder.patient = true
	b.unwinder.slow = func(int32) { time.Sleep(10 * time.Millisecond) }
	b.tracer.atInFlight = func(g *gatherer) {
		g.stack(raw(7, 100, 101, 3, 9))
		b.tracer.give(func(g *gatherer) { g.event(call(100, 101, 100, 1, 1, 0, 7)) })
	}
	b.flush()
	got := decode(t, b.deliveries[0].logs)
	require.Len(t, got[0].batches, 1)
	require.Equal(t, uint32(1), got[0].batches[0].Events[0].Stack)
	assert.Equal(t, "f3 f9", framesOf(got[0].batches[0].Stacks[0]))
}
