package incidentprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

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
	cfg, err := load(t, "incident")
	require.NoError(t, err)
	require.NoError(t, componenttest.CheckConfigStruct(cfg))
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)
}

func TestEveryOption(t *testing.T) {
	cfg, err := load(t, "incident/all")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{
		Hop: 10 * time.Second, Output: anomalylog.OutputSpanEvents, MaxServices: 16,
		SpanWait: spanhold.Config{Timeout: 20 * time.Second, MaxSpans: 1000, MaxBytes: 1_000_000},
	}, cfg)
}

func TestValidateNamesEachKey(t *testing.T) {
	cfg, err := load(t, "incident/bad")
	require.NoError(t, err)
	err = confmap.Validate(cfg)
	for _, part := range []string{
		"hop is 10ms; it must be from 1s to 1m", "output is \"everywhere\"; it must be both, logs or span_events", "max_services is 0",
		"span_wait::timeout is -1s", "span_wait::max_spans is -1", "span_wait::max_bytes is -1",
	} {
		assert.ErrorContains(t, err, part)
	}
	cfg.SpanWait.Timeout = 0
	assert.ErrorContains(t, cfg.Validate(), "span_wait::timeout is 0s; it must be above 0")
}

func TestUnknownKeyIsRefused(t *testing.T) {
	_, err := load(t, "incident/unknown_key")
	assert.ErrorContains(t, err, "mode")
}
