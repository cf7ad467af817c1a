package syscallreceiver

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadatatest"
)

// statusHost remembers what is reported to it.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func (h *statusHost) last() *componentstatus.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return nil
	}
	return h.events[len(h.events)-1]
}

// fixture is a receiver over a fake kernel and a fake /proc.
type fixture struct {
	*syscallReceiver
	tracer    *fakeTracer
	unwinder  *fakeUnwinder
	proc      *fakeProc
	sink      *consumertest.LogsSink
	telemetry *componenttest.Telemetry
	host      *statusHost
}

func newFixture(t *testing.T, next consumer.Logs) *fixture {
	f := &fixture{
		tracer: newFakeTracer(), unwinder: &fakeUnwinder{}, proc: newFakeProc(t), sink: &consumertest.LogsSink{},
		telemetry: componenttest.NewTelemetry(), host: &statusHost{Host: componenttest.NewNopHost()},
	}
	t.Cleanup(func() { require.NoError(t, f.telemetry.Shutdown(context.Background())) })
	if next == nil {
		next = f.sink
	}
	f.proc.add(100, 1, "server")
	cfg := createDefaultConfig().(*Config)
	cfg.Targets = []TargetConfig{{Executable: "server"}}
	cfg.Mode = ModeContinuous
	cfg.FlushInterval, cfg.DiscoveryInterval = 20*time.Millisecond, 20*time.Millisecond
	cfg.Limits.QueuedFlushes = 1
	var err error
	f.syscallReceiver, err = newReceiver(metadatatest.NewSettings(f.telemetry), cfg, next, parts{
		tracer: func(_ *Config, g *gatherer, _ *zap.Logger) (tracer, error) {
			f.tracer.g = g
			return f.tracer, nil
		},
		unwinder: func(func(stack.Quarantine)) unwinder { return f.unwinder },
		proc:     f.proc.root, host: &testHost,
	})
	require.NoError(t, err)
	return f
}

func (f *fixture) start(t *testing.T) {
	t.Helper()
	require.NoError(t, f.Start(context.Background(), f.host))
	require.Eventually(t, func() bool { return len(f.tracer.follows()) == 1 }, time.Minute, time.Millisecond)
}

// calls counts the calls of all deliveries.
func calls(t *testing.T, all []plog.Logs) int {
	n := 0
	for _, logs := range all {
		for _, d := range decode(t, logs) {
			for _, b := range d.batches {
				n += len(b.Events)
			}
		}
	}
	return n
}

func TestLifecycle(t *testing.T) {
	f := newFixture(t, nil)
	require.NoError(t, f.Shutdown(context.Background()), "shutdown before start")
	for range 2 { // it can be started again
		f.sink.Reset()
		f.start(t)
		require.Error(t, f.Start(context.Background(), f.host), "started twice")
		f.tracer.give(func(g *gatherer) {
			g.event(call(100, 100, 1, 1, 1, 1, 0))
		})
		f.tracer.g.stack(raw(1, 100, 100, 1))
		f.tracer.atClose = func(g *gatherer) { g.event(call(100, 100, 2, 1, 1, 1, 0)) }
		require.Eventually(t, func() bool { return calls(t, f.sink.AllLogs()) >= 1 }, time.Minute, time.Millisecond)
		require.NoError(t, f.Shutdown(context.Background()))
		assert.Equal(t, 2, calls(t, f.sink.AllLogs()), "what was left in the rings is delivered")
		require.NoError(t, f.Shutdown(context.Background()), "shutdown twice")
		f.tracer.mu.Lock()
		f.tracer.followed = map[int32]bool{}
		f.tracer.mu.Unlock()
	}
	assert.Equal(t, 2, f.tracer.closed)
	assert.Equal(t, componentstatus.StatusOK, f.host.last().Status())
	point := func(key, value string, n int64) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: n, Attributes: attribute.NewSet(attribute.String(key, value))}}
	}
	metadatatest.AssertEqualReceiverSyscallEvents(t, f.telemetry, point("kind", "call", 4), metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualReceiverSyscallStacks(t, f.telemetry, point("result", "complete", 2), metricdatatest.IgnoreTimestamp())
}

func TestTargetsComeAndGo(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	f.proc.add(200, 1, "server")
	f.proc.add(201, 1, "client")
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual([]int32{100, 200}, f.tracer.follows()) }, time.Minute, time.Millisecond)
	f.proc.remove(200)
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual([]int32{100}, f.tracer.follows()) }, time.Minute, time.Millisecond)
	require.NoError(t, f.Shutdown(context.Background()))
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	f := newFixture(t, nil)
	f.tracer.startErr = errors.New("this process lacks CAP_BPF: run as root")
	err := f.Start(context.Background(), f.host)
	require.ErrorContains(t, err, "the syscall receiver cannot record on this host: this process lacks CAP_BPF")
	assert.Equal(t, 1, f.tracer.closed)

	f = newFixture(t, nil)
	f.parts.tracer = func(*Config, *gatherer, *zap.Logger) (tracer, error) { return nil, errors.New("no BTF") }
	require.ErrorContains(t, f.Start(context.Background(), f.host), "cannot record on this host: no BTF")

	f = newFixture(t, nil)
	f.parts.proc = t.TempDir()
	require.ErrorContains(t, f.Start(context.Background(), f.host), "cannot look for its targets")
}

func TestDegradedIsRecoverable(t *testing.T) {
	f := newFixture(t, nil)
	f.tracer.degraded = []string{"samples: perf_event_open is refused"}
	f.start(t)
	require.Eventually(t, func() bool { return f.host.last() != nil }, time.Minute, time.Millisecond)
	assert.Equal(t, componentstatus.StatusRecoverableError, f.host.last().Status())
	require.ErrorContains(t, f.host.last().Err(), "samples: perf_event_open is refused")
	require.NoError(t, f.Shutdown(context.Background()))
}

// stuckConsumer takes nothing until it is let.
type stuckConsumer struct {
	consumertest.Consumer
	let chan struct{}
	err error
}

func (s *stuckConsumer) ConsumeLogs(ctx context.Context, _ plog.Logs) error {
	select {
	case <-s.let:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestSlowConsumerDoesNotHoldUpTheRecording(t *testing.T) {
	stuck := &stuckConsumer{Consumer: consumertest.NewNop(), let: make(chan struct{})}
	f := newFixture(t, stuck)
	f.start(t)
	var dropped uint64
	require.Eventually(t, func() bool {
		f.tracer.give(func(g *gatherer) {
			g.event(call(100, 100, 1, 1, 1, 1, 0))
			if tg := g.targets[100]; tg != nil {
				dropped = max(dropped, tg.dropped[dropQueueFull])
			}
		})
		return dropped > 0
	}, time.Minute, time.Millisecond)
	// It never comes back: shutdown ends with its context.
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, f.Shutdown(ctx))
}

// deafConsumer does not heed its context.
type deafConsumer struct {
	consumertest.Consumer
	let chan struct{}
}

func (d *deafConsumer) ConsumeLogs(context.Context, plog.Logs) error {
	<-d.let
	return nil
}

// TestShutdownHeedsItsContext has each part hang in turn.
func TestShutdownHeedsItsContext(t *testing.T) {
	for name, hang := range map[string]func(*fixture, chan struct{}){
		"the detaching of the eBPF programs": func(f *fixture, let chan struct{}) { f.tracer.hang = let },
		"the reading of symbols": func(f *fixture, let chan struct{}) {
			f.unwinder.slow = func(int32) { <-let }
		},
		"the next component": func(f *fixture, let chan struct{}) {
			f.next = &deafConsumer{Consumer: consumertest.NewNop(), let: let}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			let := make(chan struct{})
			hang(f, let)
			f.start(t)
			time.Sleep(100 * time.Millisecond) // some flushes
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			n := f.run
			err := f.Shutdown(ctx) // what hangs does so until it has returned
			require.ErrorContains(t, err, name)
			close(let)
			<-n.looped
			<-n.queue.done
			n.gatherer.flush() // what went on in the background has ended
		})
	}
	t.Run("the discovery", func(t *testing.T) {
		f := newFixture(t, nil)
		f.start(t)
		// It waits for the lock, as it would for a file.
		f.run.statusMu.Lock()
		time.Sleep(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		n := f.run
		require.ErrorContains(t, f.Shutdown(ctx), "the discovery of processes")
		n.statusMu.Unlock()
		<-n.scouted
	})
}

func TestConsumerErrorsAreCounted(t *testing.T) {
	stuck := &stuckConsumer{Consumer: consumertest.NewNop(), let: make(chan struct{}), err: errors.New("no")}
	close(stuck.let)
	f := newFixture(t, stuck)
	f.start(t)
	f.tracer.give(func(g *gatherer) { g.event(call(100, 100, 1, 1, 1, 1, 0)) })
	require.NoError(t, f.Shutdown(context.Background()))
	metadatatest.AssertEqualReceiverSyscallEventsDropped(t, f.telemetry, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("reason", dropRefused))},
	}, metricdatatest.IgnoreTimestamp())
}

func TestHostArchitecture(t *testing.T) {
	f := newFixture(t, nil)
	f.start(t)
	require.NoError(t, f.Shutdown(context.Background()))
	v, ok := f.sink.AllLogs()[0].ResourceLogs().At(0).Resource().Attributes().Get("host.arch")
	require.True(t, ok)
	assert.Equal(t, runtime.GOARCH, v.Str())
}
