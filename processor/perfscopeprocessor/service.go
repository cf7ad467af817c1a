package perfscopeprocessor

import (
	"context"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/internal/window"
)

const (
	// leastGrace and stragglers say how far behind a service's newest event
	// its hops close: by one flush, since its processes flush side by side,
	// and what the kernel's rings held back. mostGrace bounds what a receiver
	// with long flushes gets.
	leastGrace = 500 * time.Millisecond
	stragglers = 250 * time.Millisecond
	mostGrace  = 15 * time.Second
	// maxThreads bounds the thread ids known per service; spans of threads
	// beyond are matched by time alone.
	maxThreads = 4096
)

// analyzer is what the engine needs of window.Service.
type analyzer interface {
	AddBatch(*syscalltrace.Batch)
	AddCoverage(syscalltrace.Coverage)
	UseSignatures(*signature.Matcher)
	Advance(now int64) []suspect.Anomaly
	Decided(now int64) int64
	Stats() window.Stats
}

// service is one service instance; only the engine's goroutine touches it.
type service struct {
	key, name, arch string
	analyzer        analyzer
	processes       processes
	// threads has when, in event time, a thread was last seen.
	threads map[int32]int64
	// latest is the newest event's time, judged the end of the last hop that
	// is over, decided that of the last that is not in doubt; nanoseconds since
	// the epoch, in the events' time.
	latest, judged, decided int64
	// flushed is the longest flush seen.
	flushed time.Duration
	// heard is the engine's time, turn its count, at the last flush.
	heard time.Time
	turn  uint64
	// requests are those of the flush at hand.
	requests []correlate.Request
	// sink is the pipeline that the service's records come by.
	sink  *logsHandle
	stats window.Stats
}

// fold takes the events of a flush, of which nothing is left then.
func (s *service) fold(f *flush) {
	for _, c := range f.covers {
		s.flushed = max(s.flushed, time.Duration(c.End-c.Start))
		s.analyzer.AddCoverage(*c)
	}
	s.latest = max(s.latest, f.latest)
	s.processes.note(f.identity.PID, f.resource, f.latest)
	for _, b := range f.batches {
		if _, known := s.threads[b.ThreadID]; known || len(s.threads) < maxThreads {
			s.threads[b.ThreadID] = max(s.threads[b.ThreadID], f.latest)
		}
		s.analyzer.AddBatch(b)
		for _, c := range b.Contexts {
			s.requests = append(s.requests, correlate.Request{Thread: b.ThreadID, Time: c.Time, Trace: c.TraceID, Parent: c.ParentID})
		}
		b.Release()
	}
}

// grace is how far behind the newest event hops close, in nanoseconds.
func (s *service) grace() int64 {
	return int64(min(max(leastGrace, s.flushed+stragglers), mostGrace))
}

func (s *service) forgetBefore(at int64) {
	for id, seen := range s.threads {
		if seen < at {
			delete(s.threads, id)
		}
	}
	s.processes.forgetBefore(at)
}

// facts are what the ledger is told of a service.
func (s *service) facts() correlate.Facts {
	f := correlate.Facts{Until: s.decided, Threads: s.threadSet(), PIDs: s.processes.pids()}
	attrs := pcommon.NewMap()
	s.processes.common(attrs)
	f.Sockets, f.Addresses = reach(attrs)
	return f
}

func (s *service) threadSet() map[int32]struct{} {
	set := make(map[int32]struct{}, len(s.threads))
	for id := range s.threads {
		set[id] = struct{}{}
	}
	return set
}

// guard runs an analysis of one service. A defect in it costs that service
// its past, not the collector its life.
func (e *engine) guard(s *service, analysis func()) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		e.telemetry.ProcessorPerfscopeAnalysisPanics.Add(context.Background(), 1)
		e.log.Error("The analysis of a service failed by a defect of PerfScope; the service starts anew without a past. Please report this.",
			zap.String("service.name", s.name), zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
		e.account(s, window.Stats{})
		s.analyzer = e.newAnalyzer(e.cfg.windowConfig(), s.arch)
		if s.sink != nil {
			s.sink.report(componentstatus.NewRecoverableErrorEvent(fmt.Errorf("the analysis of service %q failed by a defect: %v", s.name, r)))
		}
	}()
	analysis()
}

// tell enters an anomaly in the ledger and sends its log record.
func (e *engine) tell(s *service, a *suspect.Anomaly) {
	ctx := context.Background()
	a.ID = episodeID(s.key, a.ID)
	e.telemetry.ProcessorPerfscopeAnomalies.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", string(a.Kind)))))
	attrs := pcommon.NewMap()
	describe(a, attrs)
	verdict := correlate.Verdict[pcommon.Map]{
		Episode: a.ID, Start: a.Start, End: a.End, Score: a.Score, Units: a.Units, Value: attrs,
	}
	e.ledger.Add(s.key, verdict)
	if e.cfg.Output == OutputSpanEvents {
		return
	}
	result := "repeat"
	if !a.Repeat || e.cfg.EveryHop {
		ref := e.exemplar(s.key, verdict)
		if q, known := e.ledger.RequestIn(s.key, &verdict); ref == nil && known {
			// A service without spans of its own: its caller's.
			ref = &spanRef{trace: q.Trace, span: q.Parent}
		}
		result = e.send(s.sink, s.name, anomalyLogs(a, attrs, &s.processes, ref, e.version))
	}
	e.telemetry.ProcessorPerfscopeAnomalyRecords.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("result", result))))
}

// episodeID tells the episodes of all services apart; the analysis of one
// knows nothing of the others, and what slows two down begins in the same hop.
// It depends on the records only: a replay gives the same.
func episodeID(service, id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(service + "\x00" + id)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}
