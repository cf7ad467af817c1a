package syscallreceiver

import (
	"go.opentelemetry.io/collector/receiver"

	"github.com/perfscope/perfscope/receiver/syscallreceiver/internal/metadata"
)

// NewFactory makes the factory of the syscall receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(metadata.Type, createDefaultConfig, receiver.WithLogs(createLogs, metadata.LogsStability))
}
