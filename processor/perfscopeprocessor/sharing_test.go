package perfscopeprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestAnyOrderOfShutdown(t *testing.T) {
	held := spansOf("redis", [2]int64{epoch + 6*sec, epoch + 7*sec})
	for name, c := range map[string]struct {
		first func(p *pipelines) error
		then  func(p *pipelines) error
		// The anomaly lies in the last hop, which is judged at the logs
		// pipeline's end only: spans let go before cannot have it.
		events int
	}{
		"logs first":   {func(p *pipelines) error { return p.logs.Shutdown(ctx) }, func(p *pipelines) error { return p.traces.Shutdown(ctx) }, 2},
		"traces first": {func(p *pipelines) error { return p.traces.Shutdown(ctx) }, func(p *pipelines) error { return p.logs.Shutdown(ctx) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipelines(t, oneAnomaly, nil).start(t)
			for s := range int64(10) {
				p.second(t, "redis", epoch+s*sec)
			}
			p.sync(t)
			td := ptrace.NewTraces()
			held.CopyTo(td)
			require.NoError(t, p.traces.ConsumeTraces(ctx, td))
			require.Zero(t, p.outSpan.SpanCount())
			require.NoError(t, c.first(p))
			assert.Equal(t, 1, p.sharing.engines.Len())
			// The other pipeline still delivers, and this one may, too.
			_ = p.logs.ConsumeLogs(ctx, secondOf("redis", 100, epoch+10*sec))
			_ = p.traces.ConsumeTraces(ctx, spansOf("shop", [2]int64{epoch, epoch}))
			require.NoError(t, c.then(p))
			assert.Zero(t, p.sharing.engines.Len())
			assert.Equal(t, 2, p.outSpan.SpanCount())
			assert.Equal(t, 1, p.outLogs.LogRecordCount())
			for _, out := range p.outSpan.AllTraces() {
				if name, _ := out.ResourceSpans().At(0).Resource().Attributes().Get("service.name"); name.AsString() == "redis" {
					assert.Equal(t, c.events, out.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Events().Len())
				}
			}
			// Nothing is left that would take syscalls in silence.
			assert.ErrorIs(t, p.logs.ConsumeLogs(ctx, secondOf("redis", 100, epoch)), errStopped)
			require.NoError(t, p.logs.Shutdown(ctx), "a second time")
			require.NoError(t, p.traces.Shutdown(ctx), "a second time")
		})
	}
}

func TestOneEnginePerConfiguration(t *testing.T) {
	f := NewFactory()
	cfg, other := f.CreateDefaultConfig(), f.CreateDefaultConfig()
	p := newPipelines(t, nil, nil)
	logs, err := f.CreateLogs(ctx, p.set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	traces, err := f.CreateTraces(ctx, p.set, cfg, consumertest.NewNop())
	require.NoError(t, err)
	apart, err := f.CreateTraces(ctx, p.set, other, consumertest.NewNop())
	require.NoError(t, err)
	host := componenttest.NewNopHost()
	require.NoError(t, logs.Start(ctx, host))
	require.NoError(t, traces.Start(ctx, host))
	require.NoError(t, apart.Start(ctx, host))
	same, _ := traces.(*tracesHandle).Engine()
	different, _ := apart.(*tracesHandle).Engine()
	assert.Same(t, logs.(*logsHandle).engine, same)
	assert.NotSame(t, logs.(*logsHandle).engine, different)
	for _, c := range []interface{ Shutdown(context.Context) error }{traces, apart, logs} {
		require.NoError(t, c.Shutdown(ctx))
	}
}

func TestPipelinesEndWhileOthersDeliver(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil)
	second := newLogsHandle(p.sharing, p.set, p.cfg, consumertest.NewNop())
	p.start(t)
	require.NoError(t, second.Start(ctx, p.host))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	deliver := func(f func(s int64)) {
		wg.Go(func() {
			for s := int64(0); ; s++ {
				select {
				case <-stop:
					return
				default:
					f(epoch + s%30*sec)
				}
			}
		})
	}
	p.setClock(epoch + 60*sec)
	deliver(func(at int64) { _ = p.logs.ConsumeLogs(ctx, secondOf("redis", 100, at)) })
	deliver(func(at int64) { _ = second.ConsumeLogs(ctx, secondOf("nginx", 200, at)) })
	deliver(func(at int64) {
		_ = p.traces.ConsumeTraces(ctx, spansOf("redis", [2]int64{at, at + 50*sec}))
	})
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, p.logs.Shutdown(ctx))
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, p.traces.Shutdown(ctx))
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, second.Shutdown(ctx))
	close(stop)
	wg.Wait()
	assert.Zero(t, p.sharing.engines.Len())
}

func TestShutdownDoesNotWaitForANextComponentForEver(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil)
	stuck := make(chan struct{})
	var once sync.Once
	p.logs.sink.Next, _ = consumer.NewLogs(func(ctx context.Context, _ plog.Logs) error {
		once.Do(func() { close(stuck) })
		<-ctx.Done()
		return ctx.Err()
	})
	p.start(t)
	for s := range int64(13) {
		p.second(t, "redis", epoch+s*sec)
	}
	<-stuck
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.logs.Shutdown(short), context.DeadlineExceeded)
	require.NoError(t, p.traces.Shutdown(ctx))
}

func TestAFullQueueMakesTheSenderWait(t *testing.T) {
	p := newPipelines(t, oneAnomaly, nil)
	release := make(chan struct{})
	p.logs.sink.Next, _ = consumer.NewLogs(func(context.Context, plog.Logs) error { <-release; return nil })
	p.start(t)
	send := func(at int64) error {
		p.setClock(at)
		patient, cancel := context.WithTimeout(ctx, time.Second) // longer than any that does not wait
		defer cancel()
		return p.logs.ConsumeLogs(patient, secondOf("redis", 100, at))
	}
	var err error
	delivered := 0
	for at := int64(epoch); err == nil; at += sec {
		if err = send(at); err == nil {
			delivered++
		}
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.InDelta(t, queueLength+13, delivered, 3)
	close(release)
	p.stop(t)
	assert.False(t, errors.Is(err, errStopped))
}
