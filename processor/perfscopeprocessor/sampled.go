package perfscopeprocessor

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/profile"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/processor/internal/otlpprofile"
)

// sampled is what profiles tell of one service.
type sampled struct {
	service string
	samples []profile.Sample
	latest  int64
	// period is what a sample on the CPU stands for, length how long a profile is.
	period, length time.Duration
}

func (s *sampled) add(o otlpprofile.Samples) {
	s.samples = append(s.samples, o.Samples...)
	s.latest = max(s.latest, o.Latest)
	s.period, s.length = max(s.period, o.Period), max(s.length, o.Length)
}

func (s *sampled) count() (n int) {
	for i := range s.samples {
		n += len(s.samples[i].Times)
	}
	return n
}

// deliverSampled hands samples to the analysis. They are left out while its queue is
// full: profiles are evidence beside others, and their pipeline does not wait for it.
func (e *engine) deliverSampled(s *sampled) {
	select {
	case e.queue <- task{sampled: s}:
	default:
		e.countSamples("queue_full", s.count())
	}
}

// takeSampled folds samples into their service.
func (e *engine) takeSampled(f *sampled) {
	s := e.services[f.service]
	if s == nil { // it was dropped meanwhile
		e.countSamples("unmatched", f.count())
		return
	}
	batches, noCall := profile.Batches(f.samples, s.arch)
	e.countSamples("no_call", noCall)
	e.guard(s, func() {
		for _, b := range batches {
			s.choice.Profile(b)
		}
		e.choose(s)
		if s.choice.Profiles {
			s.samplePeriod, s.flushed = f.period, max(s.flushed, f.length)
		}
		for _, b := range batches {
			e.foldSampled(s, b)
			s.linked(b)
		}
	})
	e.enterRequests(s)
}

// foldSampled gives the analysis what counts of a thread's samples.
func (e *engine) foldSampled(s *service, b *threadtrace.Batch) {
	leave := func(result string, is func(*threadtrace.Event) bool) {
		e.countSamples(result, profile.Remove(b, is))
	}
	leave("late", func(ev *threadtrace.Event) bool { return ev.Time < s.judged })
	if !s.choice.Profiles {
		leave("own_samples", func(ev *threadtrace.Event) bool { return ev.Kind == threadtrace.KindSample })
	}
	if s.looks {
		leave("own_looks", func(ev *threadtrace.Event) bool { return ev.Kind == threadtrace.KindBlocked })
	}
	if len(b.Events) == 0 {
		return
	}
	e.countSamples("taken", len(b.Events))
	s.prospects.see(b)
	s.analyzer.AddBatch(b)
}

// linked notes the spans that a thread worked on.
func (s *service) linked(b *threadtrace.Batch) {
	for _, c := range b.Contexts {
		s.requests = append(s.requests, correlate.Request{Thread: b.ThreadID, Time: c.Time, Trace: c.TraceID, Parent: c.ParentID})
	}
}

// enterRequests tells the ledger of the requests of what was just folded.
func (e *engine) enterRequests(s *service) {
	if len(s.requests) > 0 {
		e.spans.Ledger.Received(s.key, s.requests...)
		s.requests = s.requests[:0]
	}
}

// choose starts the analysis of a service anew when other samples count from now on:
// its past is made of other functions.
func (e *engine) choose(s *service) {
	if s.choice.Profiles == s.profiles {
		return
	}
	s.profiles = s.choice.Profiles
	own, theirs := s.choice.Shares()
	said := "The samples of profiles count for a service from now on, instead of the receiver's: they name more functions."
	if !s.profiles {
		said = "The receiver's own samples count for a service again: its profiles have ended."
	}
	e.log.Info(said, zap.String("service.name", s.name), zap.Float64("named_by_receiver", own), zap.Float64("named_by_profiles", theirs),
		zap.Bool("learns_anew", s.stats.HopsJudged > 0))
	if s.stats.HopsJudged > 0 {
		e.clear(s, inference.EndUnwatched)
		e.account(s, inference.Stats{})
		s.analyzer = e.newAnalyzer(e.cfg.windowConfig(), s.arch)
	}
}

// ownSamples takes the receiver's own samples out of a batch while those of profiles
// count.
func (s *service) ownSamples(b *threadtrace.Batch) {
	s.choice.Own(b)
	if s.choice.Profiles {
		profile.Remove(b, func(ev *threadtrace.Event) bool { return ev.Kind == threadtrace.KindSample })
	}
}

// publish tells the profiles pipelines which processes are watched.
func (e *engine) publish() {
	w := &profile.Watched{}
	for key, s := range e.services {
		for i := range s.processes.known {
			w.Add(key, s.processes.known[i].is)
		}
	}
	e.watched.Store(w)
}

func (e *engine) countSamples(result string, n int) {
	if n > 0 {
		e.telemetry.ProcessorPerfscopeProfileSamples.Add(context.Background(), int64(n),
			metric.WithAttributeSet(attribute.NewSet(attribute.String("result", result))))
	}
}
