// Package page has the page of a recording served in this process: what a person sees
// of it, without a collector and without root.
package page

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"

	"github.com/perfscope/perfscope/extension/perfscopepage"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor"
	"github.com/perfscope/perfscope/testbed/replay"
)

// Host is a collector that has the page as its extension.
type Host struct {
	extensions map[component.ID]component.Component
	// Page is the extension.
	Page extension.Extension
	log  *logs
}

// NewHost starts the page at an endpoint, host:port.
func NewHost(ctx context.Context, endpoint string) (*Host, error) {
	f := perfscopepage.NewFactory()
	cfg := f.CreateDefaultConfig().(*perfscopepage.Config)
	cfg.Endpoint = endpoint
	cfg.TraceURL = "http://localhost:16686/trace/{trace_id}?uiFind={span_id}"
	set := extensiontest.NewNopSettings(f.Type())
	log := &logs{}
	set.Logger = log.logger()
	p, err := f.Create(ctx, set, cfg)
	if err != nil {
		return nil, err
	}
	h := &Host{extensions: map[component.ID]component.Component{component.NewID(f.Type()): p}, Page: p, log: log}
	return h, p.Start(ctx, h)
}

// GetExtensions gives the page.
func (h *Host) GetExtensions() map[component.ID]component.Component { return h.extensions }

// Address is that of the first page.
func (h *Host) Address() string { return h.log.address() }

// Replay serves the page of a recording while look runs: after all of it was delivered.
func Replay(ctx context.Context, path, endpoint string, look func(h *Host) error) error {
	h, err := NewHost(ctx, endpoint)
	if err != nil {
		return err
	}
	record := func(c *perfscopeprocessor.Config) { c.FlightRecorder.MaxBytes = 16 << 20 }
	_, err = replay.Run(ctx, path, replay.Options{Adjust: record, Host: h, Ended: func() error { return look(h) }})
	return errors.Join(err, h.Page.Shutdown(ctx))
}
