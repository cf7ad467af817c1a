package perfscopeprocessor

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/perfscope/perfscope/pkg/inference"
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
	// MaxBytes bounds the memory of all of them together (estimated); beyond it the
	// largest is dropped.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// MaxUnitsPerService bounds the execution units held per service instance.
	MaxUnitsPerService int `mapstructure:"max_units_per_service"`
	// MaxSuspects bounds the functions listed in one anomaly.
	MaxSuspects int `mapstructure:"max_suspects"`
	// FalseAlarms is how many are accepted of one service.
	FalseAlarms Rate `mapstructure:"false_alarms"`
	// SlowRequests has the slow requests of a kind compared with its fast ones.
	SlowRequests bool `mapstructure:"slow_requests"`
	// Signatures tell functions by their calls, where there are no stacks.
	Signatures SignaturesConfig `mapstructure:"signatures"`
	// Memory is what is known of services across restarts.
	Memory MemoryConfig `mapstructure:"memory"`
	// FlightRecorder keeps the last records, for the page to hand out.
	FlightRecorder FlightRecorderConfig `mapstructure:"flight_recorder"`
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

// MemoryConfig says how what is known of services lasts.
type MemoryConfig struct {
	// Directory is where it is kept, in files of its own.
	Directory string `mapstructure:"directory"`
	// Storage is the collector's storage extension that keeps it instead. Without either
	// it lasts as long as the collector.
	Storage *component.ID `mapstructure:"storage"`
	// MaxBytes bounds what is kept of all services together; what was not written for
	// longest goes first.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// ExpectedFile names anomalies that were expected, one ID a line.
	ExpectedFile string `mapstructure:"expected_file"`

	_ struct{}
}

// FlightRecorderConfig bounds what is recorded in memory.
type FlightRecorderConfig struct {
	// MaxBytes bounds the last records of all services together, compressed; zero
	// records nothing.
	MaxBytes int64 `mapstructure:"max_bytes"`

	_ struct{}
}

func createDefaultConfig() component.Config {
	w := inference.DefaultConfig()
	return &Config{
		Window:             w.Window,
		Hop:                w.Hop,
		Output:             OutputBoth,
		MaxServices:        256,
		MaxBytes:           256 << 20,
		MaxUnitsPerService: w.MaxUnits,
		MaxSuspects:        w.MaxSuspects,
		FalseAlarms:        defaultFalseAlarms,
		Memory:             MemoryConfig{MaxBytes: 256 << 20},
		SlowRequests:       w.SlowRequests,
		SpanWait:           spanhold.DefaultConfig(10 * time.Second),
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"hop", c.Hop}, {"window", c.Window}, {"span_wait::timeout", c.SpanWait.Timeout}} {
		if d.value > 0 && d.value < time.Microsecond {
			// A number alone is read as nanoseconds.
			fail("%s is %d, which has no unit; write %ds", d.key, d.value, d.value)
		}
	}
	if c.Hop < time.Second || c.Hop > time.Minute {
		fail("hop is %s; it must be from 1s to 1m", c.Hop)
	}
	if c.Window < 12*c.Hop || c.Window > time.Hour {
		fail("window is %s; it must be from 12 times hop (%s) to 1h", c.Window, 12*c.Hop)
	}
	errs = append(errs, c.Output.Check()...)
	if c.MaxServices < 1 || c.MaxServices > 100_000 {
		fail("max_services is %d; it must be from 1 to 100000", c.MaxServices)
	}
	if c.MaxBytes < 1<<20 || c.MaxBytes > 1<<40 {
		fail("max_bytes is %d; it must be from 1048576 (1 MiB) to 1099511627776", c.MaxBytes)
	}
	if c.MaxUnitsPerService < 100 || c.MaxUnitsPerService > 10_000_000 {
		fail("max_units_per_service is %d; it must be from 100 to 10000000", c.MaxUnitsPerService)
	} else if c.Hop > 0 && c.MaxUnitsPerService < int(c.Window/c.Hop) {
		fail("max_units_per_service is %d; it must be at least window divided by hop (%d)", c.MaxUnitsPerService, int(c.Window/c.Hop))
	}
	if c.MaxSuspects < 1 || c.MaxSuspects > 100 {
		fail("max_suspects is %d; it must be from 1 to 100", c.MaxSuspects)
	}
	if _, err := c.FalseAlarms.perDay(); err != nil {
		fail("false_alarms is %q; %w", c.FalseAlarms, err)
	}
	for _, pattern := range c.Signatures.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			fail("signatures::files has %q; it must be a path or a pattern of paths, such as /var/lib/perfscope/signatures/*.signatures", pattern)
		}
	}
	if c.Signatures.Storage != nil && !c.Signatures.Learn {
		fail("signatures::storage is set, and signatures::learn is not; there is nothing to store without it")
	}
	if c.Memory.MaxBytes < inference.MaxMemory || c.Memory.MaxBytes > 1<<40 {
		fail("memory::max_bytes is %d; it must be from %d (what one service may take) to 1099511627776", c.Memory.MaxBytes, inference.MaxMemory)
	}
	if c.Memory.Directory != "" && c.Memory.Storage != nil {
		fail("memory::directory and memory::storage are both set; what is known of services is kept in one place")
	}
	if b := c.FlightRecorder.MaxBytes; b != 0 && (b < 1<<20 || b > 1<<30) {
		fail("flight_recorder::max_bytes is %d; it must be 0 (nothing is recorded), or from 1048576 (1 MiB) to 1073741824", b)
	}
	errs = append(errs, c.SpanWait.Check()...)
	return errors.Join(errs...)
}

func (c *Config) windowConfig() inference.Config {
	w := inference.DefaultConfig()
	w.Window, w.Hop = c.Window, c.Hop
	w.SlowRequests = c.SlowRequests
	w.MaxUnits, w.MaxSuspects = c.MaxUnitsPerService, c.MaxSuspects
	w.FalseAlarms, _ = c.FalseAlarms.perDay() // validated
	return w
}
