package syscallreceiver

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/capture"
	"github.com/perfscope/perfscope/internal/process"
	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

var update = flag.Bool("update", false, "write the golden files")

func nopStats(t testing.TB) *stats {
	builder, err := metadata.NewTelemetryBuilder(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	return newStats(builder)
}

// decoded is what one resource of a delivery holds.
type decoded struct {
	pid      int64
	instance string
	batches  []*threadtrace.Batch
	coverage []*threadtrace.Coverage
}

func decode(t *testing.T, logs plog.Logs) []decoded {
	t.Helper()
	var out []decoded
	for i := range logs.ResourceLogs().Len() {
		rl := logs.ResourceLogs().At(i)
		var d decoded
		if v, ok := rl.Resource().Attributes().Get("process.pid"); ok {
			d.pid = v.Int()
		}
		if v, ok := rl.Resource().Attributes().Get("service.instance.id"); ok {
			d.instance = v.Str()
		}
		require.Empty(t, tracelog.Decode(rl.ScopeLogs().At(0).LogRecords(), tracelog.Handler{
			Arch:     "amd64",
			Batch:    func(_ string, b *threadtrace.Batch) { d.batches = append(d.batches, b) },
			Coverage: func(c *threadtrace.Coverage) { d.coverage = append(d.coverage, c) },
		}))
		out = append(out, d)
	}
	return out
}

// record plays half a second of a small server.
func (b *bench) record() {
	b.find(server(100))
	b.wait(500 * time.Millisecond)
	b.tracer.inFlight = []event{call(100, 101, 100, 400, 202, 0, 0)} // futex
	b.tracer.stats.Dropped["ring_overwrite"] = 3
	b.tracer.stats.Dropped["stack_ring_full"] = 5
	b.stack(raw(5, 100, 100, 1, 2, 9))
	b.stack(raw(6, 100, 100, 1, 2, 9)) // the same frames
	b.stack(raw(7, 100, 101, 3, 9))
	b.stack(rawStack{ID: 8, PID: 100, TID: 100}) // cannot be unwound
	b.tracer.give(func(g *gatherer) {
		t := g.target(100)
		t.used(100, usage{time.Second, time.Second})
		t.used(101, usage{time.Second, 0})
		t.counted = true
		g.event(call(100, 100, 20, 1, 1, 64, 6))
		g.event(call(100, 100, 10, 2, 0, -11, 5))
		g.event(call(100, 100, 30, 1, 1, 64, 8))
		g.event(event{100, 100, threadtrace.Event{Kind: threadtrace.KindSample, Time: epoch + 40e6, Duration: 20e6, Number: threadtrace.NoCall, Stack: 6}})
		for _, at := range []int64{200e6, 400e6} { // two looks at one wait: its stack comes once
			g.event(event{100, 101, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: epoch + at, Duration: 200e6, Elapsed: at - 100e6, Number: 202, Stack: 7}})
		}
		t.used(100, usage{time.Second + 30*time.Millisecond, time.Second + 4*time.Millisecond})
		t.used(101, usage{time.Second, 0})
		t.used(102, usage{5 * time.Millisecond, 2 * time.Millisecond}) // started since
	})
	b.flush()
}

// TestGolden shows what the event format looks like; the packed one is decoded
// by the other tests.
func TestGolden(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Format = FormatEvent })
	b.record()
	require.Len(t, b.deliveries, 1)
	got, err := (&plog.JSONMarshaler{}).MarshalLogs(b.deliveries[0].logs)
	require.NoError(t, err)
	file := filepath.Join("testdata", "golden.json")
	if *update {
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, got, "", "  "))
		require.NoError(t, os.WriteFile(file, append(pretty.Bytes(), '\n'), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(got))
}

func TestFlush(t *testing.T) {
	b := newBench(t, nil)
	b.record()
	got := decode(t, b.deliveries[0].logs)
	require.Len(t, got, 1)
	require.Len(t, got[0].batches, 2)
	main, worker := got[0].batches[0], got[0].batches[1]
	assert.Equal(t, "server", main.ThreadName)
	assert.Equal(t, "bio_aof", worker.ThreadName)

	require.Len(t, main.Events, 4)
	for i := 1; i < 4; i++ {
		assert.LessOrEqual(t, main.Events[i-1].Time, main.Events[i].Time, "events out of order")
	}
	require.Len(t, main.Stacks, 1, "equal stacks are sent once")
	assert.Equal(t, []uint32{1, 1, 0, 1}, []uint32{main.Events[0].Stack, main.Events[1].Stack, main.Events[2].Stack, main.Events[3].Stack})
	assert.Equal(t, "f1 f2 f9", framesOf(main.Stacks[0]))

	require.Len(t, worker.Events, 3)
	flight := worker.Events[0]
	assert.Equal(t, threadtrace.KindInFlight, flight.Kind)
	assert.Equal(t, int64(400e6), flight.Duration)
	for _, e := range worker.Events {
		require.Equal(t, uint32(1), e.Stack, "%+v", e)
	}
	assert.Equal(t, "f3 f9", framesOf(worker.Stacks[0]))

	require.Len(t, got[0].coverage, 1)
	c := got[0].coverage[0]
	assert.Equal(t, 500*time.Millisecond, time.Duration(c.End-c.Start))
	assert.Equal(t, 500*time.Millisecond, c.Traced)
	assert.Equal(t, 35*time.Millisecond, c.CPUTime)
	assert.Equal(t, 2, c.Threads)
	assert.Equal(t, 42, c.Functions)
	assert.Equal(t, map[string]uint64{"ring_overwrite": 3}, c.Dropped, "stacks lost are no events lost")

	// The wait goes on: its stack is known still, and the call comes once
	// more when it returns.
	b.wait(500 * time.Millisecond)
	b.tracer.inFlight = nil
	b.tracer.give(func(g *gatherer) {
		g.event(event{100, 101, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: epoch + 600e6, Duration: 200e6, Elapsed: 500e6, Number: 202, Stack: 7}})
		g.event(call(100, 101, 100, 600, 202, 0, 0))
	})
	b.flush()
	got = decode(t, b.deliveries[1].logs)
	require.Len(t, got[0].batches, 1)
	require.Len(t, got[0].batches[0].Events, 2)
	assert.Equal(t, "f3 f9", framesOf(got[0].batches[0].Stacks[0]))
	assert.Empty(t, got[0].coverage[0].Dropped)
	assert.Zero(t, b.pending)
}

func TestStackBytesAreZeroed(t *testing.T) {
	b := newBench(t, nil)
	for _, r := range []rawStack{raw(1, 100, 100, 7, 7), {ID: 2, PID: 100, TID: 100, Copy: stack.Copy{Bytes: []byte{7, 7}}}} {
		b.stack(r)
	}
	b.symbols.settle()
	b.symbols.count.Store(maxPendingStacks)
	b.stack(raw(3, 100, 100, 7, 7))
	b.symbols.count.Store(0)
	for result, want := range map[stackResult]uint64{stackComplete: 1, stackFailed: 1, stackDropped: 1} {
		assert.Equal(t, want, b.stats.stacks[result].Load(), stackNames[result])
	}
	// What was copied is gone, whatever became of it.
	assert.Zero(t, b.symbols.held.Load())
	for range 10 {
		kept := b.symbols.copies.Get().(*[]byte)
		assert.NotContains(t, (*kept)[:cap(*kept)], byte(7))
	}
}

func TestForkExecExit(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	// Two children: 200 lives for a moment, 201 becomes another program.
	b.tracer.give(func(g *gatherer) {
		g.forked(100, 200, epoch+1e6)
		g.forked(100, 201, epoch+1e6)
		g.event(call(200, 200, 2, 1, 1, 1, 0))
		g.event(call(201, 201, 2, 1, 1, 1, 0))
		g.exited(200, 200, true, epoch+9e6, usage{cpu: 30 * time.Millisecond})
		g.execed(201, epoch+10e6)
		g.event(call(201, 201, 11, 1, 1, 1, 0))
	})
	assert.Equal(t, []notice{{200, noticeFork, 0}, {201, noticeFork, 0}, {200, noticeExit, epoch + 9e6}, {201, noticeExec, 0}}, b.told)
	b.answer(200, epoch+10e6, nil)
	b.answer(201, epoch, server(201)) // before its exec
	b.answer(201, epoch+10e6, nil)
	b.settle()
	b.flush()
	got := decode(t, b.deliveries[0].logs)
	require.Len(t, got, 3)
	for i, pid := range []int64{100, 200, 201} {
		assert.Equal(t, pid, got[i].pid)
		assert.Equal(t, "instance-1", got[i].instance, "a child is of its parent's service instance")
	}
	require.Len(t, got[1].batches, 1)
	require.Len(t, got[2].batches, 1)
	assert.Equal(t, 30*time.Millisecond, got[1].coverage[0].CPUTime, "no snapshot saw it")
	assert.Len(t, got[2].batches[0].Events, 1, "what the other program did is not the service's")
	assert.Equal(t, map[string]uint64{dropNotTarget: 1}, got[2].coverage[0].Dropped)
	b.settle()
	assert.Equal(t, []int32{100}, b.tracer.follows())
	assert.Len(t, b.targets, 1, "ended processes are let go")
	assert.Zero(t, b.pending)
}

func TestExecIntoAnotherService(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.tracer.give(func(g *gatherer) {
		g.event(call(100, 100, 2, 1, 1, 1, 0))
		g.execed(100, epoch+10e6)
		g.event(call(100, 100, 11, 1, 1, 1, 0))
		g.event(call(100, 100, 12, 1, 1, 1, 0))
	})
	b.flush()
	assert.Empty(t, b.deliveries, "events wait for the verdict")
	other := server(100)
	other.Executable, other.InstanceID = "/bin/other", "instance-2"
	b.answer(100, epoch+11e6, other)
	b.flush()
	require.Len(t, b.deliveries, 2)
	before, after := decode(t, b.deliveries[0].logs), decode(t, b.deliveries[1].logs)
	assert.Equal(t, "instance-1", before[0].instance)
	assert.Len(t, before[0].batches[0].Events, 1)
	assert.Equal(t, "instance-2", after[0].instance)
	assert.Len(t, after[0].batches[0].Events, 2)
	assert.Zero(t, b.pending)
}

func TestUnknownProcessWaitsThenIsDropped(t *testing.T) {
	b := newBench(t, nil)
	b.event(call(300, 300, 1, 1, 1, 1, 0))
	b.flush()
	b.find(server(300)) // a scan found it a little later
	b.flush()
	require.Len(t, b.deliveries, 1)
	assert.Len(t, decode(t, b.deliveries[0].logs)[0].batches[0].Events, 1)

	b.event(call(400, 400, 1, 1, 1, 1, 0))
	for range maxWaiting + 1 {
		b.flush()
	}
	assert.NotContains(t, b.targets, int32(400))
	assert.Zero(t, b.pending)
}

func TestFullQueueIsCounted(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.full = true
	b.event(call(100, 100, 1, 1, 1, 1, 0))
	b.event(call(100, 100, 2, 1, 1, 1, 0))
	b.flush()
	b.full = false
	b.flush()
	require.Len(t, b.deliveries, 1)
	got := decode(t, b.deliveries[0].logs)[0]
	assert.Equal(t, map[string]uint64{dropQueueFull: 2}, got.coverage[0].Dropped, "the next coverage tells")
}

func TestPendingEventsAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.PendingEvents = 1024 })
	b.find(server(100))
	for i := range int64(5000) {
		b.event(call(100, 100, i, 1, 1, 1, 0))
		require.LessOrEqual(t, b.pending, 1024)
		b.ship()
	}
	assert.Equal(t, 4, b.poked)
	assert.Len(t, b.deliveries, 4, "delivered early, none lost")
	// None known: there is nothing to deliver early, and no room to wait.
	for i := range int64(5000) {
		b.event(call(999, 999, i, 1, 1, 1, 0))
		require.LessOrEqual(t, b.pending, 1024)
	}
}

// TestASlowFlushDoesNotHoldUpTheRings has events come, and be delivered early,
// while a flush is under way.
func TestASlowFlushDoesNotHoldUpTheRings(t *testing.T) {
	const limit = 1024
	b := newBench(t, func(c *Config) { c.Limits.PendingEvents = limit })
	b.find(server(100))
	stuck, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	emit := b.emit
	b.emit = func(d delivery) bool {
		once.Do(func() { close(stuck); <-let })
		return emit(d)
	}
	b.event(call(100, 100, 0, 1, 1, 0, 0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.flush()
	}()
	<-stuck
	// Two rooms full, and a half: one early parcel waits, the rest is counted.
	for i := range int64(2*limit + limit/2) {
		b.tracer.give(func(g *gatherer) { g.event(call(100, 100, 1+i, 1, 1, int32(i), 0)) })
	}
	close(let)
	<-done
	b.ship()
	b.flush()
	sum, dropped := 0, uint64(0)
	last := int64(0)
	for _, d := range b.deliveries {
		for _, r := range decode(t, d.logs) {
			for _, batch := range r.batches {
				sum += len(batch.Events)
				assert.Less(t, last, batch.Events[0].Time, "out of order")
				last = batch.Events[len(batch.Events)-1].Time
			}
			for _, c := range r.coverage {
				dropped += c.Dropped[dropQueueFull]
			}
		}
	}
	assert.Equal(t, 1+limit+limit/2, sum)
	assert.Equal(t, uint64(limit), dropped, "what is not delivered is told")
	assert.Zero(t, b.posted)
	assert.Zero(t, b.pending)
}

func TestCoverageOfALostDeliveryIsTold(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.full = true
	b.event(call(100, 100, 1, 1, 1, 1, 0))
	b.tracer.stats.Dropped["ring_overwrite"] = 3
	b.flush()
	b.full = false
	b.flush()
	assert.Equal(t, map[string]uint64{dropQueueFull: 1, "ring_overwrite": 3}, decode(t, b.deliveries[0].logs)[0].coverage[0].Dropped)
}

// TestWaitingEventsLeaveRoom fills the room with the events of a target that
// is being judged after its exec: the others' must not go out one by one.
func TestWaitingEventsLeaveRoom(t *testing.T) {
	const limit, others = 1024, 1000
	for _, before := range []int64{0, 700} {
		b := newBench(t, func(c *Config) { c.Limits.PendingEvents = limit })
		b.find(server(100), server(150))
		for i := range before {
			b.event(call(150, 150, 0, 1, 1, int32(i), 0))
		}
		b.execed(150, epoch+10e6)
		for range limit - 1 - before {
			b.event(call(150, 150, 20, 1, 1, 1, 0))
		}
		for i := range int64(others) {
			b.event(call(100, 100, i, 1, 1, 1, 0))
			require.LessOrEqual(t, b.pending, limit)
			b.ship()
		}
		b.flush()
		assert.LessOrEqual(t, len(b.deliveries), (limit+others)/(limit/2)+1)
		delivered := map[int64]int{}
		for _, d := range b.deliveries {
			for _, r := range decode(t, d.logs) {
				for _, batch := range r.batches {
					delivered[r.pid] += len(batch.Events)
				}
			}
		}
		assert.Equal(t, others, delivered[100])
		assert.Equal(t, int(before), delivered[150], "what came before the exec is the service's")
		assert.Equal(t, uint64(limit-1-before), b.targets[150].dropped[dropUnknownProcess])
	}
}

func TestManyProcessesAreOneWalk(t *testing.T) {
	b := newBench(t, nil)
	var all []*process.Process
	var pids []int32
	for pid := int32(100); pid < 200; pid++ {
		all, pids = append(all, server(pid)), append(pids, pid)
	}
	b.find(all...)
	assert.Equal(t, pids, b.tracer.follows())
	assert.Equal(t, 1, b.tracer.walks)
	b.wait(time.Second)
	b.find(all[50:]...)
	assert.Equal(t, pids[50:], b.tracer.follows())
}

func TestScanEndsWhatIsGone(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100), server(150))
	assert.Equal(t, []int32{100, 150}, b.tracer.follows())
	b.wait(time.Second)
	b.tracer.give(func(g *gatherer) { g.forked(100, 160, b.clock) })
	// The scan began before the fork: 160 is none it could have seen.
	b.reconcile(b.clock-1, []*process.Process{b.targets[100].who.Process})
	b.settle()
	assert.Equal(t, []int32{100}, b.tracer.follows())
	b.flush()
	assert.Contains(t, b.targets, int32(160))
	assert.NotContains(t, b.targets, int32(150))
}

func TestThreadsAreForgotten(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.event(call(100, 100, 1, 1, 1, 1, 0))
	b.event(call(100, 101, 1, 1, 1, 1, 0))
	b.exited(100, 101, false, epoch+2e6, usage{})
	b.flush()
	b.flush()
	assert.Len(t, b.targets[100].threads, 1)
	for range maxIdle + 1 {
		b.flush()
	}
	assert.Empty(t, b.targets[100].threads)
}

func TestLossesAreSharedExactly(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100), server(150), server(160))
	for i := range int64(10) {
		b.event(call(100, 100, i, 1, 1, 1, 0))
	}
	b.event(call(150, 150, 1, 1, 1, 1, 0))
	b.shareLosses(map[string]uint64{"ring_overwrite": 1000, "entered_before_attach": 7})
	var sum uint64
	for _, target := range b.targets {
		sum += target.dropped["ring_overwrite"]
		assert.NotContains(t, target.dropped, "entered_before_attach")
	}
	assert.Equal(t, uint64(1000), sum)
	assert.Equal(t, uint64(90), b.targets[150].dropped["ring_overwrite"])
	b.shareLosses(map[string]uint64{"ring_overwrite": 1000})
	assert.Equal(t, uint64(1000), b.stats.dropped["ring_overwrite"])
}

// TestGroupLosses: what a service loses by its own flood is charged to it alone.
func TestGroupLosses(t *testing.T) {
	b := newBench(t, nil)
	other := server(200)
	other.Root, other.InstanceID, other.ServiceName = 200, "instance-2", "other"
	worker := server(101) // of the first one's service
	b.find(server(100), worker, other)
	require.Equal(t, b.tracer.groups[100], b.tracer.groups[101])
	require.NotEqual(t, b.tracer.groups[100], b.tracer.groups[200])
	require.NotZero(t, b.tracer.groups[100])
	losses := func() map[int64]uint64 {
		b.wait(time.Second)
		b.flush()
		out := map[int64]uint64{}
		for _, d := range decode(t, b.deliveries[len(b.deliveries)-1].logs) {
			for _, c := range d.coverage {
				out[d.pid] += c.Dropped["share_exceeded"]
			}
		}
		return out
	}
	b.tracer.give(func(g *gatherer) {
		g.event(call(100, 100, 10, 1, 1, 64, 0))
		g.event(call(100, 100, 20, 1, 1, 64, 0))
		g.event(call(101, 101, 10, 1, 1, 64, 0))
		g.event(call(200, 200, 10, 1, 1, 64, 0))
	})
	b.tracer.stats.Dropped["share_exceeded"] = 90
	b.tracer.stats.Skipped = map[uint16]uint64{b.tracer.groups[100]: 90}
	got := losses()
	assert.Equal(t, uint64(90), got[100]+got[101])
	assert.Equal(t, uint64(30), got[101], "as much as was received of it")
	assert.Zero(t, got[200])
	assert.Empty(t, losses()[100], "once")
	// A service that is gone gives its number back.
	b.wait(time.Minute)
	b.find(other)
	b.flush()
	b.find(other)
	assert.Len(t, b.groups.numbers, 1)
}

func TestGroupsAreBounded(t *testing.T) {
	var g groups
	seen := map[uint16]bool{}
	for i := range capture.MaxGroups + 10 {
		n := g.of(strconv.Itoa(i))
		assert.False(t, n > 0 && seen[n], "a number is given twice")
		seen[n] = true
	}
	assert.Len(t, seen, capture.MaxGroups)
	g.keep(map[string]bool{"7": true})
	assert.Equal(t, uint16(8), g.of("7"))
	assert.NotZero(t, g.of("new"))
}

// TestFlushBetweenStackAndCall: a stack comes before its call, and a flush may
// come between the two.
func TestFlushBetweenStackAndCall(t *testing.T) {
	b := newBench(t, nil)
	b.find(server(100))
	b.stack(raw(5, 100, 100, 1, 2, 9))
	b.wait(time.Second)
	b.flush()
	b.tracer.give(func(g *gatherer) { g.event(call(100, 100, 990, 5, 0, 64, 5)) })
	b.wait(time.Second)
	b.flush()
	got := decode(t, b.deliveries[1].logs)[0].batches
	require.Len(t, got, 1)
	require.Len(t, got[0].Stacks, 1)
	assert.Equal(t, "f1 f2 f9", framesOf(got[0].Stacks[0]))
	assert.Equal(t, uint32(1), got[0].Events[0].Stack)
	b.wait(time.Second)
	b.flush()
	b.flush()
	assert.Zero(t, b.symbols.count.Load())
	_, kept := b.targets[100].named.get(5)
	assert.False(t, kept, "no longer than that")
}

// TestTraceContexts come with what their thread did, and are bounded.
func TestTraceContexts(t *testing.T) {
	for _, format := range []Format{FormatPacked, FormatEvent} {
		b := newBench(t, func(c *Config) { c.Format = format })
		b.find(server(100))
		b.wait(500 * time.Millisecond)
		want := threadtrace.Context{Time: epoch + 20e6, TraceID: [16]byte{1}, ParentID: [8]byte{2}}
		b.tracer.give(func(g *gatherer) {
			g.event(call(100, 100, 10, 10, 0, 300, 0))
			g.context(100, 100, want)
			g.context(100, 101, want) // nothing else came of it
		})
		require.Equal(t, 2, b.contexts)
		b.flush()
		require.Len(t, b.deliveries, 1)
		batches := decode(t, b.deliveries[0].logs)[0].batches
		require.Len(t, batches, 2)
		for _, batch := range batches {
			assert.Equal(t, []threadtrace.Context{want}, batch.Contexts)
		}
		assert.Zero(t, b.contexts)
		b.tracer.give(func(g *gatherer) {
			for range maxPendingContexts + 3 {
				g.context(100, 100, want)
			}
			assert.Equal(t, uint64(3), g.stats.dropped[dropContexts])
			g.forget(g.target(100))
		})
		assert.Zero(t, b.contexts)
	}
}
