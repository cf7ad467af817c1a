package syscallreceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func waked(at, waited int64, by int32, stack, wakerStack uint32) threadtrace.Waking {
	return threadtrace.Waking{
		Time: epoch + at*1e6, Start: epoch + (at-waited)*1e6, Number: 202, By: threadtrace.WakerThread, Process: by, Thread: by, Name: "waker",
		Stack: stack, WakerStack: wakerStack,
	}
}

// TestWakings come with the stacks of both threads, whatever processes they are of.
func TestWakings(t *testing.T) {
	for _, format := range []Format{FormatPacked, FormatEvent} {
		b := newBench(t, func(c *Config) { c.Format = format })
		b.find(server(100), server(150))
		b.stack(raw(4, 100, 101, 1, 9))
		b.stack(raw(8, 150, 150, 2, 9))
		b.tracer.give(func(g *gatherer) {
			g.waking(100, 101, waked(30, 20, 150, 4, 8))
			g.waking(100, 101, waked(60, 20, 999, 4, 8)) // nobody's, with the number of a stack of another
			g.waking(100, 102, threadtrace.Waking{Time: epoch + 5e6, Start: epoch, Number: 202, Stack: 77})
			g.event(call(100, 101, 40, 30, 202, 0, 0))
		})
		b.wait(time.Second)
		b.flush()
		got := decode(t, b.deliveries[0].logs)[0].batches
		require.Len(t, got, 2)
		w := got[0].Wakings
		require.Len(t, w, 2)
		assert.Equal(t, "f1 f9", framesOf(got[0].Stacks[w[0].Stack-1]))
		assert.Equal(t, "f2 f9", framesOf(got[0].Stacks[w[0].WakerStack-1]))
		assert.Equal(t, int32(150), w[0].Thread)
		assert.Equal(t, w[0].Stack, w[1].Stack)
		assert.Zero(t, w[1].WakerStack)
		assert.Equal(t, []threadtrace.Waking{{Time: epoch + 5e6, Start: epoch, Number: 202}}, got[1].Wakings, "its stack never came")
		assert.Zero(t, b.wakings)
	}
}

// TestAWakingWaitsForItsStack: that of the call that waited comes as it returns.
func TestAWakingWaitsForItsStack(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.tracer.give(func(g *gatherer) {
		g.event(call(100, 100, 1, 1, 0, 0, 0))
		g.waking(100, 100, waked(990, 20, 999, 4, 0))
	})
	b.wait(time.Second)
	b.flush()
	require.Empty(t, decode(t, b.deliveries[0].logs)[0].batches[0].Wakings)
	b.stack(raw(4, 100, 100, 1, 9))
	b.wait(time.Second)
	b.flush()
	got := decode(t, b.deliveries[1].logs)[0].batches[0]
	require.Len(t, got.Wakings, 1)
	assert.Equal(t, "f1 f9", framesOf(got.Stacks[got.Wakings[0].Stack-1]))
}

func TestWakingsAreBounded(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.tracer.give(func(g *gatherer) {
		for range maxPendingWakings + 3 {
			g.waking(100, 100, waked(30, 20, 100, 0, 0))
		}
		assert.Equal(t, uint64(3), g.stats.dropped[dropWakings])
		g.forget(g.target(100))
	})
	assert.Zero(t, b.wakings)
}
