package perfscopeprocessor

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// Records of calls may come over OTLP, from anybody who reaches the port.

// decoded are the flushes of a resource.
func decoded(t testing.TB, rl plog.ResourceLogs, now time.Time) (all []*flush) {
	t.Helper()
	errs, err := decode(rl, now, func(f *flush) error {
		all = append(all, f)
		return nil
	})
	require.Empty(t, errs)
	require.NoError(t, err)
	return all
}

// fatBatch has stacks of distinct functions with the longest names, each as deep as
// stacks are.
func fatBatch(thread, start int64) *threadtrace.Batch {
	b := &threadtrace.Batch{ThreadID: int32(thread), ThreadName: "t"} //nolint:gosec // small
	for i := range 64 {
		s := threadtrace.Stack{Complete: true}
		for j := range 8 {
			name := fmt.Sprint(thread, " ", i, " ", j, strings.Repeat("F", threadtrace.MaxString-32))
			s.Frames = append(s.Frames, threadtrace.Frame{Function: name, Module: "m", Origin: threadtrace.OriginApplication})
		}
		b.Stacks = append(b.Stacks, s)
		b.Events = append(b.Events, threadtrace.Event{Time: start + int64(i)*1000, Duration: 100, Number: int32(i), Stack: uint32(i + 1)}) //nolint:gosec // small
	}
	return b
}

func fatRecords(t testing.TB, service string, thread, start int64) plog.Logs {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	resource(rl.Resource().Attributes(), service, 100)
	rl.Resource().Attributes().PutStr("pad", strings.Repeat("P", 1<<20))
	tracelog.AppendBatch(rl.ScopeLogs().AppendEmpty().LogRecords(), tracelog.FormatPacked, "amd64", fatBatch(thread, start))
	return ld
}

// TestHostileRecordsCostTheirOwnServiceItsPast, and nothing is left of them.
func TestHostileRecordsCostTheirOwnServiceItsPast(t *testing.T) {
	const most = 2 << 20
	p := newPipelines(t, nil, func(c *Config) { c.MaxBytes = most }).start(t)
	p.second(t, "redis", epoch)
	p.sync(t)
	before := heldBytes()
	for i := range int64(24) { // 4 MiB of names each
		require.NoError(t, p.logs.ConsumeLogs(context.Background(), fatRecords(t, "fat", i+1, epoch+i*1000)))
	}
	p.sync(t)
	held := heldBytes() - before
	assert.Less(t, held, int64(16<<20), "bytes are held")
	assert.LessOrEqual(t, p.engine.held.bytes.Load(), int64(most))
	assert.Zero(t, p.engine.queued.Load())
	assert.Positive(t, counter(t, p, "otelcol_processor_perfscope_services_evicted", "reason", "max_bytes"))
	assert.Equal(t, int64(24), counter(t, p, "otelcol_processor_perfscope_attributes_left_out", "", ""))
	_, known := p.engine.spans.Ledger.Judged("\x00redis\x00redis-1\x00cafe")
	assert.True(t, known, "the small one keeps its past")
	p.stop(t)
}

func heldBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

// TestALargePayloadIsTakenInParts: frames take a byte in a record and eighty here.
func TestALargePayloadIsTakenInParts(t *testing.T) {
	rl := plog.NewLogs().ResourceLogs().AppendEmpty()
	resource(rl.Resource().Attributes(), "fat", 1)
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	deep := threadtrace.Stack{Frames: make([]threadtrace.Frame, threadtrace.MaxFrames)}
	for i := range deep.Frames {
		deep.Frames[i] = threadtrace.Frame{Function: "f", Module: "m"}
	}
	for i := range int32(4) {
		tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", &threadtrace.Batch{
			ThreadID: i + 1, Stacks: []threadtrace.Stack{deep}, Events: []threadtrace.Event{{Time: epoch, Duration: 1, Stack: 1}},
		})
	}
	wire, err := (&plog.ProtoMarshaler{}).MarshalLogs(logsOf(rl))
	require.NoError(t, err)
	require.Less(t, len(wire), 2<<20)
	all := decoded(t, rl, time.Unix(0, epoch))
	assert.Len(t, all, 4)
	for _, f := range all {
		assert.Equal(t, "amd64", f.arch)
		assert.Len(t, f.batches, 1)
		assert.Greater(t, f.bytes, int64(maxFlush))
	}
}

func logsOf(rl plog.ResourceLogs) plog.Logs {
	ld := plog.NewLogs()
	rl.CopyTo(ld.ResourceLogs().AppendEmpty())
	return ld
}

// TestAClockThatIsSetBackBlindsNobody: a service begins anew, instead of not being
// judged for an hour.
func TestAClockThatIsSetBackBlindsNobody(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	for i := range int64(20) {
		p.second(t, "redis", epoch+i*sec)
	}
	p.second(t, "redis", epoch-3600*sec) // one that is late
	p.second(t, "redis", epoch+20*sec)
	p.sync(t)
	assert.Zero(t, counter(t, p, "otelcol_processor_perfscope_services_evicted", "reason", "clock_set_back"))
	for i := range int64(20) {
		p.second(t, "redis", epoch+(i-3600)*sec)
	}
	p.sync(t)
	assert.Equal(t, int64(1), counter(t, p, "otelcol_processor_perfscope_services_evicted", "reason", "clock_set_back"))
	until, known := p.engine.spans.Ledger.Judged("\x00redis\x00redis-1\x00cafe")
	assert.True(t, known)
	assert.Greater(t, until, epoch-3600*sec, "it is judged")
	assert.Less(t, until, epoch)
	p.stop(t)
}

// TestTheQueueIsBoundedInBytes: who delivers more waits.
func TestTheQueueIsBoundedInBytes(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	p.sync(t)
	p.engine.queued.Store(maxQueued)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.engine.deliver(ctx, task{flush: &flush{bytes: 1}}) }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	assert.Equal(t, int64(maxQueued), p.engine.queued.Load())
	p.engine.queued.Store(0)
	p.second(t, "redis", epoch)
	p.sync(t)
	assert.Zero(t, p.engine.queued.Load())
	p.stop(t)
}
