package perfscopeprocessor

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

// NewFactory makes the factory of the perfscope processor.
func NewFactory(options ...FactoryOption) processor.Factory {
	s := &sharing{engines: map[*Config]*sharedEngine{}}
	for _, o := range options {
		o(s)
	}
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithLogs(s.createLogs, metadata.LogsStability),
		processor.WithTraces(s.createTraces, metadata.TracesStability))
}

// sharing gives the pipelines of one component ID, which the collector creates
// with one and the same *Config, one engine. The engine exists while at least
// one of their handles is started, in whatever order they come and go.
type sharing struct {
	mu      sync.Mutex
	engines map[*Config]*sharedEngine
	// prepare, set by tests and for a replay, sees an engine before it starts.
	prepare func(*engine)
}

type sharedEngine struct {
	engine *engine
	users  int
}

func (s *sharing) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return newLogsHandle(s, set, cfg.(*Config), next), nil
}

func (s *sharing) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return newTracesHandle(s, set, cfg.(*Config), next), nil
}

// acquire gives the engine of a configuration, started.
func (s *sharing) acquire(cfg *Config, set processor.Settings) (*engine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := s.engines[cfg]
	if shared == nil {
		e, err := newEngine(cfg, set.TelemetrySettings, set.BuildInfo.Version)
		if err != nil {
			return nil, err
		}
		if s.prepare != nil {
			s.prepare(e)
		}
		e.start()
		shared = &sharedEngine{engine: e}
		s.engines[cfg] = shared
	}
	shared.users++
	return shared.engine, nil
}

// release gives an engine back; the last one to do so stops it.
func (s *sharing) release(cfg *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := s.engines[cfg]
	if shared == nil {
		return
	}
	if shared.users--; shared.users == 0 {
		delete(s.engines, cfg)
		shared.engine.stop()
	}
}
