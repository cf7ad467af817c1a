package signatureexporter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/exporter/signatureexporter/internal/metadata"
	"github.com/perfscope/perfscope/internal/signature"
	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// extraction mines every program whose records come by.
type extraction struct {
	cfg       *Config
	log       *zap.Logger
	telemetry *metadata.TelemetryBuilder
	host      component.Host
	stop      chan struct{}
	stopped   sync.WaitGroup

	mu       sync.Mutex
	programs []*program
	// told has what was warned of before, once each.
	told map[string]bool
}

func newExtraction(cfg *Config, set component.TelemetrySettings) (*extraction, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	e := &extraction{cfg: cfg, log: set.Logger, telemetry: telemetry, stop: make(chan struct{}), told: map[string]bool{}}
	err = errors.Join(
		telemetry.RegisterExporterSignatureFunctionsCallback(e.gauge(func(p *program) int64 { return int64(p.functions) })),
		telemetry.RegisterExporterSignatureMemoryCallback(e.gauge(func(p *program) int64 { return p.miner.Progress().Bytes })),
		telemetry.RegisterExporterSignatureProgramsCallback(e.gauge(func(*program) int64 { return 1 })),
	)
	if err != nil {
		telemetry.Shutdown()
		return nil, err
	}
	return e, nil
}

// gauge sums a figure over the programs.
func (e *extraction) gauge(of func(*program) int64) metric.Int64Callback {
	return func(_ context.Context, o metric.Int64Observer) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		sum := int64(0)
		for _, p := range e.programs {
			sum += of(p)
		}
		o.Observe(sum)
		return nil
	}
}

func (e *extraction) start(_ context.Context, host component.Host) error {
	if err := writable(e.cfg.Directory); err != nil {
		return fmt.Errorf("directory: %s cannot be written to: %w", e.cfg.Directory, err)
	}
	e.host = host
	e.stopped.Go(func() {
		tick := time.NewTicker(e.cfg.Interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = e.write() // logged, and tried again
			case <-e.stop:
				return
			}
		}
	})
	return nil
}

// writable makes the directory and a file in it, which it removes: an hour under a
// test load must not end with nothing on disk.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the processor's account may be another
		return err
	}
	file, err := os.CreateTemp(dir, ".*.new")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// shutdown writes what was found to the end. It may come without a start.
func (e *extraction) shutdown(context.Context) error {
	close(e.stop)
	e.stopped.Wait()
	e.mu.Lock()
	for _, p := range e.programs {
		p.miner.Finish()
		p.fresh = true
	}
	e.mu.Unlock()
	err := e.write()
	e.telemetry.Shutdown()
	return err
}

// consume takes the records of any programs.
func (e *extraction) consume(ctx context.Context, ld plog.Logs) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, rl := range ld.ResourceLogs().All() {
		e.take(ctx, rl)
	}
	return nil
}

func (e *extraction) take(ctx context.Context, rl plog.ResourceLogs) {
	attrs := rl.Resource().Attributes()
	which := programOf(attrs)
	var errs []error
	for _, sl := range rl.ScopeLogs().All() {
		errs = append(errs, tracelog.Decode(sl.LogRecords(), tracelog.Handler{
			Arch: which.Arch,
			Batch: func(arch string, b *threadtrace.Batch) {
				of := which
				if of.Arch == "" {
					of.Arch = arch
				}
				if p := e.program(ctx, of); p != nil {
					p.take(ctx, e.telemetry, b)
				}
			},
		})...)
	}
	if len(errs) > 0 {
		e.telemetry.ExporterSignatureDecodeErrors.Add(ctx, int64(len(errs)))
		e.warnOnce("decode", "Syscall records could not be read and were left out; further ones are counted in exporter_signature_decode_errors.", zap.Error(errs[0]))
	}
}

func programOf(attrs pcommon.Map) signature.Program {
	return signature.ProgramOf(func(key string) string {
		if v, ok := attrs.Get(key); ok {
			return v.AsString()
		}
		return ""
	})
}

// program gives what is mined of a program, nil when it can't be.
func (e *extraction) program(ctx context.Context, which signature.Program) *program {
	for _, p := range e.programs {
		if p.Fits(which) == nil {
			return p
		}
	}
	refuse := func(reason, why string) *program {
		e.telemetry.ExporterSignatureRefused.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason))))
		e.warnOnce(reason+which.Executable, why, zap.String("process.executable.path", which.Executable))
		return nil
	}
	switch {
	case which.Executable == "" || which.Arch == "":
		return refuse("no_program", "Syscall records do not say which program they are of (process.executable.path, host.arch); no signatures are made of them.")
	case which.BuildID == "":
		return refuse("no_build_id", "A program has no build id; its signatures could not be told from those of another build. Link it with --build-id.")
	case len(e.programs) >= e.cfg.MaxPrograms:
		return refuse("max_programs", "More programs than max_programs are watched; no signatures are made of the others. Name fewer targets, or raise it.")
	}
	p := openProgram(e.cfg, which, e.log)
	e.programs = append(e.programs, p)
	return p
}

func (e *extraction) warnOnce(key, message string, fields ...zap.Field) {
	const most = 1000 // there are only so many reasons and programs
	if !e.told[key] && len(e.told) < most {
		e.told[key] = true
		e.log.Warn(message, fields...)
	}
}

// write brings the files up to date, and says how far it is.
func (e *extraction) write() error {
	e.mu.Lock()
	programs := slices.Clone(e.programs)
	e.mu.Unlock()
	var errs []error
	for _, p := range programs {
		// Those that deliver wait while one program is mined, not while it
		// is written.
		e.mu.Lock()
		if !p.fresh {
			e.mu.Unlock()
			continue
		}
		f, seen := p.mine(), p.seen
		e.mu.Unlock()
		err := p.save(f)
		if err != nil {
			e.telemetry.ExporterSignatureWriteErrors.Add(context.Background(), 1)
			e.log.Error("Signatures could not be written; the next interval tries again.", zap.Error(err))
			errs = append(errs, err)
			e.mu.Lock()
			p.fresh = true
			e.mu.Unlock()
			continue
		}
		p.report(e.log, f, seen)
	}
	err := errors.Join(errs...)
	if e.host != nil {
		status := componentstatus.NewEvent(componentstatus.StatusOK)
		if err != nil {
			status = componentstatus.NewRecoverableErrorEvent(err)
		}
		componentstatus.ReportStatus(e.host, status)
	}
	return err
}
