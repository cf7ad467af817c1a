//go:build !linux || (!amd64 && !arm64)

package capture

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"
)

// ErrClosed is returned by a Tracer that has been closed.
var ErrClosed = errors.New("capture: the tracer is closed")

// Tracer exists on Linux on amd64 and arm64 only; elsewhere New fails.
type Tracer struct{}

var errUnsupported = fmt.Errorf("capture: recording system calls needs Linux on amd64 or arm64, this is %s/%s", runtime.GOOS, runtime.GOARCH)

// New returns an error: this platform has no eBPF capture.
func New(Config, Handler, *zap.Logger) (*Tracer, error) { return nil, errUnsupported }

// Start returns an error.
func (*Tracer) Start(context.Context) error { return errUnsupported }

// Close does nothing.
func (*Tracer) Close() error { return nil }

// Attach returns an error.
func (*Tracer) Attach() error { return errUnsupported }

// Detach does nothing.
func (*Tracer) Detach() error { return nil }

// SetStackRate returns an error.
func (*Tracer) SetStackRate(float64) error { return errUnsupported }

// AddProcess returns an error.
func (*Tracer) AddProcess(int32) error { return errUnsupported }

// AddProcesses returns an error for each.
func (*Tracer) AddProcesses(pids []int32) []error {
	errs := make([]error, len(pids))
	for i := range errs {
		errs[i] = errUnsupported
	}
	return errs
}

// AddGrouped returns an error for each.
func (t *Tracer) AddGrouped(pids []int32, _ []uint16) []error { return t.AddProcesses(pids) }

// Shares returns nothing.
func (*Tracer) Shares() map[uint16]Share { return nil }

// DeliverAtOnce returns an error.
func (*Tracer) DeliverAtOnce(int32) error { return errUnsupported }

// Sockets returns an error.
func (*Tracer) Sockets(func(Socket) bool) error { return errUnsupported }

// RemoveProcess does nothing.
func (*Tracer) RemoveProcess(int32) error { return nil }

// Poll returns an error.
func (*Tracer) Poll() error { return errUnsupported }

// Snapshot returns an error.
func (*Tracer) Snapshot() error { return errUnsupported }

// InFlight returns an error.
func (*Tracer) InFlight(time.Duration) ([]Call, error) { return nil, errUnsupported }

// Stats returns nothing.
func (*Tracer) Stats() Stats { return Stats{} }

// LastRead is never.
func (*Tracer) LastRead() time.Time { return time.Time{} }

// Degraded returns nothing.
func (*Tracer) Degraded() []Degraded { return nil }

// SamplePeriod returns zero.
func (*Tracer) SamplePeriod() time.Duration { return 0 }
