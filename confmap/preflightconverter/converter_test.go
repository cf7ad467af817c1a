package preflightconverter

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

type m = map[string]any

func TestAddressesInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	taken := l.Addr().String()
	host, port, err := net.SplitHostPort(taken)
	require.NoError(t, err)

	otlp := m{"otlp": m{"protocols": m{"grpc": m{"endpoint": taken}}}}
	traces := m{"pipelines": m{"traces": m{"receivers": []any{"otlp"}}}}
	for name, tc := range map[string]struct {
		conf m
		want string
	}{
		"a receiver":             {m{"receivers": otlp, "service": traces}, "set PERFSCOPE_OTLP_GRPC_ENDPOINT (config/agent.yaml) or receivers::otlp::protocols::grpc::endpoint"},
		"one that nobody uses":   {m{"receivers": otlp}, ""},
		"a port of any":          {m{"receivers": m{"otlp": m{"protocols": m{"grpc": m{"endpoint": "127.0.0.1:0"}}}}, "service": traces}, ""},
		"an extension":           {m{"extensions": m{"perfscope_page": m{"endpoint": taken}}, "service": m{"extensions": []any{"perfscope_page"}}}, "set PERFSCOPE_PAGE_ENDPOINT"},
		"what is connected to":   {m{"receivers": m{"redis": m{"endpoint": taken}}, "service": m{"pipelines": m{"metrics": m{"receivers": []any{"redis"}}}}}, ""},
		"the metrics":            {metrics(host, port), "is in use: the collector cannot listen there for the metrics; set PERFSCOPE_METRICS_PORT"},
		"metrics without a port": {m{"service": m{"telemetry": m{"metrics": m{"readers": []any{m{"periodic": nil}}}}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			require.NoError(t, converter{zap.New(core)}.Convert(t.Context(), confmap.NewFromStringMap(tc.conf)))
			if tc.want == "" {
				assert.Empty(t, logs.All())
				return
			}
			require.Len(t, logs.All(), 1)
			assert.Contains(t, logs.All()[0].Message, taken)
			assert.Contains(t, logs.All()[0].Message, tc.want)
		})
	}
}

func metrics(host, port string) m {
	return m{"service": m{"telemetry": m{"metrics": m{"readers": []any{
		m{"pull": m{"exporter": m{"prometheus": m{"host": host, "port": port}}}},
	}}}}}
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "anomalies.json")
	require.NoError(t, os.WriteFile(file, []byte("kept\n"), 0o600))
	for name, tc := range map[string]struct{ id, path, want string }{
		"a file":               {"file/anomalies", file, ""},
		"none yet":             {"file", filepath.Join(dir, "new.json"), ""},
		"not even a folder":    {"file", filepath.Join(dir, "new", "a.json"), ""},
		"a folder of the name": {"file/anomalies", dir, "exporters::file/anomalies::path: nothing could be written there"},
		"a read-only folder":   {"file", "/proc/self/new.json", "create /proc/self/new.json"},
		"another exporter":     {"debug", dir, ""},
	} {
		t.Run(name, func(t *testing.T) {
			conf := confmap.NewFromStringMap(m{
				"exporters": m{tc.id: m{"path": tc.path}, "file/unused": m{"path": dir}},
				"service":   m{"pipelines": m{"logs": m{"exporters": []any{tc.id}}}},
			})
			err := converter{zap.NewNop()}.Convert(t.Context(), conf)
			if tc.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tc.want)
		})
	}
	kept, err := os.ReadFile(file) //nolint:gosec // made above
	require.NoError(t, err)
	assert.Equal(t, "kept\n", string(kept))
	assert.NoFileExists(t, filepath.Join(dir, "new.json"))
}
