package perfscopeprocessor

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	sec = int64(time.Second)
	// epoch is a multiple of all hops used.
	epoch = int64(1_700_000_000) * sec
)

// scripted stands in for the analysis: it finds what a test tells it to.
type scripted struct {
	batches int
	// at has the anomalies by the end of their hop.
	at map[int64]inference.Anomaly
	// ahead has those told before their hop is over, by the instant from which they are.
	ahead map[int64]inference.Anomaly
	// doubt is from when on hops are in doubt, until the first that is told.
	doubt  int64
	closed int64
	panics bool
}

func (s *scripted) AddBatch(b *threadtrace.Batch) {
	if s.panics {
		panic("a defect")
	}
	s.batches += len(b.Events)
}
func (s *scripted) AddCoverage(threadtrace.Coverage) {}
func (s *scripted) AddMachine(*threadtrace.Machine)  {}
func (s *scripted) UseSignatures(*signature.Matcher) {}
func (s *scripted) Stats() inference.Stats {
	return inference.Stats{Units: s.batches, Bytes: int64(s.batches) * 10, HopsJudged: uint64(s.closed / sec)}
}

func (s *scripted) Advance(now int64) (found []inference.Anomaly) {
	for end := s.closed + 5*sec; s.closed != 0 && end <= now; end += 5 * sec {
		if a, ok := s.at[end]; ok {
			found = append(found, a)
			s.doubt = 0
		}
	}
	s.closed = now
	return found
}

func (s *scripted) Ahead(now int64) (inference.Anomaly, bool) {
	for at, a := range s.ahead {
		if at <= now {
			delete(s.ahead, at)
			return a, true
		}
	}
	return inference.Anomaly{}, false
}

func (s *scripted) Decided(now int64) int64 {
	if s.doubt != 0 {
		return min(now, s.doubt)
	}
	return now
}

// pipelines are a logs and a traces pipeline with one configuration.
type pipelines struct {
	cfg     *Config
	sharing *sharedEngines
	set     processor.Settings
	logs    *logsHandle
	traces  *tracesHandle
	// outLogs gets all records but those of cleared anomalies.
	outLogs *consumertest.LogsSink
	cleared *consumertest.LogsSink
	outSpan *consumertest.TracesSink
	host    *statusHost
	tel     *componenttest.Telemetry

	mu  sync.Mutex
	now time.Time
	// tick is the engine's clock.
	tick chan time.Time
	// engine is the one the pipelines share.
	engine *engine
}

func newPipelines(t testing.TB, analysis func() analyzer, adjust func(*Config)) *pipelines {
	t.Helper()
	p := &pipelines{
		cfg: createDefaultConfig().(*Config), outLogs: &consumertest.LogsSink{}, cleared: &consumertest.LogsSink{}, outSpan: &consumertest.TracesSink{},
		host: &statusHost{}, tel: componenttest.NewTelemetry(), now: time.Unix(0, epoch), tick: make(chan time.Time),
	}
	t.Cleanup(func() { _ = p.tel.Shutdown(context.Background()) })
	if adjust != nil {
		adjust(p.cfg)
	}
	p.sharing = &sharedEngines{prepare: func(e *engine) {
		if analysis != nil {
			e.newAnalyzer = func(inference.Config, string) analyzer { return analysis() }
		}
		e.clock, e.ticks, p.engine = p.clock, p.tick, e
	}}
	p.set = processortest.NewNopSettings(component.MustNewType("perfscope"))
	p.set.TelemetrySettings = p.tel.NewTelemetrySettings()
	p.logs = newLogsHandle(p.sharing, p.set, p.cfg, apart(p.outLogs, p.cleared))
	p.traces = newTracesHandle(p.sharing, p.set, p.cfg, p.outSpan)
	return p
}

// apart gives the records of cleared anomalies to another sink.
func apart(others, cleared consumer.Logs) consumer.Logs {
	next, _ := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		if n, _ := logsink.Count(ld, anomalylog.IsCleared); n > 0 {
			return cleared.ConsumeLogs(ctx, ld)
		}
		return others.ConsumeLogs(ctx, ld)
	})
	return next
}

func (p *pipelines) start(t testing.TB) *pipelines {
	t.Helper()
	require.NoError(t, p.logs.Start(context.Background(), p.host))
	require.NoError(t, p.traces.Start(context.Background(), p.host))
	return p
}

func (p *pipelines) stop(t testing.TB) {
	t.Helper()
	require.NoError(t, p.logs.Shutdown(context.Background()))
	require.NoError(t, p.traces.Shutdown(context.Background()))
}

func (p *pipelines) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *pipelines) setClock(ns int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = time.Unix(0, ns)
}

// second delivers one second of a service's thread.
func (p *pipelines) second(t testing.TB, service string, start int64) {
	t.Helper()
	p.setClock(start + sec)
	require.NoError(t, p.logs.ConsumeLogs(context.Background(), secondOf(service, 100, start)))
}

// sync waits until all that was delivered is analysed.
func (p *pipelines) sync(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { return len(p.engine.queue) == 0 }, time.Minute, time.Millisecond)
	// A tick is taken only when the goroutine is through with the last flush.
	p.tick <- p.clock()
}

func resource(attrs pcommon.Map, service string, pid int64) {
	attrs.PutStr("service.name", service)
	attrs.PutStr("service.instance.id", service+"-1")
	attrs.PutInt("process.pid", pid)
	attrs.PutStr("process.executable.name", "redis-server")
	attrs.PutStr("host.id", "cafe")
	attrs.PutStr("host.arch", "amd64")
}

func secondOf(service string, pid, start int64) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	resource(rl.Resource().Attributes(), service, pid)
	recs := rl.ScopeLogs().AppendEmpty().LogRecords()
	tracelog.AppendBatch(recs, tracelog.FormatPacked, "amd64", &threadtrace.Batch{
		ThreadID: int32(pid), ThreadName: "main",
		Events: []threadtrace.Event{{Time: start, Duration: sec / 2, Number: 232}, {Time: start + sec/2, Duration: 1000, Number: 0}},
	})
	tracelog.AppendCoverage(recs, &threadtrace.Coverage{Start: start, End: start + sec, Traced: time.Second, Threads: 1})
	return ld
}

func spansOf(service string, bounds ...[2]int64) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	ss := rs.ScopeSpans().AppendEmpty()
	for i, b := range bounds {
		span := ss.Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 2, 3})
		span.SetSpanID(pcommon.SpanID{byte(i + 1)})
		span.SetName("GET")
		span.SetStartTimestamp(pcommon.Timestamp(b[0]))
		span.SetEndTimestamp(pcommon.Timestamp(b[1]))
		span.Events().AppendEmpty().SetName("cache miss")
	}
	return td
}

// anomalyAt is a full anomaly of the hop that begins at start.
func anomalyAt(start int64) inference.Anomaly {
	return inference.Anomaly{
		ID: "2a", State: inference.StateRaised, Confidence: 17.4, Lost: 3.1, Seen: 3, FirstSeen: epoch - 86400*sec, Onset: start - 5*sec, Start: start, End: start + 5*sec, Kind: inference.KindPopulationShift,
		Score: 3.5, Impact: 0.62, Pattern: "sync_per_operation",
		Suspects: []inference.Suspect{
			{Function: "flushAppendOnlyFile", Module: "redis-server", File: "aof.c", Line: 1123, Score: 0.91, Evidence: []string{string(inference.EvidenceBlocked), string(inference.EvidenceSyscall)}},
			{Function: "bad\xffname", Module: "redis-server", Score: 0.2, Evidence: []string{string(inference.EvidenceOnCPU)}},
		},
		Deviations: []inference.Deviation{{
			Call: "fdatasync", Normal: inference.Figures{RatePerSecond: 1, MeanSeconds: 0.001},
			Abnormal: inference.Figures{RatePerSecond: 4000, MeanSeconds: 0.0002, ErrorShare: 0.5},
		}},
		Units: []inference.Span{{ThreadID: 100, Start: start, End: start + 2*sec}, {ThreadID: 100, Start: start + 3*sec, End: start + 4*sec}},
		Path:  []string{"main", "aeMain", "beforeSleep", "flushAppendOnlyFile"}, Scope: 0.002,
		Order:   []string{"readQueryFromClient", "flushAppendOnlyFile"},
		Summary: "redis waits for the disk on every command, in flushAppendOnlyFile.",
	}
}

func golden(t *testing.T, name string, compact []byte) {
	t.Helper()
	var got bytes.Buffer
	require.NoError(t, json.Indent(&got, compact, "", "  "))
	got.WriteByte('\n')
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(), "run with -update if that is meant")
}

// statusHost keeps what components report.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []componentstatus.Status
}

func (h *statusHost) GetExtensions() map[component.ID]component.Component { return nil }

func (h *statusHost) Report(ev *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, ev.Status())
}

func (h *statusHost) reported() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]componentstatus.Status(nil), h.events...)
}
