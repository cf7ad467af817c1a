package signatureexporter

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
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

func TestConfig(t *testing.T) {
	cfg, err := load(t, "signature")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, createDefaultConfig(), cfg)

	cfg, err = load(t, "signature/all")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	assert.Equal(t, &Config{Directory: "/srv/signatures", Interval: time.Minute, Load: "the nightly test", MaxPrograms: 4}, cfg)

	cfg, err = load(t, "signature/bad")
	require.NoError(t, err)
	cfg.Load = strings.Repeat("x", maxLoad+1)
	for _, part := range []string{"directory is empty;", "interval is 10ms;", "max_programs is 0;", "load has 1001 bytes;"} {
		assert.ErrorContains(t, confmap.Validate(cfg), part)
	}

	_, err = load(t, "signature/unknown_key")
	assert.ErrorContains(t, err, "folder")
}
