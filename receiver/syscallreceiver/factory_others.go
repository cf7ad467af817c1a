//go:build !linux

package syscallreceiver

import (
	"context"
	"errors"
	"runtime"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
)

// createLogs makes a receiver whose Start says why it cannot: a configuration
// written for Linux still validates elsewhere.
func createLogs(context.Context, receiver.Settings, component.Config, consumer.Logs) (receiver.Logs, error) {
	return unsupported{}, nil
}

type unsupported struct{}

func (unsupported) Start(context.Context, component.Host) error {
	return errors.New("the syscall receiver records with eBPF, which only Linux has: this is " + runtime.GOOS +
		"; run the collector on the Linux host (or in the Linux virtual machine) that runs the service")
}

func (unsupported) Shutdown(context.Context) error { return nil }
