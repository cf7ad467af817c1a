package profilesconnector

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/evidence"
)

const (
	// maxWaiting bounds the anomalies of which profiles wait to be made.
	maxWaiting = 64
	// patience is for how long the analysis is asked, and the next component waited for.
	patience = 10 * time.Second
)

// profiler is the connector. Profiles are made by a goroutine of its own: the analysis,
// which is asked for the stacks, may be the one that waits for ConsumeLogs.
type profiler struct {
	cfg  *Config
	log  *zap.Logger
	set  connector.Settings
	next xconsumer.Profiles

	board     evidence.Board
	anomalies chan string
	stop      context.CancelFunc
	done      chan struct{}
	end       sync.Once
}

func newProfiler(cfg *Config, set connector.Settings, next xconsumer.Profiles) *profiler {
	return &profiler{cfg: cfg, log: set.Logger, set: set, next: next, anomalies: make(chan string, maxWaiting), done: make(chan struct{})}
}

// Capabilities says that records are not changed.
func (p *profiler) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start begins to make profiles, if there is a page to ask what is known.
func (p *profiler) Start(_ context.Context, host component.Host) error {
	for _, e := range host.GetExtensions() {
		if b, ok := e.(evidence.Board); ok {
			p.board = b
		}
	}
	if p.board == nil {
		p.log.Warn("No profiles are made: list a perfscope_page under service::extensions, which is how the analysis is found.")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go p.run(ctx)
	return nil
}

// Shutdown ends it.
func (p *profiler) Shutdown(context.Context) error {
	p.end.Do(func() {
		if p.stop != nil {
			p.stop()
			<-p.done
		}
	})
	return nil
}

// ConsumeLogs takes the anomalies that are raised or over.
func (p *profiler) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				state, _ := rec.Attributes().Get("perfscope.anomaly.state")
				id, ok := rec.Attributes().Get("perfscope.anomaly.id")
				if rec.EventName() != "perfscope.anomaly" || !ok || state.Str() == "updated" {
					continue
				}
				select {
				case p.anomalies <- id.AsString():
				default:
					p.log.Warn("Profiles of an anomaly are left out: too many wait.", zap.String("perfscope.anomaly.id", id.AsString()))
				}
			}
		}
	}
	return nil
}

func (p *profiler) run(ctx context.Context) {
	defer close(p.done)
	var ticks <-chan time.Time
	if p.cfg.Interval > 0 {
		ticker := time.NewTicker(p.cfg.Interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			p.each(ctx, func(d *evidence.Detail) {
				if s, ok := d.Between(d.HeldTo.Add(-p.cfg.Interval), d.HeldTo); ok {
					p.send(ctx, d, s, "")
				}
			})
		case id := <-p.anomalies:
			p.each(ctx, func(d *evidence.Detail) {
				if a, ok := d.Anomaly(id); ok {
					if s, ok := d.Of(a); ok {
						p.send(ctx, d, s, id)
					}
				}
			})
		}
	}
}

// each asks for all services, one after the other.
func (p *profiler) each(ctx context.Context, do func(*evidence.Detail)) {
	if p.board == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, source := range p.board.Sources() {
		services, err := source.Services(ctx)
		if err != nil {
			p.log.Warn("The analysis did not answer: profiles are left out.", zap.Error(err))
			continue
		}
		for i := range services {
			if d, err := source.Detail(ctx, services[i].ID); err == nil {
				do(d)
			}
		}
	}
}

func (p *profiler) send(ctx context.Context, d *evidence.Detail, s *evidence.Stretch, anomaly string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.next.ConsumeProfiles(ctx, profilesOf(d, s, anomaly, p.set.BuildInfo.Version)); err != nil {
		p.log.Error("The next component refused profiles; they are lost.", zap.Error(err))
	}
}
