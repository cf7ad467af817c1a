package incidentprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/perfscope/perfscope/processor/incidentprocessor/internal/metadata"
	"github.com/perfscope/perfscope/processor/internal/sharing"
)

// NewFactory makes the factory of the incident processor.
func NewFactory() processor.Factory {
	s := &sharedEngines{}
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithLogs(s.createLogs, metadata.LogsStability),
		processor.WithTraces(s.createTraces, metadata.TracesStability))
}

// sharedEngines gives the pipelines of one component ID one engine.
type sharedEngines struct {
	engines sharing.Engines[*Config, *engine]
	// prepare, set by tests, sees an engine before it starts.
	prepare func(*engine)
}

func (s *sharedEngines) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return newLogsHandle(s, set, cfg.(*Config), next), nil
}

func (s *sharedEngines) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return newTracesHandle(s, set, cfg.(*Config), next), nil
}

// acquire gives the engine of a configuration, started.
func (s *sharedEngines) acquire(cfg *Config, set processor.Settings) (*engine, error) {
	return s.engines.Acquire(cfg, func() (*engine, error) {
		e, err := newEngine(cfg, set.TelemetrySettings, set.BuildInfo.Version)
		if err == nil && s.prepare != nil {
			s.prepare(e)
		}
		return e, err
	})
}
