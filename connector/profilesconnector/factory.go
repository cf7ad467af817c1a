package profilesconnector

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/xconnector"
	"go.opentelemetry.io/collector/consumer/xconsumer"

	"github.com/perfscope/perfscope/connector/profilesconnector/internal/metadata"
)

// NewFactory makes the factory of the connector.
func NewFactory() xconnector.Factory {
	return xconnector.NewFactory(metadata.Type, createDefaultConfig, xconnector.WithLogsToProfiles(create, metadata.LogsToProfilesStability))
}

func create(_ context.Context, set connector.Settings, cfg component.Config, next xconsumer.Profiles) (connector.Logs, error) {
	return newProfiler(cfg.(*Config), set, next), nil
}
