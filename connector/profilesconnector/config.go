package profilesconnector

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config of the connector; README.md explains each option.
type Config struct {
	// Interval is how often a profile of each service is made; zero is never, but of
	// anomalies.
	Interval time.Duration `mapstructure:"interval"`

	_ struct{}
}

func createDefaultConfig() component.Config { return &Config{Interval: time.Minute} }

// Validate checks the configuration.
func (c *Config) Validate() error {
	if c.Interval != 0 && (c.Interval < 10*time.Second || c.Interval > time.Hour) {
		return fmt.Errorf("interval is %s; it must be 0s, or from 10s to 1h", c.Interval)
	}
	return nil
}
