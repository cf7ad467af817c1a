package signatureexporter

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config of the exporter; README.md explains each option.
type Config struct {
	// Directory is where the files are; it is made when it is not there.
	Directory string `mapstructure:"directory"`
	// Interval is the time between two writes.
	Interval time.Duration `mapstructure:"interval"`
	// Load says, for those who read the file, what the program does meanwhile.
	Load string `mapstructure:"load"`
	// MaxPrograms bounds the programs mined at a time.
	MaxPrograms int `mapstructure:"max_programs"`

	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{Directory: "/var/lib/perfscope/signatures", Interval: 15 * time.Second, MaxPrograms: 16}
}

// maxLoad bounds the text in bytes: it is one line of the file.
const maxLoad = 1000

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Directory == "" {
		fail("directory is empty; it must be where the signature files are to be, such as /var/lib/perfscope/signatures")
	}
	if c.Interval < time.Second || c.Interval > time.Hour {
		fail("interval is %s; it must be from 1s to 1h", c.Interval)
	}
	if len(c.Load) > maxLoad {
		fail("load has %d bytes; it must have at most %d", len(c.Load), maxLoad)
	}
	if c.MaxPrograms < 1 || c.MaxPrograms > 1000 {
		fail("max_programs is %d; it must be from 1 to 1000", c.MaxPrograms)
	}
	return errors.Join(errs...)
}
