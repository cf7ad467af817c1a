package reportexporter

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
)

// Config of the exporter; README.md explains each option.
type Config struct {
	// Console writes a short text of each anomaly to the standard output.
	Console bool `mapstructure:"console"`
	// Directory is where the files are written, one for each anomaly; empty is none.
	Directory string `mapstructure:"directory"`
	// MaxFiles bounds the files; the oldest go first.
	MaxFiles int `mapstructure:"max_files"`
	// MaxBytes bounds one file.
	MaxBytes int `mapstructure:"max_bytes"`

	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{Console: true, MaxFiles: 100, MaxBytes: 1 << 20}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.MaxFiles < 1 || c.MaxFiles > 10_000 {
		errs = append(errs, fmt.Errorf("max_files is %d; it must be from 1 to 10000", c.MaxFiles))
	}
	if c.MaxBytes < 256<<10 || c.MaxBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("max_bytes is %d; it must be from 262144 to 67108864", c.MaxBytes))
	}
	return errors.Join(errs...)
}
