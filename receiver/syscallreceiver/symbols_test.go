package syscallreceiver

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perfscope/perfscope/internal/process"
)

// another is the identity of a process of another service.
func another(pid int32) *process.Process {
	p := *server(pid)
	p.Root, p.ServiceName, p.InstanceID, p.Found = pid, "another", "instance-2", time.Unix(0, epoch)
	return &p
}

// TestASlowTargetHoldsUpNobody: the stacks of one process take for ever, those of
// another are named, and all events are delivered.
func TestASlowTargetHoldsUpNobody(t *testing.T) {
	b := newBench(t, nil)
	let := make(chan struct{})
	b.unwinder.patient = true
	b.unwinder.slow = func(pid int32) {
		if pid == 300 {
			<-let
		}
	}
	defer close(let)
	b.find(server(100), another(300))
	assert.Equal(t, []int32{100, 300}, b.tracer.follows(), "a process is recorded before it is known what it is")
	const more = 10
	// What waited for that process would not come back: nothing lets it go.
	for i := range uint32(maxStacksOfProcess + 1 + more) {
		b.stack(raw(1000+i, 300, 300, 5))
	}
	b.stack(raw(5, 100, 100, 1, 2))
	// One task is under way, a line of others waits; the rest is counted.
	b.symbols.quick.Settle(time.Minute)
	assert.InDelta(t, more, b.stats.stacks[stackDropped].Load(), 2)
	for round := range 3 {
		b.tracer.give(func(g *gatherer) {
			g.event(call(100, 100, int64(10+round), 1, 0, 64, 5))
			g.event(call(300, 300, int64(10+round), 1, 0, 64, 1000))
		})
		b.flush()
	}
	assert.Len(t, decode(t, b.deliveries[0].logs), 1, "the first records wait until it is known what it is")
	b.wait(maxDescribing)
	b.flush()
	got := decode(t, b.deliveries[0].logs)
	assert.Equal(t, "f1 f2", framesOf(got[0].batches[0].Stacks[0]), "the other's names")
	events := map[int64]int{}
	for _, d := range b.deliveries {
		for _, r := range decode(t, d.logs) {
			for _, batch := range r.batches {
				events[r.pid] += len(batch.Events)
				assert.True(t, r.pid == 100 || len(batch.Stacks) == 0)
			}
		}
	}
	assert.Equal(t, map[int64]int{100: 3, 300: 3}, events)
	assert.LessOrEqual(t, b.symbols.held.Load(), int64(maxStackBytes))
}

// TestStacksThatWaitAreBounded in bytes, over all processes.
func TestStacksThatWaitAreBounded(t *testing.T) {
	b := newBench(t, nil)
	let := make(chan struct{})
	b.unwinder.patient = true
	b.unwinder.slow = func(int32) { <-let }
	deep := make([]byte, 32<<10)
	const processes, each = 100, 20
	for i := range uint32(processes * each) {
		r := raw(i+1, 1000+int32(i%processes), 1, 0)
		r.Bytes = deep
		b.stack(r)
		require.LessOrEqual(t, b.symbols.held.Load(), int64(maxStackBytes))
	}
	assert.EqualValues(t, processes*each-maxStackBytes/len(deep), b.stats.stacks[stackDropped].Load())
	close(let)
}

// TestAPidUsedAgain gives the calls of each process to its own service, in
// whatever order the notices come.
func TestAPidUsedAgain(t *testing.T) {
	served := func(b *bench) map[string]int {
		calls := map[string]int{}
		for _, d := range b.deliveries {
			for _, r := range decode(t, d.logs) {
				for _, batch := range r.batches {
					calls[r.instance] += len(batch.Events)
				}
			}
		}
		return calls
	}
	// The child of another target has the pid before the end of its owner is told.
	b := newBench(t, nil)
	b.find(server(100), another(300))
	b.tracer.give(func(g *gatherer) {
		g.event(call(100, 100, 1, 1, 0, 0, 0))
		g.forked(300, 100, epoch+10e6)
		g.event(call(100, 100, 5, 1, 0, 0, 0)) // was in a ring still
		g.event(call(100, 100, 11, 1, 0, 0, 0))
		g.event(call(100, 100, 12, 1, 0, 0, 0))
		g.event(call(100, 100, 13, 1, 0, 0, 0))
		g.exited(100, 100, true, epoch+9e6, usage{})
		g.event(call(100, 100, 14, 1, 0, 0, 0))
	})
	b.wait(time.Second)
	b.flush()
	assert.Equal(t, map[string]int{"instance-1": 2, "instance-2": 4}, served(b))
	assert.False(t, b.targets[100].ended, "the end was its former owner's")
	for range maxClosing + 1 {
		b.wait(time.Second)
		b.flush()
	}
	assert.Empty(t, b.former)
	assert.Nil(t, b.targets[100].earlier)

	// A scan that began before the end tells of it afterwards.
	b = newBench(t, nil)
	old := server(100)
	old.Found = time.Unix(0, epoch)
	b.find(old)
	b.tracer.give(func(g *gatherer) { g.exited(100, 100, true, epoch+5e6, usage{}) })
	b.wait(time.Second)
	b.flush()
	_ = b.tracer.RemoveProcess(100) // as the kernel does
	b.find(old)
	assert.Empty(t, b.tracer.follows(), "who has the pid by now would be told as the former")
	next := another(100)
	next.Found = time.Unix(0, epoch+6e6)
	b.find(next)
	assert.Equal(t, []int32{100}, b.tracer.follows())

	// Its pid becomes another's between the look at it and the recording.
	b = newBench(t, nil)
	b.still = func(*process.Process) bool { return false }
	b.find(old)
	assert.Empty(t, b.tracer.follows())
}

// TestRecordsWaitForWhatAProcessIs: what it did is kept, with what was covered
// meanwhile, until it is known what it is; not for ever, and not at the end.
func TestRecordsWaitForWhatAProcessIs(t *testing.T) {
	for name, until := range map[string]func(b *bench, let func()){
		"known": func(b *bench, let func()) {
			let()
			require.Eventually(t, func() bool { return b.targets[100].facts.Load() != nil }, time.Minute, time.Millisecond)
		},
		"too long": func(b *bench, _ func()) { b.wait(maxDescribing) },
		"the end":  func(b *bench, _ func()) { b.close() },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			slow := make(chan struct{})
			let := sync.OnceFunc(func() { close(slow) })
			t.Cleanup(let)
			b.unwinder.slow = func(int32) { <-slow }
			b.find(server(100))
			for round := range int64(3) {
				b.tracer.give(func(g *gatherer) { g.event(call(100, 100, 10+round, 1, 0, 64, 0)) })
				b.wait(100 * time.Millisecond)
				b.flush()
			}
			assert.Empty(t, b.deliveries)
			until(b, let)
			b.flush()
			require.Len(t, b.deliveries, 1)
			got := decode(t, b.deliveries[0].logs)
			require.Len(t, got, 1)
			assert.Len(t, got[0].batches[0].Events, 3)
			require.Len(t, got[0].coverage, 4)
			for i, c := range got[0].coverage[1:] {
				assert.Equal(t, got[0].coverage[i].End, c.Start, "nothing is left out")
			}
		})
	}
}
