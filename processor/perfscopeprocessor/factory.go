package perfscopeprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/xprocessor"

	"github.com/perfscope/perfscope/processor/internal/sharing"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

// NewFactory makes the factory of the perfscope processor.
func NewFactory(options ...FactoryOption) processor.Factory {
	s := &sharedEngines{}
	for _, o := range options {
		o(s)
	}
	return xprocessor.NewFactory(metadata.Type, createDefaultConfig,
		xprocessor.WithLogs(s.createLogs, metadata.LogsStability),
		xprocessor.WithTraces(s.createTraces, metadata.TracesStability),
		xprocessor.WithProfiles(s.createProfiles, metadata.ProfilesStability))
}

// sharedEngines gives the pipelines of one component ID one engine.
type sharedEngines struct {
	engines sharing.Engines[*Config, *engine]
	// prepare, set by tests and for a replay, sees an engine before it starts.
	prepare func(*engine)
}

func (s *sharedEngines) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	return newLogsHandle(s, set, cfg.(*Config), next), nil
}

func (s *sharedEngines) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	return newTracesHandle(s, set, cfg.(*Config), next), nil
}

func (s *sharedEngines) createProfiles(_ context.Context, set processor.Settings, cfg component.Config, next xconsumer.Profiles) (xprocessor.Profiles, error) {
	return newProfilesHandle(s, set, cfg.(*Config), next), nil
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
