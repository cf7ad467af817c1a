package syscallreceiver

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/internal/budget"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// paced runs a pacer for a while on a tracer that costs what the test says.
func paced(t *testing.T, length time.Duration, change func(*Config), own func() time.Duration, during func(*pacer)) (*fakeTracer, *observer.ObservedLogs) {
	cfg := createDefaultConfig().(*Config)
	cfg.Focus = FocusConfig{Length: 300 * time.Millisecond, CoolDown: time.Minute}
	if change != nil {
		change(cfg)
	}
	keep, err := budget.New(cfg.OverheadBudget, 2)
	require.NoError(t, err)
	core, logs := observer.New(zap.InfoLevel)
	f := newFakeTracer()
	p := newPacer(cfg, f, keep, nopStats(t), zap.New(core))
	p.own = own
	p.attend(true)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(ctx)
	}()
	if during != nil {
		during(p)
	}
	<-done
	return f, logs
}

func nothing() time.Duration { return 0 }

func TestPacerTracesInBursts(t *testing.T) {
	f, _ := paced(t, 700*time.Millisecond, nil, nothing, nil)
	// At first a quarter of two seconds.
	assert.Equal(t, []bool{true, false}, f.switches)
}

func TestPacerFocuses(t *testing.T) {
	f, logs := paced(t, 1500*time.Millisecond, nil, nothing, func(p *pacer) {
		time.Sleep(600 * time.Millisecond) // into the pause
		p.suspect("redis", "it waits")
		time.Sleep(600 * time.Millisecond)
		p.suspect("redis", "it still waits") // cooling down
	})
	require.GreaterOrEqual(t, len(f.switches), 3)
	assert.Equal(t, []bool{true, false, true}, f.switches[:3])
	require.Equal(t, 2, logs.Len(), "one line at the begin and one at the end")
	assert.Contains(t, logs.All()[0].Message, "Focus:")
	assert.Equal(t, "it waits", logs.All()[0].ContextMap()["why"])
	assert.Contains(t, logs.All()[1].Message, "Focus ends")
}

func TestPacerWithoutFocus(t *testing.T) {
	f, logs := paced(t, 900*time.Millisecond, func(c *Config) { c.Focus.Length = 0 }, nothing, func(p *pacer) {
		time.Sleep(600 * time.Millisecond)
		p.suspect("redis", "it waits")
	})
	assert.Equal(t, []bool{true, false}, f.switches)
	assert.Zero(t, logs.Len())
}

// TestPacerSaves has the process use far more than its budget.
func TestPacerSaves(t *testing.T) {
	start := time.Now()
	p := newPacer(createDefaultConfig().(*Config), newFakeTracer(), mustBudget(t), nopStats(t), zap.NewNop())
	at := start
	p.now = func() time.Time { return at }
	p.own = func() time.Duration { return at.Sub(start) } // a whole CPU
	p.lastAt, p.ownAt, p.last = p.now(), p.own(), p.tracer.Stats()
	for range 50 {
		at = at.Add(2 * time.Second)
		p.tracer.(*fakeTracer).record(2e6) // half a microsecond each
		p.observe(false)
	}
	plan := p.budget.Plan()
	assert.Equal(t, 100*time.Millisecond, plan.Burst)
	assert.Equal(t, 5*time.Second, plan.Burst+plan.Pause)
	assert.InDelta(t, 1.0/16, p.tracer.(*fakeTracer).stackRate, 1e-9)
	assert.InDelta(t, 0.5, float64(p.stats.own.Load())/perMillion, 0.01, "one of two CPUs")
	assert.True(t, p.mayFocus(suspect{"redis", "it waits"}), "a spent budget forbids no focus")
	at = at.Add(10 * time.Second)
	p.own = func() time.Duration { return 2 * at.Sub(start) }
	p.observe(true)
	assert.False(t, p.mayFocus(suspect{"redis", "it waits"}), "an unpaid one does")
}

func mustBudget(t *testing.T) *budget.Controller {
	c, err := budget.New(0.01, 2)
	require.NoError(t, err)
	return c
}

// TestSuspicion: a thread that begins to wait for the disk leaves its habits.
func TestSuspicion(t *testing.T) {
	var raised []string
	b := newBench(t, nil)
	b.suspicion = newSuspicion(func(service, why string) { raised = append(raised, service+": "+why) })
	b.find(server(100))
	second := func(number int32) {
		for range 5 {
			b.wait(200 * time.Millisecond)
			b.tracer.give(func(g *gatherer) {
				g.event(event{100, 100, threadtrace.Event{Kind: threadtrace.KindBlocked, Time: b.clock, Duration: 200e6, Number: number}})
			})
		}
		b.flush()
	}
	for range 60 {
		second(232) // epoll_wait
	}
	require.Empty(t, raised)
	second(75) // fdatasync
	second(75)
	require.Len(t, raised, 1)
	assert.Contains(t, raised[0], "server: ")
	assert.Contains(t, raised[0], `of "server", usually`)
}

// TestNoHooksWithoutATarget: they tax every process of the host.
func TestNoHooksWithoutATarget(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	keep, err := budget.New(cfg.OverheadBudget, 2)
	require.NoError(t, err)
	f := newFakeTracer()
	p := newPacer(cfg, f, keep, nopStats(t), zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.run(ctx)
	}()
	on := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.switches) > 0 && f.switches[len(f.switches)-1]
	}
	time.Sleep(50 * time.Millisecond)
	assert.False(t, on(), "attached with no target")
	p.attend(true)
	assert.Eventually(t, on, time.Minute, time.Millisecond)
	p.attend(false)
	assert.Eventually(t, func() bool { return !on() }, time.Minute, time.Millisecond)
	cancel()
	<-done
}
