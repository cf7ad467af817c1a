package signatureexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/perfscope/perfscope/exporter/signatureexporter/internal/metadata"
)

// NewFactory makes the factory of the signature exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(metadata.Type, createDefaultConfig, exporter.WithLogs(createLogs, metadata.LogsStability))
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	e, err := newExtraction(cfg.(*Config), set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	// Without a queue: calls are taken as fast as they come, and the receiver
	// has one.
	return exporterhelper.NewLogs(ctx, set, cfg, e.consume,
		exporterhelper.WithCapabilities(consumer.Capabilities{}),
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{}),
		exporterhelper.WithStart(e.start), exporterhelper.WithShutdown(e.shutdown))
}
