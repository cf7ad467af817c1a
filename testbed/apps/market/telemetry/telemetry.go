// Package telemetry sets the OpenTelemetry SDK up as its documentation says:
// spans go where OTEL_EXPORTER_OTLP_ENDPOINT points.
package telemetry

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Start exports spans until stop is called.
func Start(ctx context.Context) (stop func(context.Context) error, err error) {
	exporter, err := otlptracegrpc.New(ctx)
	if err != nil {
		return nil, err
	}
	res, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID())
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return provider.Shutdown, nil
}

// Switch serves /fault?on=1 and /fault?on=0.
type Switch func(on bool)

// ServeHTTP turns the fault on or off.
func (s Switch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s(r.URL.Query().Get("on") == "1")
	w.WriteHeader(http.StatusNoContent)
}

// Mark writes down, for who evaluates a run, that the present request ran
// through the faulty code. Nothing else reads it.
func Mark(ctx context.Context) {
	trace.SpanFromContext(ctx).SetAttributes(attribute.Bool("testbed.faulty", true))
}
