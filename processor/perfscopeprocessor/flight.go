package perfscopeprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/perfscope/perfscope/internal/flightrecorder"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/processor/internal/logsink"
)

// recordedAfter is for how long a service is still recorded after its anomaly was reported:
// what led to it is kept while it lasts.
const recordedAfter = time.Minute

// flight records what the pipelines deliver. Nil records nothing.
type flight struct {
	recorder *flightrecorder.Recorder
	log      *zap.Logger
}

func newFlight(cfg FlightRecorderConfig, log *zap.Logger) (*flight, error) {
	if cfg.MaxBytes == 0 {
		return nil, nil //nolint:nilnil // it is off
	}
	r, err := flightrecorder.New(cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	return &flight{r, log}, nil
}

// add keeps the syscall records of a payload, and nothing else of it.
func (f *flight) add(ld plog.Logs, others int) {
	if f == nil {
		return
	}
	if others > 0 {
		ld = logsink.Without(ld, func(rec plog.LogRecord) bool { return !tracelog.IsRecord(rec) })
	}
	for _, rl := range ld.ResourceLogs().All() {
		one := ld
		if ld.ResourceLogs().Len() > 1 {
			one = plog.NewLogs()
			rl.CopyTo(one.ResourceLogs().AppendEmpty())
		}
		data, err := (&plog.ProtoMarshaler{}).MarshalLogs(one)
		if err != nil {
			f.log.Warn("Records are left out of the recording that the page offers.", zap.Error(err))
			continue
		}
		f.recorder.Add(identityOf(rl.Resource().Attributes()).Key(), newest(rl), data)
	}
}

func newest(rl plog.ResourceLogs) (at int64) {
	last := pcommon.Timestamp(0)
	for _, sl := range rl.ScopeLogs().All() {
		for _, rec := range sl.LogRecords().All() {
			last = max(last, rec.ObservedTimestamp())
		}
	}
	return int64(last) //nolint:gosec // an instant
}

// opened and over say that a service has an anomaly, and that it is over.
func (f *flight) opened(s *service) {
	if f != nil {
		f.recorder.Hold(s.key, s.latest+int64(recordedAfter))
	}
}

func (f *flight) over(s *service) {
	if f != nil {
		f.recorder.Resume(s.key)
	}
}

func (f *flight) forget(key string) {
	if f != nil {
		f.recorder.Forget(key)
	}
}

func (f *flight) of(key string) *flightrecorder.Recording {
	if f == nil {
		return nil
	}
	return f.recorder.Of(key)
}

func (f *flight) bytes() int64 {
	if f == nil {
		return 0
	}
	return f.recorder.Bytes()
}
