package perfscopepage

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/perfscope/perfscope/extension/perfscopepage/internal/metadata"
)

// NewFactory makes the factory of the page.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, set extension.Settings, cfg component.Config) (extension.Extension, error) {
	return newPage(cfg.(*Config), set.TelemetrySettings), nil
}
