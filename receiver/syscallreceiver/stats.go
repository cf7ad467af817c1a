package syscallreceiver

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// stackResult is what became of a raw stack.
type stackResult int

const (
	stackComplete stackResult = iota
	stackIncomplete
	stackFailed
	stackDropped
	stackQuarantined
	stackDeferred
	stackResults
)

var stackNames = [stackResults]string{"complete", "incomplete", "failed", "dropped", "quarantined", "deferred"}

// lookResult is what became of a look at the goroutines of a process.
type lookResult int

const (
	lookDone lookResult = iota
	lookFailed
	lookUnlocated
	lookResults
)

// moduleResults are what became of a module whose tables were needed.
var moduleResults = [...]string{"first", "again", "deferred"}

var lookNames = [lookResults]string{"done", "failed", "unlocated"}

var kindNames = [...]string{
	threadtrace.KindCall:     "call",
	threadtrace.KindInFlight: "in_flight",
	threadtrace.KindSample:   "sample",
	threadtrace.KindBlocked:  "blocked",
}

// stats counts under the gatherer's lock and publishes at every flush, so that
// an event costs no metric call.
type stats struct {
	telemetry  *metadata.TelemetryBuilder
	kinds      [len(kindNames)]uint64
	stacks     [stackResults]atomic.Uint64
	looks      lookCounts
	goroutines [lookResults]atomic.Uint64
	// dropped counts events by reason, lostStacks stacks that the kernel
	// could not hand over.
	dropped, lostStacks map[string]uint64
	batches, contexts   uint64
	// postponed counts looks at single processes left to the next scan.
	skipped, stuck, postponed atomic.Int64
	// idleRules choose no process now, unreadable processes cannot be judged.
	idleRules, unreadable atomic.Int64

	// moduleReads counts the reads of modules, as moduleResults has them.
	moduleReads [len(moduleResults)]atomic.Int64

	processes, threads, inFlight, memory, pending, held atomic.Int64
	// flushed is when the last flush ended, in nanoseconds since the epoch.
	flushed atomic.Int64
	// Shares, in millionths: of the host's CPU time that the hooks and this
	// process take, and of the time in which calls were recorded.
	hooks, own, traced atomic.Int64
}

func newStats(telemetry *metadata.TelemetryBuilder) *stats {
	return &stats{telemetry: telemetry, dropped: map[string]uint64{}, lostStacks: map[string]uint64{}}
}

// stack counts one by what became of it; from any goroutine.
func (s *stats) stack(r stackResult) { s.stacks[r].Add(1) }

// interpreterLook counts a look at an interpreter by its result; from any goroutine.
func (s *stats) interpreterLook(result string) { s.looks.add(result) }

// lookCounts counts looks at interpreters by what became of them.
type lookCounts struct {
	mu sync.Mutex
	n  map[string]uint64
}

func (c *lookCounts) add(result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]uint64{}
	}
	c.n[result]++
}

func (c *lookCounts) take() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = nil
	return n
}

// goroutineLook counts one by what became of it; from any goroutine.
func (s *stats) goroutineLook(r lookResult) { s.goroutines[r].Add(1) }

// age is the time since an instant, as a gauge.
func age(at func() time.Time) metric.Float64Callback {
	return func(_ context.Context, o metric.Float64Observer) error {
		if t := at(); !t.IsZero() {
			o.Observe(max(0, time.Since(t).Seconds()))
		}
		return nil
	}
}

// register publishes the gauges.
func (s *stats) register(queue func() int, lastRead func() time.Time) error {
	flushed := func() time.Time {
		if n := s.flushed.Load(); n > 0 {
			return time.Unix(0, n)
		}
		return time.Time{}
	}
	if err := errors.Join(s.telemetry.RegisterReceiverSyscallReadAgeCallback(age(lastRead)),
		s.telemetry.RegisterReceiverSyscallFlushAgeCallback(age(flushed))); err != nil {
		return err
	}
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
	if err := s.telemetry.RegisterReceiverSyscallModuleReadsCallback(func(_ context.Context, o metric.Int64Observer) error {
		for i, result := range moduleResults {
			o.Observe(s.moduleReads[i].Load(), metric.WithAttributeSet(attribute.NewSet(attribute.String("result", result))))
		}
		return nil
	}); err != nil {
		return err
	}
	for _, r := range []struct {
		register func(metric.Int64Callback) error
		value    metric.Int64Callback
	}{
		{s.telemetry.RegisterReceiverSyscallProcessesCallback, observe(&s.processes)},
		{s.telemetry.RegisterReceiverSyscallRulesUnmatchedCallback, observe(&s.idleRules)},
		{s.telemetry.RegisterReceiverSyscallProcessesUnreadableCallback, observe(&s.unreadable)},
		{s.telemetry.RegisterReceiverSyscallThreadsCallback, observe(&s.threads)},
		{s.telemetry.RegisterReceiverSyscallCallsInFlightCallback, observe(&s.inFlight)},
		{s.telemetry.RegisterReceiverSyscallCaptureMemoryCallback, observe(&s.memory)},
		{s.telemetry.RegisterReceiverSyscallPendingEventsCallback, observe(&s.pending)},
		{s.telemetry.RegisterReceiverSyscallSymbolMemoryCallback, observe(&s.held)},
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

// unwinder takes the figures of the unwinder, and the memory of the stacks that wait for it.
func (s *stats) unwinder(u *stack.Stats, waiting int64) {
	s.held.Store(u.Bytes() + waiting)
	for i, n := range [len(moduleResults)]uint64{u.ModuleLoads - u.ModuleRereads, u.ModuleRereads, u.ModuleDeferrals} {
		s.moduleReads[i].Store(int64(n)) //nolint:gosec // a count
	}
}

// quarantined counts what is left alone from now on.
func (s *stats) quarantined(kind string) {
	s.telemetry.ReceiverSyscallQuarantines.Add(context.Background(), 1,
		metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", kind))))
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
	for result := range s.stacks {
		count(s.telemetry.ReceiverSyscallStacks, s.stacks[result].Swap(0), "result", stackNames[result])
	}
	for result, n := range s.looks.take() {
		count(s.telemetry.ReceiverSyscallInterpreterLooks, n, "result", result)
	}
	for result := range s.goroutines {
		count(s.telemetry.ReceiverSyscallGoroutineLooks, s.goroutines[result].Swap(0), "result", lookNames[result])
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
	s.kinds, s.batches, s.contexts = [len(kindNames)]uint64{}, 0, 0
	if n := s.postponed.Swap(0); n > 0 {
		s.telemetry.ReceiverSyscallProcessesPostponed.Add(ctx, n)
	}
	clear(s.dropped)
	clear(s.lostStacks)
	s.processes.Store(int64(len(g.targets)))
	s.inFlight.Store(int64(inFlight))
	s.memory.Store(memory)
	s.pending.Store(int64(g.pending))
}
