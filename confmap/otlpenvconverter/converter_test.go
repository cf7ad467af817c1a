package otlpenvconverter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

type m = map[string]any

func TestConvert(t *testing.T) {
	for name, tc := range map[string]struct {
		env       map[string]string
		exporters m
		want      m
	}{
		"http is without TLS": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://backend:4317"},
			m{"otlp_grpc": m{"endpoint": "http://backend:4317"}},
			m{"otlp_grpc": m{"endpoint": "http://backend:4317", "tls": m{"insecure": true}}},
		},
		"https is with it": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://backend:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
			m{"otlp_grpc": m{"endpoint": "https://backend:4317"}},
			m{"otlp_grpc": m{"endpoint": "https://backend:4317"}},
		},
		"no scheme, insecure": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "backend:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
			m{"otlp": m{"endpoint": "backend:4317"}},
			m{"otlp": m{"endpoint": "backend:4317", "tls": m{"insecure": true}}},
		},
		"headers and a certificate": {
			map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": "https://backend", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20key, tenant=a=b",
				"OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/ca.pem",
			},
			m{"otlp_http/x": m{"endpoint": "https://backend"}},
			m{"otlp_http/x": m{
				"endpoint": "https://backend", "headers": m{"authorization": "Bearer key", "tenant": "a=b"}, "tls": m{"ca_file": "/etc/ca.pem"},
			}},
		},
		"what the configuration says stays": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://backend:4317", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x"},
			m{"otlp_grpc": m{"endpoint": "http://backend:4317", "tls": m{"insecure": false}, "headers": m{"Authorization": "mine"}}},
			m{"otlp_grpc": m{"endpoint": "http://backend:4317", "tls": m{"insecure": false}, "headers": m{"Authorization": "mine"}}},
		},
		"another backend gets nothing": {
			map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://backend:4317", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=x"},
			m{"otlp_grpc": m{"endpoint": "other:4317"}, "debug": m{"endpoint": "http://backend:4317"}, "file": nil},
			m{"otlp_grpc": m{"endpoint": "other:4317"}, "debug": m{"endpoint": "http://backend:4317"}, "file": nil},
		},
		"no variable": {nil, m{"otlp_grpc": m{"endpoint": "b:1"}}, m{"otlp_grpc": m{"endpoint": "b:1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := confmap.NewFromStringMap(m{"exporters": tc.exporters, "receivers": m{"syscall": nil}})
			require.NoError(t, converter{func(name string) string { return tc.env[name] }}.Convert(t.Context(), conf))
			assert.Equal(t, m{"exporters": tc.want, "receivers": m{"syscall": nil}}, conf.ToStringMap())
		})
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	for variable, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS": "authorization", "OTEL_EXPORTER_OTLP_INSECURE": "yes please",
	} {
		conf := confmap.NewFromStringMap(m{"exporters": m{"otlp_grpc": m{"endpoint": "b:1"}}})
		err := converter{func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "b:1", variable: value}[name]
		}}.Convert(t.Context(), conf)
		require.ErrorContains(t, err, variable)
	}
	_, err := parseHeaders("key=%zzsecret")
	require.ErrorContains(t, err, "key")
	assert.NotContains(t, err.Error(), "secret")
}

func TestFactory(t *testing.T) {
	require.NoError(t, NewFactory().Create(confmap.ConverterSettings{}).Convert(t.Context(), confmap.New()))
}
