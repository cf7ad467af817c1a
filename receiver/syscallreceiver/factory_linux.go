package syscallreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/perfscope/perfscope/internal/stack"
)

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(set, cfg.(*Config), next, parts{
		tracer:   newKernelTracer,
		unwinder: func() unwinder { return stack.NewUnwinder(stack.Options{}) },
	})
}
