package syscallreceiver

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perfscope/perfscope/internal/syscalltrace"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// stackResult is what became of a raw stack.
type stackResult int

const (
	stackComplete stackResult = iota
	stackIncomplete
	stackFailed
	stackDropped
	stackResults
)

var stackNames = [stackResults]string{"complete", "incomplete", "failed", "dropped"}

var kindNames = [...]string{
	syscalltrace.KindCall:     "call",
	syscalltrace.KindInFlight: "in_flight",
	syscalltrace.KindSample:   "sample",
	syscalltrace.KindBlocked:  "blocked",
}

// stats counts under the gatherer's lock and publishes at every flush, so that
// an event costs no metric call.
type stats struct {
	telemetry *metadata.TelemetryBuilder
	kinds     [len(kindNames)]uint64
	stacks    [stackResults]uint64
	// dropped counts events by reason, lostStacks stacks that the kernel
	// could not hand over.
	dropped, lostStacks map[string]uint64
	batches, contexts   uint64
	skipped, stuck      atomic.Int64

	processes, threads, inFlight, memory, pending atomic.Int64
	// Shares, in millionths: of the host's CPU time that the hooks and this
	// process take, and of the time in which calls were recorded.
	hooks, own, traced atomic.Int64
}

func newStats(telemetry *metadata.TelemetryBuilder) *stats {
	return &stats{telemetry: telemetry, dropped: map[string]uint64{}, lostStacks: map[string]uint64{}}
}

// register publishes the gauges.
func (s *stats) register(queue func() int) error {
	observe := func(v *atomic.Int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(v.Load())
			return nil
		}
	}
	part := func(name string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("part", name)))
	}
	hooks, process := part("hooks"), part("process")
	if err := s.telemetry.RegisterReceiverSyscallOverheadCallback(func(_ context.Context, o metric.Float64Observer) error {
		o.Observe(float64(s.hooks.Load())/perMillion, hooks)
		o.Observe(float64(s.own.Load())/perMillion, process)
		return nil
	}); err != nil {
		return err
	}
	if err := s.telemetry.RegisterReceiverSyscallTracedCallback(func(_ context.Context, o metric.Float64Observer) error {
		o.Observe(float64(s.traced.Load()) / perMillion)
		return nil
	}); err != nil {
		return err
	}
	for _, r := range []struct {
		register func(metric.Int64Callback) error
		value    metric.Int64Callback
	}{
		{s.telemetry.RegisterReceiverSyscallProcessesCallback, observe(&s.processes)},
		{s.telemetry.RegisterReceiverSyscallThreadsCallback, observe(&s.threads)},
		{s.telemetry.RegisterReceiverSyscallCallsInFlightCallback, observe(&s.inFlight)},
		{s.telemetry.RegisterReceiverSyscallCaptureMemoryCallback, observe(&s.memory)},
		{s.telemetry.RegisterReceiverSyscallPendingEventsCallback, observe(&s.pending)},
		{s.telemetry.RegisterReceiverSyscallQueueLengthCallback, func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(queue()))
			return nil
		}},
	} {
		if err := r.register(r.value); err != nil {
			return err
		}
	}
	return nil
}

// refused counts events that the next component did not take.
func (s *stats) refused(events uint64) {
	s.telemetry.ReceiverSyscallEventsDropped.Add(context.Background(), int64(events), //nolint:gosec // a count
		metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", dropRefused))))
}

// publish adds what was counted since the last time to the metrics.
func (s *stats) publish(g *gatherer, inFlight int, memory int64) {
	ctx := context.Background()
	count := func(c metric.Int64Counter, n uint64, key, value string) {
		if n > 0 {
			c.Add(ctx, int64(n), metric.WithAttributeSet(attribute.NewSet(attribute.String(key, value)))) //nolint:gosec // a count
		}
	}
	for kind, n := range s.kinds {
		count(s.telemetry.ReceiverSyscallEvents, n, "kind", kindNames[kind])
	}
	for result, n := range s.stacks {
		count(s.telemetry.ReceiverSyscallStacks, n, "result", stackNames[result])
	}
	for reason, n := range s.lostStacks {
		count(s.telemetry.ReceiverSyscallStacks, n, "result", reason)
	}
	for reason, n := range s.dropped {
		count(s.telemetry.ReceiverSyscallEventsDropped, n, "reason", reason)
	}
	if s.batches > 0 {
		s.telemetry.ReceiverSyscallBatches.Add(ctx, int64(s.batches)) //nolint:gosec // a count
	}
	if s.contexts > 0 {
		s.telemetry.ReceiverSyscallTraceContexts.Add(ctx, int64(s.contexts)) //nolint:gosec // a count
	}
	if n := s.skipped.Swap(0); n > 0 {
		s.telemetry.ReceiverSyscallProcessesSkipped.Add(ctx, n)
	}
	if n := s.stuck.Swap(0); n > 0 {
		s.telemetry.ReceiverSyscallProcessesStuck.Add(ctx, n)
	}
	s.kinds, s.stacks, s.batches, s.contexts = [len(kindNames)]uint64{}, [stackResults]uint64{}, 0, 0
	clear(s.dropped)
	clear(s.lostStacks)
	s.processes.Store(int64(len(g.targets)))
	s.inFlight.Store(int64(inFlight))
	s.memory.Store(memory)
	s.pending.Store(int64(g.pending))
}
