// Package replay gives a recording to the real processor, in this process and
// as fast as it takes it.
package replay

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor"
	"github.com/perfscope/perfscope/testbed/agent"
	"github.com/perfscope/perfscope/testbed/recording"
)

// Options change nothing when they are zero.
type Options struct {
	// Adjust changes the processor's default configuration, which is the one
	// that config/agent.yaml has.
	Adjust func(*perfscopeprocessor.Config)
	// Pick takes out of a payload what the processor is not to be given.
	Pick func(plog.Logs)
	// Delivered sees what the processor is given and must not change it, Told
	// every anomaly when it is told. They are called side by side.
	Delivered func(plog.Logs)
	Told      func(agent.Anomaly)
	// Host is the collector's; nil for one without extensions.
	Host component.Host
	// Ended is called when all was delivered and the services are still known; its
	// error is that of Run.
	Ended func() error
}

// Run gives the anomalies of a recording in the order they are told. Seen of
// each is the newest event's time when it was. The result depends on the file
// and the options alone. With recording.ErrTruncated it is the result of what
// the file holds.
func Run(ctx context.Context, path string, o Options) ([]agent.Anomaly, error) {
	var told []agent.Anomaly
	var clock perfscopeprocessor.RecordTime
	sink, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		for _, a := range agent.FromLogs(ld, clock.Now()) {
			told = append(told, a)
			if o.Told != nil {
				o.Told(a)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	factory := perfscopeprocessor.NewFactory(perfscopeprocessor.WithRecordTime(&clock))
	cfg := factory.CreateDefaultConfig().(*perfscopeprocessor.Config)
	cfg.Output = perfscopeprocessor.OutputLogs // there are no spans
	if o.Adjust != nil {
		o.Adjust(cfg)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p, err := factory.CreateLogs(ctx, settings(factory), cfg, sink)
	if err != nil {
		return nil, err
	}
	host := o.Host
	if host == nil {
		host = componenttest.NewNopHost()
	}
	if err := p.Start(ctx, host); err != nil {
		return nil, err
	}
	err = recording.Read(path, func(ld plog.Logs) error {
		// The processor passes on what is not for it, anomalies of another
		// time among them.
		withoutOthers(ld)
		if o.Pick != nil {
			o.Pick(ld)
		}
		if o.Delivered != nil {
			o.Delivered(ld)
		}
		return p.ConsumeLogs(ctx, ld)
	})
	if o.Ended != nil && (err == nil || errors.Is(err, recording.ErrTruncated)) {
		err = errors.Join(err, o.Ended())
	}
	// All that was delivered is judged and told here, and nothing after.
	if end := p.Shutdown(ctx); end != nil {
		err = errors.Join(err, fmt.Errorf("the processor did not end: %w", end))
	}
	return told, err
}

func withoutOthers(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			sl.LogRecords().RemoveIf(func(rec plog.LogRecord) bool { return !tracelog.IsRecord(rec) })
		}
	}
}

// settings are those of a collector whose log has warnings only: records that
// could not be read, and defects.
func settings(f processor.Factory) processor.Settings {
	set := processortest.NewNopSettings(f.Type())
	console := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	set.Logger = zap.New(zapcore.NewCore(console, zapcore.Lock(os.Stderr), zapcore.WarnLevel))
	return set
}
