package anomalylog

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Scope is who writes a record: the instrumentation scope of a component.
type Scope struct{ Name, Version string }

// SpanRef names a span an anomaly is tied to.
type SpanRef struct {
	Trace pcommon.TraceID
	Span  pcommon.SpanID
}

// Warning makes a payload of one record, about the time between two instants;
// resource and record are to be filled.
func Warning(scope Scope, event string, start, end int64) (ld plog.Logs, resource pcommon.Map, rec plog.LogRecord) {
	ld = plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scope.Name)
	sl.Scope().SetVersion(scope.Version)
	rec = sl.LogRecords().AppendEmpty()
	rec.SetEventName(event)
	rec.SetTimestamp(pcommon.Timestamp(start))
	rec.SetObservedTimestamp(pcommon.Timestamp(end))
	rec.SetSeverityNumber(plog.SeverityNumberWarn)
	rec.SetSeverityText("WARN")
	return ld, rl.Resource().Attributes(), rec
}

// Record makes the log record of an anomaly; the resource is to be filled.
func Record(scope Scope, a *inference.Anomaly, attrs pcommon.Map, ref *SpanRef) (ld plog.Logs, resource pcommon.Map) {
	// The events' time, not the wall's: a recorded file gives the same output.
	ld, resource, rec := Warning(scope, Event, a.Start, a.End)
	attrs.CopyTo(rec.Attributes())
	if a.Warmup || a.State == inference.StateCleared {
		rec.SetSeverityNumber(plog.SeverityNumberInfo)
		rec.SetSeverityText("INFO")
	}
	if a.Repeat {
		rec.Attributes().PutBool(AttrRepeat, true)
		rec.SetSeverityNumber(plog.SeverityNumberDebug)
		rec.SetSeverityText("DEBUG")
	}
	rec.Body().SetStr(UTF8(a.Summary))
	if ref != nil {
		rec.SetTraceID(ref.Trace)
		rec.SetSpanID(ref.Span)
	}
	return ld, resource
}

// Timestamp writes an instant, in nanoseconds since the Unix epoch, as RFC 3339.
func Timestamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// UTF8 makes any symbol's bytes something protobuf can carry.
func UTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
