package perfscopeprocessor

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/perfscope/perfscope/internal/window"
)

// Output says where anomalies go.
type Output string

// The outputs.
const (
	// OutputBoth writes log records and span events.
	OutputBoth Output = "both"
	// OutputLogs writes log records only; spans pass through untouched.
	OutputLogs Output = "logs"
	// OutputSpanEvents writes span events only.
	OutputSpanEvents Output = "span_events"
)

// Mode says what the processor works on.
type Mode string

// The modes.
const (
	// ModeAnalyze judges services by their syscall records.
	ModeAnalyze Mode = "analyze"
	// ModeCorrelate finds who is to blame among the anomalies that other
	// instances told, for whole traces: a gateway's work.
	ModeCorrelate Mode = "correlate"
)

// Config of the processor. The defaults are meant to be used.
type Config struct {
	// Mode is what the processor works on: analyze or correlate.
	Mode Mode `mapstructure:"mode"`
	// Window is how much of a service's past is kept to compare with.
	Window time.Duration `mapstructure:"window"`
	// Hop is how often a service is judged.
	Hop time.Duration `mapstructure:"hop"`
	// Output is where anomalies go: both, logs or span_events.
	Output Output `mapstructure:"output"`
	// EveryHop tells an anomaly in every abnormal hop, for a gateway to know;
	// else only when there is something new to say.
	EveryHop bool `mapstructure:"every_hop"`
	// ForwardSyscalls passes the syscall records on to the next component.
	ForwardSyscalls bool `mapstructure:"forward_syscalls"`
	// MaxServices bounds the service instances whose past is held; beyond it
	// the one heard of least recently is dropped.
	MaxServices int `mapstructure:"max_services"`
	// MaxUnitsPerService bounds the execution units held per service instance.
	MaxUnitsPerService int `mapstructure:"max_units_per_service"`
	// MaxSuspects bounds the functions listed in one anomaly.
	MaxSuspects int `mapstructure:"max_suspects"`
	// Signatures tell functions by their calls, where there are no stacks.
	Signatures SignaturesConfig `mapstructure:"signatures"`
	// SpanWait is how spans wait for the judgement of their service.
	SpanWait SpanWaitConfig `mapstructure:"span_wait"`

	_ struct{}
}

// SignaturesConfig says where signatures come from.
type SignaturesConfig struct {
	// Files are paths, or patterns of paths, of the signature exporter's files.
	Files []string `mapstructure:"files"`
	// Learn extends them by the stacks that live calls bring.
	Learn bool `mapstructure:"learn"`
	// Storage is the collector's storage extension that keeps what is learned;
	// without one it is learned anew after a restart.
	Storage *component.ID `mapstructure:"storage"`

	_ struct{}
}

// SpanWaitConfig bounds how spans are held.
type SpanWaitConfig struct {
	// Timeout is for how long a span is held at most; zero holds none, and
	// annotates those only that come after the judgement.
	Timeout time.Duration `mapstructure:"timeout"`
	// MaxSpans bounds the spans held at once, per pipeline, and MaxBytes their
	// size on the wire; beyond them the oldest are let go early.
	MaxSpans int `mapstructure:"max_spans"`
	MaxBytes int `mapstructure:"max_bytes"`

	_ struct{}
}

func createDefaultConfig() component.Config {
	w := window.DefaultConfig()
	return &Config{
		Mode:               ModeAnalyze,
		Window:             w.Window,
		Hop:                w.Hop,
		Output:             OutputBoth,
		MaxServices:        256,
		MaxUnitsPerService: w.MaxUnits,
		MaxSuspects:        w.MaxSuspects,
		SpanWait:           SpanWaitConfig{Timeout: 10 * time.Second, MaxSpans: 200_000, MaxBytes: 64 << 20},
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Mode {
	case ModeAnalyze, ModeCorrelate:
	default:
		fail("mode is %q; it must be analyze or correlate", c.Mode)
	}
	if c.Hop < time.Second || c.Hop > time.Minute {
		fail("hop is %s; it must be from 1s to 1m", c.Hop)
	}
	if c.Window < 12*c.Hop || c.Window > time.Hour {
		fail("window is %s; it must be from 12 times hop (%s) to 1h", c.Window, 12*c.Hop)
	}
	switch c.Output {
	case OutputBoth, OutputLogs, OutputSpanEvents:
	default:
		fail("output is %q; it must be both, logs or span_events", c.Output)
	}
	if c.MaxServices < 1 || c.MaxServices > 100_000 {
		fail("max_services is %d; it must be from 1 to 100000", c.MaxServices)
	}
	if c.MaxUnitsPerService < 100 || c.MaxUnitsPerService > 10_000_000 {
		fail("max_units_per_service is %d; it must be from 100 to 10000000", c.MaxUnitsPerService)
	} else if c.Hop > 0 && c.MaxUnitsPerService < int(c.Window/c.Hop) {
		fail("max_units_per_service is %d; it must be at least window divided by hop (%d)", c.MaxUnitsPerService, int(c.Window/c.Hop))
	}
	if c.MaxSuspects < 1 || c.MaxSuspects > 100 {
		fail("max_suspects is %d; it must be from 1 to 100", c.MaxSuspects)
	}
	for _, pattern := range c.Signatures.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			fail("signatures::files has %q; it must be a path or a pattern of paths, such as /var/lib/perfscope/signatures/*.signatures", pattern)
		}
	}
	if c.Signatures.Storage != nil && !c.Signatures.Learn {
		fail("signatures::storage is set, and signatures::learn is not; there is nothing to store without it")
	}
	if c.SpanWait.Timeout < 0 || c.SpanWait.Timeout > time.Minute {
		fail("span_wait::timeout is %s; it must be from 0 (hold no spans) to 1m", c.SpanWait.Timeout)
	}
	if c.Mode == ModeCorrelate && c.SpanWait.Timeout == 0 {
		fail("span_wait::timeout is 0s; with mode: correlate it must be above 0, since the spans of a trace come one after the other")
	}
	if c.SpanWait.MaxSpans < 0 || c.SpanWait.MaxSpans > 10_000_000 {
		fail("span_wait::max_spans is %d; it must be from 0 (hold no spans) to 10000000", c.SpanWait.MaxSpans)
	}
	if c.SpanWait.MaxBytes < 0 || c.SpanWait.MaxBytes > 4<<30 {
		fail("span_wait::max_bytes is %d; it must be from 0 (hold no spans) to 4294967296", c.SpanWait.MaxBytes)
	}
	return errors.Join(errs...)
}

func (c *Config) windowConfig() window.Config {
	w := window.DefaultConfig()
	w.Window, w.Hop = c.Window, c.Hop
	w.MaxUnits, w.MaxSuspects = c.MaxUnitsPerService, c.MaxSuspects
	return w
}
