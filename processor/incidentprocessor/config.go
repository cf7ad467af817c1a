package incidentprocessor

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanhold"
)

// Output says where what is found goes.
type Output = anomalylog.Output

// The outputs: log records and span events, or only one of them.
const (
	OutputBoth       = anomalylog.OutputBoth
	OutputLogs       = anomalylog.OutputLogs
	OutputSpanEvents = anomalylog.OutputSpanEvents
)

// SpanWaitConfig bounds how spans are held.
type SpanWaitConfig = spanhold.Config

// Config of the processor. The defaults are meant to be used.
type Config struct {
	// Hop is how often the traces that were let go are ranked together.
	Hop time.Duration `mapstructure:"hop"`
	// Output is where incidents go: both, logs or span_events.
	Output Output `mapstructure:"output"`
	// MaxServices bounds the service instances whose anomalies are held; beyond
	// it the one heard of least recently is dropped.
	MaxServices int `mapstructure:"max_services"`
	// SpanWait is how spans wait for the others of their trace, and for the
	// anomalies of their services.
	SpanWait SpanWaitConfig `mapstructure:"span_wait"`

	_ struct{}
}

// defaultWait is for how long spans wait. An agent holds its own for up to 10 s;
// one that is in doubt is certain two hops of 5 s later at most. The rest is for
// the way, and for the flushes of different agents.
const defaultWait = 12 * time.Second

func createDefaultConfig() component.Config {
	return &Config{
		Hop: 5 * time.Second, Output: OutputBoth, MaxServices: 256, SpanWait: spanhold.DefaultConfig(defaultWait),
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Hop < time.Second || c.Hop > time.Minute {
		errs = append(errs, fmt.Errorf("hop is %s; it must be from 1s to 1m", c.Hop))
	}
	errs = append(errs, c.Output.Check()...)
	if c.MaxServices < 1 || c.MaxServices > 100_000 {
		errs = append(errs, fmt.Errorf("max_services is %d; it must be from 1 to 100000", c.MaxServices))
	}
	if c.SpanWait.Timeout == 0 {
		errs = append(errs, errors.New("span_wait::timeout is 0s; it must be above 0, since the spans of a trace come one after the other"))
	}
	return errors.Join(append(errs, c.SpanWait.Check()...)...)
}
