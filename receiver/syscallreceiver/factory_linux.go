package syscallreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/perfscope/perfscope/internal/interpreter"
	"github.com/perfscope/perfscope/internal/rootfs"
	"github.com/perfscope/perfscope/internal/stack"
)

func createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	return newReceiver(set, cfg.(*Config), next, parts{
		tracer: newKernelTracer,
		unwinder: func(q func(stack.Quarantine)) unwinder {
			return stack.NewUnwinder(stack.Options{Quarantine: q, Variables: interpreter.Variables})
		},
		interpreters: func(u unwinder) interpreters {
			return interpreter.NewReader(&rootfs.Door{}, func(pid int32) (p interpreter.Program, err error) {
				p.Module, p.Variables, err = u.Variables(pid)
				return p, err
			})
		},
	})
}
