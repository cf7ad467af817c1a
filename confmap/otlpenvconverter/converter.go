// Package otlpenvconverter has the OTLP exporters heed OpenTelemetry's standard
// variables, which SDKs read and the Collector does not:
// OTEL_EXPORTER_OTLP_ENDPOINT by its scheme, OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_EXPORTER_OTLP_INSECURE and OTEL_EXPORTER_OTLP_CERTIFICATE.
//
// Only an exporter whose endpoint is that of OTEL_EXPORTER_OTLP_ENDPOINT is
// touched, and of it only what its configuration leaves open: a key that belongs to
// one backend is never sent to another.
//
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
package otlpenvconverter

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// NewFactory makes the converter, for the converters of an ocb manifest.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter {
		return converter{os.Getenv}
	})
}

type converter struct{ env func(string) string }

// Convert changes the exporters in place.
func (c converter) Convert(_ context.Context, conf *confmap.Conf) error {
	endpoint := c.env("OTEL_EXPORTER_OTLP_ENDPOINT")
	exporters, _ := conf.Get("exporters").(map[string]any)
	if endpoint == "" || len(exporters) == 0 {
		return nil
	}
	headers, err := parseHeaders(c.env("OTEL_EXPORTER_OTLP_HEADERS"))
	if err != nil {
		return err
	}
	tls, err := c.tls(endpoint)
	if err != nil {
		return err
	}
	for id, value := range exporters {
		kind, _, _ := strings.Cut(id, "/")
		exporter, isMap := value.(map[string]any)
		// The second names are those before version 0.145.
		grpc, http := kind == "otlp_grpc" || kind == "otlp", kind == "otlp_http" || kind == "otlphttp"
		if !grpc && !http || !isMap || exporter["endpoint"] != endpoint {
			continue
		}
		fill(exporter, "headers", headers)
		if grpc || tls["ca_file"] != nil {
			fill(exporter, "tls", tls)
		}
	}
	return conf.Merge(confmap.NewFromStringMap(map[string]any{"exporters": exporters}))
}

// tls is what the scheme of the endpoint, and the variables, say of encryption.
func (c converter) tls(endpoint string) (map[string]any, error) {
	tls := map[string]any{}
	if file := c.env("OTEL_EXPORTER_OTLP_CERTIFICATE"); file != "" {
		tls["ca_file"] = file
	}
	switch text := c.env("OTEL_EXPORTER_OTLP_INSECURE"); {
	case strings.HasPrefix(endpoint, "http://"):
		tls["insecure"] = true
	case strings.HasPrefix(endpoint, "https://"), text == "":
	default:
		insecure, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_INSECURE: must be true or false, not %q", text)
		}
		tls["insecure"] = insecure
	}
	return tls, nil
}

// fill adds to a map of an exporter what it does not say itself.
func fill(exporter map[string]any, key string, values map[string]any) {
	if len(values) == 0 {
		return
	}
	has, isMap := exporter[key].(map[string]any)
	if exporter[key] != nil && !isMap {
		return // a list of headers is complete
	}
	merged := map[string]any{}
	for name, value := range values {
		merged[name] = value
	}
	for name, value := range has {
		for other := range merged {
			if strings.EqualFold(name, other) {
				delete(merged, other)
			}
		}
		merged[name] = value
	}
	exporter[key] = merged
}

// parseHeaders reads name=value pairs with commas between, values percent-encoded.
// Its error holds no value: they are secrets.
func parseHeaders(list string) (map[string]any, error) {
	headers := map[string]any{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || name == "" || err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: must be name=value pairs with commas between, values percent-encoded; the one that begins with %q is not", name[:min(len(name), 16)])
		}
		headers[name] = decoded
	}
	return headers, nil
}
