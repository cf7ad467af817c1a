package perfscopeprocessor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/profiletest"
)

// withProfiles adds a profiles pipeline to the others.
func withProfiles(t *testing.T, p *pipelines, next xconsumer.Profiles) *profilesHandle {
	t.Helper()
	h := newProfilesHandle(p.sharing, p.set, p.cfg, next)
	require.NoError(t, h.Start(t.Context(), p.host))
	t.Cleanup(func() { require.NoError(t, h.Shutdown(context.Background())) })
	return h
}

// kept is an analysis that keeps the events it is given.
type kept struct {
	scripted
	events []threadtrace.Event
	covers []threadtrace.Coverage
}

func (k *kept) AddBatch(b *threadtrace.Batch) {
	k.events = append(k.events, b.Events...)
	k.scripted.AddBatch(b)
}
func (k *kept) AddMachine(*threadtrace.Machine) {}

func (k *kept) AddCoverage(c threadtrace.Coverage) { k.covers = append(k.covers, c) }
func (k *kept) UseSignatures(*signature.Matcher)   {}
func (k *kept) Stats() inference.Stats             { return inference.Stats{} }
func (k *kept) onCPU() (n int, total time.Duration) {
	for _, e := range k.events {
		if e.Kind == threadtrace.KindSample {
			n++
			total += time.Duration(e.Duration)
		}
	}
	return n, total
}

const python = "/usr/bin/python3.11"

// pythonSecond is a second of a Python process that is half of it on the CPU, as the
// receiver sees it: in the interpreter.
func pythonSecond(start int64, looks bool) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	resource(rl.Resource().Attributes(), "shop", 100)
	rl.Resource().Attributes().PutStr("process.executable.path", python)
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	b := &threadtrace.Batch{ThreadID: 100, ThreadName: "python3", Stacks: []threadtrace.Stack{{Complete: true, Frames: []threadtrace.Frame{
		{Function: "_PyEval_EvalFrameDefault", Module: "python3.11", Origin: threadtrace.OriginRuntime},
		{Function: "Py_BytesMain", Module: "python3.11", Origin: threadtrace.OriginRuntime},
	}}}}
	for i := range int64(20) {
		b.Events = append(b.Events, threadtrace.Event{Time: start + i*sec/20, Duration: sec / 40, Number: threadtrace.NoCall, Kind: threadtrace.KindSample, Stack: 1})
		b.Events = append(b.Events, threadtrace.Event{Time: start + i*sec/20 + sec/40, Duration: sec / 80, Number: 0, Return: 100, Kind: threadtrace.KindCall})
	}
	tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", b)
	c := &threadtrace.Coverage{Start: start, End: start + sec, Traced: time.Second, Threads: 1, SamplePeriod: time.Second / 40, CPUTime: time.Second / 2}
	if looks {
		c.SnapshotPeriod = time.Second / 5
	}
	tracelog.AppendCoverage(recs, c)
	return ld
}

// profileOf is a second of that process as a profiler sees it: for each function how
// many of the twenty samples it has.
func profileOf(start int64, samples map[string]int) pprofile.Profiles {
	b := profiletest.New(time.Unix(0, start), time.Second)
	r := b.Resource(map[string]any{"process.pid": 100, "process.executable.path": python})
	p := b.OnCPU(r, 40)
	for function, n := range samples {
		stack := b.Stack(
			profiletest.Frame{Language: "native", Mapping: "python3.11"},
			profiletest.Frame{Language: "cpython", Function: function, File: "/srv/shop.py", Line: 7},
			profiletest.Frame{Language: "cpython", Function: "serve", File: "/srv/shop.py", Line: 70},
		)
		for i := range n {
			b.Sample(p, 100, "python3", stack, []uint64{uint64(start + int64(i)*sec/20)}, nil)
		}
	}
	return b.Profiles
}

func TestProfilesPassUnchanged(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	defer p.stop(t)
	sink := &consumertest.ProfilesSink{}
	h := withProfiles(t, p, sink)
	require.False(t, h.Capabilities().MutatesData)
	require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(epoch, true)))
	p.sync(t)
	pd := profileOf(epoch, map[string]int{"list_goods": 20})
	bytesOf := func(pd pprofile.Profiles) []byte {
		own := pprofile.NewProfiles()
		pd.CopyTo(own) // it is changed by being marshalled
		data, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(own)
		require.NoError(t, err)
		return data
	}
	want := bytesOf(pd)
	require.NoError(t, h.ConsumeProfiles(t.Context(), pd))
	require.Len(t, sink.AllProfiles(), 1)
	require.Equal(t, want, bytesOf(sink.AllProfiles()[0]))
	p.sync(t)
	require.Equal(t, int64(20), metricSum(t, p.tel, "otelcol_processor_perfscope_profile_samples", "result", "taken"))
}

func TestWhatTheNextComponentRefusesIsNotAnalysed(t *testing.T) {
	p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
	defer p.stop(t)
	refusal := errors.New("full")
	h := withProfiles(t, p, consumertest.NewErr(refusal))
	require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(epoch, true)))
	p.sync(t)
	require.ErrorIs(t, h.ConsumeProfiles(t.Context(), profileOf(epoch, map[string]int{"list_goods": 20})), refusal)
	p.sync(t)
	require.Zero(t, metricSum(t, p.tel, "otelcol_processor_perfscope_profile_samples", "", ""))
}

func TestOneSecondOfCPUIsOneSecondWhoeverSawIt(t *testing.T) {
	k := &kept{}
	p := newPipelines(t, func() analyzer { return k }, nil).start(t)
	defer p.stop(t)
	h := withProfiles(t, p, consumertest.NewNop())
	for i := range int64(4) {
		start := epoch + i*sec
		p.setClock(start + sec)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(start, true)))
		p.sync(t)
		if i == 0 {
			continue // the profiler is started later
		}
		require.NoError(t, h.ConsumeProfiles(t.Context(), profileOf(start, map[string]int{"list_goods": 15, "price": 5})))
		p.sync(t)
	}
	// The receiver's of the first two seconds, when no profile had come, and those of
	// profiles from the second on, which was the first that they knew.
	n, total := k.onCPU()
	require.Equal(t, 20+20+3*20, n)
	require.Equal(t, 5*time.Second/2, total)
	require.Equal(t, time.Second/40, k.covers[3].SamplePeriod)
	require.Equal(t, int64(60), metricSum(t, p.tel, "otelcol_processor_perfscope_profile_samples", "result", "taken"))
}

func TestSamplesAreLeftOutForAReason(t *testing.T) {
	type want map[string]int64
	for name, tc := range map[string]struct {
		profile func() pprofile.Profiles
		want    want
	}{
		"another process": {func() pprofile.Profiles {
			pd := profileOf(epoch, map[string]int{"list_goods": 3})
			pd.ResourceProfiles().At(0).Resource().Attributes().PutStr("process.executable.path", "/bin/sh")
			return pd
		}, want{"unmatched": 3}},
		"too few to take the receiver's place": {func() pprofile.Profiles { return profileOf(epoch, map[string]int{"list_goods": 3}) }, want{"own_samples": 3}},
		"waits that the receiver sees itself": {func() pprofile.Profiles {
			b := profiletest.New(time.Unix(0, epoch), time.Second)
			p := b.OffCPU(b.Resource(map[string]any{"process.pid": 100, "process.executable.path": python}))
			b.Sample(p, 100, "", b.Stack(profiletest.Frame{Language: "kernel", Function: "__x64_sys_read"}), []uint64{uint64(epoch)}, []int64{1e6})
			b.Sample(p, 100, "", b.Stack(profiletest.Frame{Language: "cpython", Function: "wait", File: "/a.py"}), []uint64{uint64(epoch)}, []int64{1e6})
			return b.Profiles
		}, want{"own_looks": 1, "no_call": 1}},
		"of something else": {func() pprofile.Profiles {
			b := profiletest.New(time.Unix(0, epoch), time.Second)
			b.Sample(b.Profile(b.Resource(map[string]any{"process.pid": 100, "process.executable.path": python}), "alloc_space", "bytes"), 1, "", 0, nil, []int64{8})
			return b.Profiles
		}, want{"type": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipelines(t, func() analyzer { return &scripted{} }, nil).start(t)
			defer p.stop(t)
			h := withProfiles(t, p, consumertest.NewNop())
			require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(epoch, true)))
			p.sync(t)
			require.NoError(t, h.ConsumeProfiles(t.Context(), tc.profile()))
			p.sync(t)
			all := int64(0)
			for result, n := range tc.want {
				all += n
				require.Equal(t, n, metricSum(t, p.tel, "otelcol_processor_perfscope_profile_samples", "result", result), result)
			}
			require.Equal(t, all, metricSum(t, p.tel, "otelcol_processor_perfscope_profile_samples", "", ""))
		})
	}
}

// Waits of a profiler count where the receiver looks at no blocked threads.
func TestWaitsOfProfilesCountInsteadOfNone(t *testing.T) {
	k := &kept{}
	p := newPipelines(t, func() analyzer { return k }, nil).start(t)
	defer p.stop(t)
	h := withProfiles(t, p, consumertest.NewNop())
	require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(epoch, false)))
	p.sync(t)
	b := profiletest.New(time.Unix(0, epoch), time.Second)
	off := b.OffCPU(b.Resource(map[string]any{"process.pid": 100, "process.executable.path": python}))
	b.Sample(off, 100, "", b.Stack(
		profiletest.Frame{Language: "kernel", Function: "__x64_sys_recvfrom"}, profiletest.Frame{Language: "cpython", Function: "fetch", File: "/a.py"},
	), []uint64{uint64(epoch + sec/2)}, []int64{3e8})
	require.NoError(t, h.ConsumeProfiles(t.Context(), b.Profiles))
	p.sync(t)
	last := k.events[len(k.events)-1]
	require.Equal(t, threadtrace.KindBlocked, last.Kind)
	require.Equal(t, int64(3e8), last.Duration)
	require.Equal(t, int32(45), last.Number) // recvfrom
}

// A span without thread.id is known by the thread that a profiler saw work on it; one of
// another thread only ran meanwhile.
func TestASpanIsKnownByTheThreadThatAProfilerSawWorkOnIt(t *testing.T) {
	at := epoch + 5*sec
	anomaly := anomalyAt(at)
	p := newPipelines(t, func() analyzer { return &scripted{at: map[int64]inference.Anomaly{at + 5*sec: anomaly}} }, nil).start(t)
	defer p.stop(t)
	h := withProfiles(t, p, consumertest.NewNop())
	slow, other := [16]byte{1}, [16]byte{2}
	for i := range int64(13) {
		start := epoch + i*sec
		p.setClock(start + sec)
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), pythonSecond(start, true)))
		p.sync(t)
		if start != at {
			continue
		}
		b := profiletest.New(time.Unix(0, start), time.Second)
		on := b.OnCPU(b.Resource(map[string]any{"process.pid": 100, "process.executable.path": python}), 40)
		for thread, trace := range map[int64][16]byte{100: slow, 101: other} {
			b.Sample(on, thread, "", 0, []uint64{uint64(start + sec/2)}, nil)
			b.Link(on, trace, [8]byte{1})
		}
		require.NoError(t, h.ConsumeProfiles(t.Context(), b.Profiles))
		p.sync(t)
	}
	td := spansOf("shop", [2]int64{at, at + 4*sec}, [2]int64{at, at + 4*sec})
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(0).SetTraceID(slow)
	spans.At(1).SetTraceID(other)
	require.NoError(t, p.traces.ConsumeTraces(t.Context(), td))
	require.Eventually(t, func() bool { return p.outSpan.SpanCount() == 2 }, 5*time.Second, time.Millisecond)
	by := map[[16]byte]any{}
	for _, td := range p.outSpan.AllTraces() {
		for _, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			by[span.TraceID()] = anomalyEvent(t, span)[anomalylog.AttrMatchBy]
		}
	}
	require.Equal(t, map[[16]byte]any{slow: "trace_context", other: "time"}, by)
}

// The receiver sees an interpreter that computes; which function it is, only profiles
// tell.
func TestAFunctionThatOnlyProfilesNameIsTheFirstSuspect(t *testing.T) {
	p := newPipelines(t, nil, nil).start(t)
	defer p.stop(t)
	sink := &consumertest.ProfilesSink{}
	h := withProfiles(t, p, sink)
	for i := range int64(120) {
		start := epoch + i*sec
		p.setClock(start + sec)
		samples := map[string]int{"list_goods": 4, "price": 2}
		if i >= 90 {
			samples["check_coupon"] = 14
		}
		require.NoError(t, p.logs.ConsumeLogs(t.Context(), busyPythonSecond(start, samples)))
		require.NoError(t, h.ConsumeProfiles(t.Context(), profileOf(start, samples)))
		p.sync(t)
	}
	var first []string
	for _, ld := range p.outLogs.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, rec := range sl.LogRecords().All() {
					if suspects, ok := rec.Attributes().Get(anomalylog.AttrNames); ok && suspects.Slice().Len() > 0 {
						first = append(first, fmt.Sprint(suspects.Slice().At(0).AsRaw()))
					}
				}
			}
		}
	}
	require.NotEmpty(t, first, "nothing is told")
	for _, suspect := range first {
		require.Contains(t, suspect, "check_coupon")
	}
	require.Len(t, sink.AllProfiles(), 120)
}

// busyPythonSecond is pythonSecond with as many samples on the CPU as a profile has.
func busyPythonSecond(start int64, samples map[string]int) plog.Logs {
	n := int64(0)
	for _, k := range samples {
		n += int64(k)
	}
	ld := plog.NewLogs()
	pythonSecond(start, true).CopyTo(ld)
	recs := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	arch, b, err := threadtrace.Decode(recs.At(0).Body().Bytes().AsRaw())
	if err != nil {
		panic(err)
	}
	events := b.Events[:0]
	for _, e := range b.Events {
		if e.Kind != threadtrace.KindSample || (e.Time-start)/(sec/20) < n {
			events = append(events, e)
		}
	}
	b.Events = events
	out := plog.NewLogRecordSlice()
	tracelog.AppendBatch(out, tracelog.FormatPacked, arch, b)
	tracelog.AppendCoverage(out, &threadtrace.Coverage{
		Start: start, End: start + sec, Traced: time.Second, Threads: 1, SamplePeriod: time.Second / 40, SnapshotPeriod: time.Second / 5,
		CPUTime: time.Duration(n) * time.Second / 40,
	})
	out.CopyTo(recs)
	return ld
}
