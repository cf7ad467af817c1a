package perfscopeprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanhold"
)

func load(t *testing.T, key string) (*Config, error) {
	t.Helper()
	file, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := file.Sub(key)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	return cfg, sub.Unmarshal(cfg)
}

func TestDefaultConfig(t *testing.T) {
	cfg, err := load(t, "perfscope")
	require.NoError(t, err)
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)
	assert.NoError(t, cfg.windowConfig().Validate())
	assert.Equal(t, inference.DefaultConfig(), cfg.windowConfig())
}

func TestEveryOption(t *testing.T) {
	cfg, err := load(t, "perfscope/all")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		Window: 10 * time.Minute, Hop: 10 * time.Second, Output: anomalylog.OutputSpanEvents, EveryHop: true, ForwardSyscalls: true,
		MaxServices: 16, MaxBytes: 100_000_000, MaxUnitsPerService: 5000, MaxSuspects: 5, FalseAlarms: "1/7d",
		Signatures:     SignaturesConfig{Files: []string{"/srv/*.signatures"}, Learn: true, Storage: &fileStorage},
		Memory:         MemoryConfig{Storage: &fileStorage, MaxBytes: 10_000_000, ExpectedFile: "/srv/expected"},
		FlightRecorder: FlightRecorderConfig{MaxBytes: 8_000_000},
		SpanWait:       spanhold.Config{Timeout: 20 * time.Second, MaxSpans: 1000, MaxBytes: 1_000_000},
	}, cfg)
	assert.NoError(t, cfg.windowConfig().Validate())
}

func TestValidateNamesEachKey(t *testing.T) {
	cfg, err := load(t, "perfscope/bad")
	require.NoError(t, err)
	err = confmap.Validate(cfg)
	for _, part := range []string{
		"hop is 10ms; it must be from 1s to 1m",
		"output is \"everywhere\"; it must be both, logs or span_events",
		"max_services is 0", "max_bytes is 1;", "max_units_per_service is 1;", "max_suspects is 1000", "false_alarms is \"never\"",
		`signatures::files has "["; it must be a path`, `signatures::files has ""`, "signatures::storage is set, and signatures::learn is not",
		"memory::max_bytes is 1; it must be from 2097152", "memory::directory and memory::storage are both set",
		"flight_recorder::max_bytes is 1; it must be 0",
		"span_wait::timeout is -1s", "span_wait::max_spans is -1",
		"span_wait::max_bytes is -1",
	} {
		assert.ErrorContains(t, err, part)
	}
	cfg, err = load(t, "perfscope/all")
	require.NoError(t, err)
	cfg.Window = time.Minute
	assert.ErrorContains(t, cfg.Validate(), "window is 1m0s; it must be from 12 times hop (2m0s) to 1h")
	cfg.Window, cfg.Hop, cfg.MaxUnitsPerService = time.Hour, time.Second, 200
	assert.ErrorContains(t, cfg.Validate(), "at least window divided by hop (3600)")
}

func TestUnknownKeyIsRefused(t *testing.T) {
	_, err := load(t, "perfscope/unknown_key")
	assert.ErrorContains(t, err, "windows")
}
