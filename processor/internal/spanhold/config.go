package spanhold

import (
	"fmt"
	"time"

	"github.com/perfscope/perfscope/internal/correlate"
)

// Config bounds how spans are held: the span_wait of a processor.
type Config struct {
	// Timeout is for how long a span is held at most; zero holds none.
	Timeout time.Duration `mapstructure:"timeout"`
	// MaxSpans bounds the spans held at once, per pipeline, and MaxBytes about the
	// memory they take; beyond them the oldest are let go early.
	MaxSpans int `mapstructure:"max_spans"`
	MaxBytes int `mapstructure:"max_bytes"`

	_ struct{}
}

// DefaultConfig holds spans for a time.
func DefaultConfig(timeout time.Duration) Config {
	return Config{Timeout: timeout, MaxSpans: 200_000, MaxBytes: 192 << 20}
}

// Check returns what is wrong with the configuration.
func (c *Config) Check() (errs []error) {
	if c.Timeout < 0 || c.Timeout > time.Minute {
		errs = append(errs, fmt.Errorf("span_wait::timeout is %s; it must be from 0 (hold no spans) to 1m", c.Timeout))
	}
	if c.MaxSpans < 0 || c.MaxSpans > 10_000_000 {
		errs = append(errs, fmt.Errorf("span_wait::max_spans is %d; it must be from 0 (hold no spans) to 10000000", c.MaxSpans))
	}
	if c.MaxBytes < 0 || c.MaxBytes > 4<<30 {
		errs = append(errs, fmt.Errorf("span_wait::max_bytes is %d; it must be from 0 (hold no spans) to 4294967296", c.MaxBytes))
	}
	return errs
}

func (c *Config) limits() correlate.Limits {
	return correlate.Limits{Spans: c.MaxSpans, Bytes: c.MaxBytes}
}
