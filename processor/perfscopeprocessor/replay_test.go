package perfscopeprocessor

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

const (
	recorded = 150 // seconds
	faultAt  = 120
)

// recording is an event loop that serves some hundred requests a second and,
// from faultAt on, computes in rehash most of the time.
func recording(format tracelog.Format) (out []plog.Logs) {
	stack := func(functions ...string) threadtrace.Stack {
		s := threadtrace.Stack{Complete: true}
		for _, f := range functions {
			s.Frames = append(s.Frames, threadtrace.Frame{Function: f, Module: "server"})
		}
		return s
	}
	stacks := []threadtrace.Stack{
		stack("serve", "loop", "main", "_start"),
		stack("poll", "loop", "main", "_start"),
		stack("rehash", "serve", "loop", "main", "_start"),
	}
	for s := range int64(recorded) {
		start := epoch + s*sec
		busy, hot := 6+s%3, s >= faultAt
		b := &threadtrace.Batch{ThreadID: 100, ThreadName: "server", Stacks: stacks}
		requests := 90 + s*7%20
		for i := range requests {
			at := start + i*sec/requests
			ref := uint32(0)
			if i%16 == 0 {
				ref = 1
			}
			b.Events = append(b.Events,
				threadtrace.Event{Time: at, Duration: 5_000_000, Number: 232, Return: 1},
				threadtrace.Event{Time: at + 5_100_000, Duration: 2_000 + s%5*100, Number: 0, Return: 40, Stack: ref},
				threadtrace.Event{Time: at + 5_200_000, Duration: 9_000, Number: 1, Return: 200, Stack: ref})
		}
		for i := range int64(49) {
			ev := threadtrace.Event{Kind: threadtrace.KindSample, Time: start + i*sec/49, Duration: sec / 49, Number: threadtrace.NoCall, Stack: 1}
			switch {
			case hot && i < 44:
				ev.Stack = 3
			case i >= busy:
				continue
			}
			b.Events = append(b.Events, ev)
		}
		if !hot {
			for i := range int64(4) {
				b.Events = append(b.Events, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: start + i*sec/5, Duration: sec / 5, Elapsed: sec / 100, Number: 232, Stack: 2})
			}
		}
		slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return int(a.Time - b.Time) })
		cpu := time.Duration(busy) * time.Second / 49
		if hot {
			cpu = 44 * time.Second / 49
		}
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		resource(rl.Resource().Attributes(), "server", 100)
		recs := rl.ScopeLogs().AppendEmpty().LogRecords()
		tracelog.AppendBatch(recs, format, "amd64", b)
		tracelog.AppendCoverage(recs, &threadtrace.Coverage{
			Start: start, End: start + sec, Traced: time.Second, SamplePeriod: time.Second / 49,
			SnapshotPeriod: 200 * time.Millisecond, CPUTime: cpu, Threads: 1, Functions: 1000,
		})
		out = append(out, ld)
	}
	return out
}

// replay delivers a recording and gives what came out as text.
func replay(t *testing.T, file []plog.Logs, between func(p *pipelines, i int)) (records []string) {
	t.Helper()
	p := newPipelines(t, nil, nil)
	p.setClock(epoch + 3600*sec) // it is from the past
	p.start(t)
	for i, ld := range file {
		require.NoError(t, p.logs.ConsumeLogs(ctx, ld))
		if between != nil {
			between(p, i)
		}
	}
	p.stop(t)
	for _, ld := range p.outLogs.AllLogs() {
		text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
		require.NoError(t, err)
		records = append(records, string(text))
	}
	return records
}

func TestAReplayGivesTheSameResultAtAnySpeed(t *testing.T) {
	file := recording(tracelog.FormatPacked)
	begun := time.Now()
	want := replay(t, file, nil)
	t.Logf("%d s replayed in %s, %d anomalies", recorded, time.Since(begun), len(want))
	require.NotEmpty(t, want)
	assert.Contains(t, want[0], `"code.function.name","value":{"stringValue":"rehash"}`)

	assert.Equal(t, want, replay(t, file, nil), "a second time")
	assert.Equal(t, want, replay(t, file, func(p *pipelines, i int) {
		if i%20 == 0 {
			p.sync(t) // slower, and with the wall clock's ticks in between
		}
	}), "slowly")
	// What a file exporter and receiver make of it.
	through := func(ld plog.Logs) plog.Logs {
		text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
		require.NoError(t, err)
		back, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(text)
		require.NoError(t, err)
		return back
	}
	var stored []plog.Logs
	for _, ld := range file {
		stored = append(stored, through(ld))
	}
	assert.Equal(t, want, replay(t, stored, nil), "from a file")
	assert.Equal(t, want, replay(t, recording(tracelog.FormatEvent), nil), "in the other format")
}

func BenchmarkIntake(b *testing.B) {
	file := recording(tracelog.FormatPacked)
	events := 0
	for _, ld := range file {
		for _, f := range decoded(b, ld.ResourceLogs().At(0), time.Unix(0, epoch+3600*sec)) {
			n, _ := f.events()
			events += n
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, ld := range file {
			_, _ = decode(ld.ResourceLogs().At(0), time.Unix(0, epoch+3600*sec), func(*flush) error { return nil })
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(events), "ns/event")
}
