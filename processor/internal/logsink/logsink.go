// Package logsink sends the log records that a processor makes of its own
// accord, while no delivery waits for them.
package logsink

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Result is what became of a record.
type Result string

// The results.
const (
	Sent Result = "sent"
	// Failed means that the next component refused it.
	Failed Result = "failed"
	// NoPipeline means that no logs pipeline was there any more.
	NoPipeline Result = "no_pipeline"
)

// Sink is the way out of one logs pipeline.
type Sink struct {
	// Next is the next component.
	Next consumer.Logs

	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.RWMutex
	host component.Host // nil unless open
	// sending is held while a record is being sent.
	sending  sync.Mutex
	closed   bool // under sending
	troubled atomic.Bool
}

// New makes the sink of a pipeline that is not started yet.
func New(next consumer.Logs) *Sink {
	s := &Sink{Next: next}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Open lets the sink report the component's status to a host.
func (s *Sink) Open(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = host
}

// Mute ends the reports of the component's status.
func (s *Sink) Mute() { s.Open(nil) }

// Abandon ends what is being sent to a next component that does not return.
func (s *Sink) Abandon() { s.cancel() }

// Close waits for what is being sent; nothing is sent any more then.
func (s *Sink) Close() {
	s.sending.Lock()
	s.closed = true
	s.sending.Unlock()
	s.cancel()
}

// send reports false when the pipeline has ended.
func (s *Sink) send(ld plog.Logs) (bool, error) {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.closed {
		return false, nil
	}
	return true, s.Next.ConsumeLogs(s.ctx, ld)
}

// Report tells the Collector about trouble, or that it is over.
func (s *Sink) Report(ev *componentstatus.Event) {
	bad := ev.Status() != componentstatus.StatusOK
	if !s.troubled.Swap(bad) && !bad {
		return // it was well before
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.host != nil {
		componentstatus.ReportStatus(s.host, ev)
	}
}

// Sinks are those of the pipelines that share an engine. It is safe for
// concurrent use.
type Sinks struct {
	mu   sync.Mutex
	list []*Sink
}

// Add enters a sink.
func (s *Sinks) Add(sink *Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, sink)
}

// Remove takes a sink out.
func (s *Sinks) Remove(sink *Sink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(o *Sink) bool { return o == sink })
}

// Send sends records by the first sink, unless it is nil or has ended, else by
// any other. The error is that of the next component: trying again is the
// exporters' business.
func (s *Sinks) Send(first *Sink, ld plog.Logs) (Result, error) {
	s.mu.Lock()
	ways := slices.Clone(s.list)
	s.mu.Unlock()
	if first != nil {
		ways = append([]*Sink{first}, slices.DeleteFunc(ways, func(o *Sink) bool { return o == first })...)
	}
	for _, sink := range ways {
		open, err := sink.send(ld)
		switch {
		case !open:
			continue
		case err != nil:
			sink.Report(componentstatus.NewRecoverableErrorEvent(errors.Join(errors.New("a log record could not be passed on"), err)))
			return Failed, err
		}
		sink.Report(componentstatus.NewEvent(componentstatus.StatusOK))
		return Sent, nil
	}
	return NoPipeline, nil
}
