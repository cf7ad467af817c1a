package syscallreceiver

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/budget"
)

// pacer attaches the hooks for bursts, as the budget allows, and for a focus,
// when a service leaves its habits.
type pacer struct {
	tracer tracer
	budget *budget.Controller
	focus  FocusConfig
	logger *zap.Logger
	stats  *stats
	// own is the CPU time this process has used.
	own func() time.Duration
	now func() time.Time
	// suspects has room for one; who comes second is looked at as well.
	suspects chan suspect

	// present is set while there is a target; roused wakes who waits for one.
	present atomic.Bool
	roused  chan struct{}

	last   tracerStats
	lastAt time.Time
	ownAt  time.Duration
	stacks float64
	// cool is when the next focus may begin.
	cool time.Time
}

type suspect struct{ service, why string }

func newPacer(cfg *Config, t tracer, c *budget.Controller, s *stats, logger *zap.Logger) *pacer {
	return &pacer{
		tracer: t, budget: c, focus: cfg.Focus, logger: logger, stats: s, own: ownCPUTime, now: time.Now,
		suspects: make(chan suspect, 1), roused: make(chan struct{}, 1), stacks: 1,
	}
}

// attend tells whether there is a target; it never blocks.
func (p *pacer) attend(target bool) {
	p.present.Store(target)
	if target {
		select {
		case p.roused <- struct{}{}:
		default:
		}
	}
}

// rest waits until there is a target, with the hooks detached.
func (p *pacer) rest(ctx context.Context) {
	for !p.present.Load() && ctx.Err() == nil {
		p.trace(false)
		p.stats.traced.Store(0)
		select {
		case <-ctx.Done():
		case <-p.roused:
		}
		p.lastAt, p.ownAt, p.last = p.now(), p.own(), p.tracer.Stats()
	}
}

// suspect asks for a focus; it never blocks.
func (p *pacer) suspect(service, why string) {
	select {
	case p.suspects <- suspect{service, why}:
	default:
	}
}

// run paces until the context ends. Whoever closes the tracer detaches.
func (p *pacer) run(ctx context.Context) {
	p.lastAt, p.ownAt, p.last = p.now(), p.own(), p.tracer.Stats()
	for {
		p.rest(ctx)
		if ctx.Err() != nil {
			return
		}
		plan := p.budget.Plan()
		focused := false
		p.trace(true)
		s := p.wait(ctx, plan.Burst)
		if s == nil && plan.Pause > 0 {
			p.trace(false)
			// Never in step with what the targets do at fixed times.
			s = p.wait(ctx, time.Duration(float64(plan.Pause)*(0.8+0.4*rand.Float64()))) //nolint:gosec // no secret
		}
		if s != nil {
			focused = p.look(ctx, *s)
		}
		p.observe(focused)
	}
}

func (p *pacer) trace(on bool) {
	if err := p.tracer.Trace(on); err != nil {
		p.logger.Debug("Cannot switch the tracing of calls.", zap.Bool("on", on), zap.Error(err))
	}
}

// wait waits, at most until a service is to be looked at.
func (p *pacer) wait(ctx context.Context, d time.Duration) *suspect {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return nil
		case s := <-p.suspects:
			if p.mayFocus(s) {
				return &s
			}
		}
	}
}

func (p *pacer) mayFocus(s suspect) bool {
	switch {
	case p.focus.Length == 0:
		return false
	case p.now().Before(p.cool):
		p.stats.decided("focus_cooling_down")
	case !p.budget.CanFocus():
		p.stats.decided("focus_unpaid")
	default:
		return true
	}
	p.logger.Debug("A service left its habits, and is not looked at closer.", zap.String("service.name", s.service), zap.String("why", s.why))
	return false
}

// look records all calls for a while, with all the stacks there may be.
func (p *pacer) look(ctx context.Context, s suspect) bool {
	p.stats.decided("focus")
	p.logger.Info("Focus: a service left its habits, all calls are recorded for a while.",
		zap.String("service.name", s.service), zap.String("why", s.why), zap.Duration("for", p.focus.Length))
	p.setStacks(1)
	p.trace(true)
	timer := time.NewTimer(p.focus.Length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	p.cool = p.now().Add(p.focus.CoolDown)
	p.logger.Info("Focus ends.", zap.String("service.name", s.service))
	return true
}

// observe measures what the time since the last one cost, and follows what the
// budget decides.
func (p *pacer) observe(focused bool) {
	now, own, st := p.now(), p.own(), p.tracer.Stats()
	decision := p.budget.Observe(budget.Usage{
		Elapsed: now.Sub(p.lastAt), Attached: st.Attached - p.last.Attached,
		Recorded: st.Recorded - p.last.Recorded, Passed: st.Passed - p.last.Passed, Woken: st.Woken - p.last.Woken, Stacks: st.Stacks - p.last.Stacks,
		Most: most(st.Groups, p.last.Groups), Tax: st.Tax, Own: own - p.ownAt, Focus: focused,
	})
	elapsed := now.Sub(p.lastAt)
	p.stats.traced.Store(int64(float64(st.Attached-p.last.Attached) / float64(max(1, elapsed)) * perMillion))
	p.last, p.lastAt, p.ownAt = st, now, own
	hooks, process := p.budget.Estimate()
	p.stats.hooks.Store(int64(hooks * perMillion))
	p.stats.own.Store(int64(process * perMillion))
	p.setStacks(p.budget.Plan().Stacks)
	if decision == budget.Keep {
		return
	}
	p.stats.decided(string(decision))
	plan := p.budget.Plan()
	p.logger.Debug("The overhead budget decides.", zap.String("decision", string(decision)), zap.Duration("burst", plan.Burst),
		zap.Duration("pause", plan.Pause), zap.Float64("stacks", plan.Stacks), zap.Float64("hooks", hooks), zap.Float64("process", process))
}

// most is the largest growth of any group.
func most(now, before map[uint16]uint64) (n uint64) {
	for group, calls := range now {
		if was := before[group]; group != 0 && calls > was {
			n = max(n, calls-was)
		}
	}
	return n
}

func (p *pacer) setStacks(part float64) {
	if part == p.stacks {
		return
	}
	if err := p.tracer.SetStackRate(part); err != nil {
		p.logger.Debug("Cannot set the rate of stacks.", zap.Error(err))
		return
	}
	p.stacks = part
}

// perMillion is how gauges that are atomic integers hold shares.
const perMillion = 1e6

// decided counts a decision.
func (s *stats) decided(what string) {
	s.telemetry.ReceiverSyscallBudgetDecisions.Add(context.Background(), 1,
		metric.WithAttributeSet(attribute.NewSet(attribute.String("decision", what))))
}
