package perfscopeprocessor

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/processor/internal/logsink"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
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
	// setBackBy is how far behind the newest event a flush is that is not merely
	// late, setBackFlushes how many of them in a row say that the clock was set back.
	setBackBy      = time.Minute
	setBackFlushes = 5
)

// analyzer is what the engine needs of inference.Analyzer.
type analyzer interface {
	AddBatch(*threadtrace.Batch)
	AddCoverage(threadtrace.Coverage)
	AddMachine(*threadtrace.Machine)
	UseSignatures(*signature.Matcher)
	Advance(now int64) []inference.Anomaly
	Ahead(now int64) (inference.Anomaly, bool)
	Decided(now int64) int64
	Stats() inference.Stats
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
	// behind counts the flushes in a row that are far behind latest.
	behind int
	// heard is the engine's time, turn its count, at the last flush.
	heard time.Time
	turn  uint64
	// requests are those of the flush at hand.
	requests []correlate.Request
	// requested are spans of which it is not known yet whether they were seen.
	requested []inference.Request
	// sink is the pipeline that the service's records come by.
	sink  *logsink.Sink
	stats inference.Stats
	// fresh are the bytes of records since what it holds was looked at.
	fresh int64
	// open is the anomaly that is not cleared, as it was last reported; nil when
	// there is none.
	open *inference.Anomaly
	// lacks is what it lacks of its host with others, recorded whether its open anomaly
	// has a record of its own.
	lacks    sharedCause
	recorded bool
	// choice decides whose samples count, profiles is what it decided last;
	// samplePeriod is what one of a profile stands for. looks is set once the receiver
	// has looked at a blocked thread.
	choice       profile.Choice
	profiles     bool
	samplePeriod time.Duration
	looks        bool
	// lasting is what of it outlives it.
	lasting lasting
	// prospects is what is said of whether it can be judged.
	prospects prospects

	// What is shown of it: the name in addresses, who it is, its last anomalies, its slow
	// requests and what happened to it.
	id, instance, host, build string
	told                      []inference.Anomaly
	tails                     []inference.Tail
	slowSpans                 []evidence.SlowSpan
	marks                     []evidence.Mark
}

func newService(key string, f *flush) *service {
	i := &f.identity
	return &service{
		key: key, name: i.Name, arch: f.arch, threads: map[int32]int64{},
		id: evidence.ID(i.Name, i.Instance, key), instance: i.Instance, host: i.HostName,
	}
}

// fold takes the events of a flush, of which nothing is left then, and reports whether
// a process is new.
func (s *service) fold(f *flush) (news bool) {
	for _, c := range f.covers {
		s.flushed = max(s.flushed, time.Duration(c.End-c.Start))
		s.looks = s.looks || c.SnapshotPeriod > 0
		if s.choice.Profiles && s.samplePeriod > 0 {
			c.SamplePeriod = s.samplePeriod
		}
		s.analyzer.AddCoverage(*c)
	}
	for _, m := range f.machines {
		s.analyzer.AddMachine(m)
	}
	s.latest = max(s.latest, f.latest)
	news = s.processes.note(f.identity.PID, f.resource, f.latest)
	s.watchProcesses(f)
	for _, b := range f.batches {
		if _, known := s.threads[b.ThreadID]; known || len(s.threads) < maxThreads {
			s.threads[b.ThreadID] = max(s.threads[b.ThreadID], f.latest)
		}
		s.ownSamples(b)
		s.prospects.see(b)
		s.analyzer.AddBatch(b)
		s.linked(b)
		b.Release()
	}
	return news
}

// setBack reports whether the clock of its records was set back, from the newest
// instant of each flush.
func (s *service) setBack(latest int64) bool {
	if latest >= s.latest-int64(setBackBy) {
		s.behind = 0
		return false
	}
	s.behind++
	return s.behind >= setBackFlushes
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

// facts are what the ledger learns of a service.
func (s *service) facts() correlate.Facts {
	f := correlate.Facts{Until: s.decided, Threads: s.threadSet(), PIDs: s.processes.pids()}
	attrs := pcommon.NewMap()
	s.processes.common(attrs)
	f.Sockets, f.Addresses = spanmatch.Reach(attrs)
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
		e.account(s, inference.Stats{})
		e.clear(s, inference.EndUnwatched)
		s.analyzer = e.newAnalyzer(e.cfg.windowConfig(), s.arch)
		if s.sink != nil {
			s.sink.Report(componentstatus.NewRecoverableErrorEvent(fmt.Errorf("the analysis of service %q failed by a defect: %v", s.name, r)))
		}
	}()
	analysis()
}
