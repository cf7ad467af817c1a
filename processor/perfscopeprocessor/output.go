package perfscopeprocessor

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/suspect"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

// eventAnomaly is the name of an anomaly as a log record and as a span event.
const eventAnomaly = "perfscope.anomaly"

// maxThreadsListed bounds the thread ids in one anomaly.
const maxThreadsListed = 64

// Attributes of an anomaly. Both forms carry all of them, so that a bridge
// either way loses nothing.
const (
	attrID         = "perfscope.anomaly.id"
	attrKind       = "perfscope.anomaly.kind"
	attrScore      = "perfscope.anomaly.score"
	attrPattern    = "perfscope.anomaly.pattern"
	attrImpact     = "perfscope.anomaly.impact"
	attrWarmup     = "perfscope.anomaly.warmup"
	attrSummary    = "perfscope.anomaly.summary"
	attrRepeat     = "perfscope.anomaly.repeat"
	attrStart      = "perfscope.anomaly.start"      // RFC 3339
	attrEnd        = "perfscope.anomaly.end"        // RFC 3339
	attrDuration   = "perfscope.anomaly.duration"   // s, of this hop
	attrSinceOnset = "perfscope.anomaly.age"        // s, from the first abnormal hop to the end of this one
	attrFirst      = "perfscope.anomaly.first_seen" // RFC 3339
	attrLast       = "perfscope.anomaly.last_seen"  // RFC 3339
	attrSuspects   = "perfscope.suspects"
	attrSuspect    = "perfscope.suspect.score"
	attrEvidence   = "perfscope.suspect.evidence"
	attrScope      = "perfscope.search_scope"
	attrPath       = "perfscope.path"
	attrOrder      = "perfscope.order"
	attrThreads    = "perfscope.threads"
	attrDeviations = "perfscope.deviations"
	attrModule     = "perfscope.module"
	attrFunction   = "code.function.name"
	attrFile       = "code.file.path"
	attrLine       = "code.line.number"
)

// describe writes an anomaly as attributes.
func describe(a *suspect.Anomaly, dst pcommon.Map) {
	dst.EnsureCapacity(24)
	put := func(key, value string) {
		if value != "" {
			dst.PutStr(key, utf8(value))
		}
	}
	put(attrID, a.ID)
	put(attrKind, string(a.Kind))
	dst.PutDouble(attrScore, a.Score)
	dst.PutDouble(attrImpact, a.Impact)
	put(attrPattern, a.Pattern)
	if a.Warmup {
		dst.PutBool(attrWarmup, true)
	}
	put(attrSummary, a.Summary)
	dst.PutStr(attrStart, timestamp(a.Start))
	dst.PutStr(attrEnd, timestamp(a.End))
	dst.PutDouble(attrDuration, seconds(a.End-a.Start))
	if first, last, ok := bounds(a.Units); ok {
		dst.PutStr(attrFirst, timestamp(first))
		dst.PutStr(attrLast, timestamp(last))
	}
	if a.Onset != 0 {
		dst.PutDouble(attrSinceOnset, seconds(a.End-a.Onset))
	}
	// The first suspect also flat: most backends search no nested values.
	if len(a.Suspects) > 0 {
		describeFunction(&a.Suspects[0], dst)
		dst.PutDouble(attrSuspect, a.Suspects[0].Score)
		list := dst.PutEmptySlice(attrSuspects)
		list.EnsureCapacity(len(a.Suspects))
		for i := range a.Suspects {
			s := &a.Suspects[i]
			m := list.AppendEmpty().SetEmptyMap()
			describeFunction(s, m)
			m.PutDouble(attrSuspect, s.Score)
			evidence := m.PutEmptySlice(attrEvidence)
			for _, e := range s.Evidence {
				evidence.AppendEmpty().SetStr(e)
			}
		}
	}
	if a.Scope > 0 {
		dst.PutDouble(attrScope, a.Scope)
	}
	describeNames(attrPath, a.Path, dst)
	describeNames(attrOrder, a.Order, dst)
	describeThreads(a.Units, dst)
	if len(a.Deviations) > 0 {
		list := dst.PutEmptySlice(attrDeviations)
		for i := range a.Deviations {
			describeDeviation(&a.Deviations[i], list.AppendEmpty().SetEmptyMap())
		}
	}
}

func describeNames(key string, names []string, dst pcommon.Map) {
	if len(names) == 0 {
		return
	}
	list := dst.PutEmptySlice(key)
	for _, n := range names {
		list.AppendEmpty().SetStr(utf8(n))
	}
}

func describeFunction(s *suspect.Suspect, dst pcommon.Map) {
	dst.PutStr(attrFunction, utf8(s.Function))
	if s.Module != "" {
		dst.PutStr(attrModule, utf8(s.Module))
	}
	if s.File != "" {
		dst.PutStr(attrFile, utf8(s.File))
		dst.PutInt(attrLine, int64(s.Line))
	}
}

// bounds is when the first of the abnormal stretches begins and the last ends.
func bounds(units []suspect.Span) (first, last int64, ok bool) {
	for i, u := range units {
		if i == 0 {
			first, last = u.Start, u.End
		}
		first, last = min(first, u.Start), max(last, u.End)
	}
	return first, last, len(units) > 0
}

func describeThreads(units []suspect.Span, dst pcommon.Map) {
	if len(units) == 0 {
		return
	}
	listed := map[int32]struct{}{}
	threads := dst.PutEmptySlice(attrThreads)
	for _, u := range units {
		if _, there := listed[u.ThreadID]; there {
			continue
		}
		if len(listed) == maxThreadsListed {
			return
		}
		listed[u.ThreadID] = struct{}{}
		threads.AppendEmpty().SetInt(int64(u.ThreadID))
	}
}

func describeDeviation(d *suspect.Deviation, dst pcommon.Map) {
	dst.PutStr("perfscope.syscall.name", utf8(d.Call))
	if d.Error != "" {
		dst.PutStr("error.type", utf8(d.Error))
	}
	figures := func(key string, f suspect.Figures) {
		m := dst.PutEmptyMap(key)
		m.PutDouble("rate", f.RatePerSecond)
		m.PutDouble("mean_duration", f.MeanSeconds)
		m.PutDouble("error_share", f.ErrorShare)
	}
	figures("normal", d.Normal)
	figures("abnormal", d.Abnormal)
}

// spanRef names a span an anomaly is tied to.
type spanRef struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// warning makes a payload of one record, about the time between two instants;
// resource and record are to be filled.
func warning(event string, start, end int64, version string) (ld plog.Logs, resource pcommon.Map, rec plog.LogRecord) {
	ld = plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(metadata.ScopeName)
	sl.Scope().SetVersion(version)
	rec = sl.LogRecords().AppendEmpty()
	rec.SetEventName(event)
	rec.SetTimestamp(pcommon.Timestamp(start))
	rec.SetObservedTimestamp(pcommon.Timestamp(end))
	rec.SetSeverityNumber(plog.SeverityNumberWarn)
	rec.SetSeverityText("WARN")
	return ld, rl.Resource().Attributes(), rec
}

// anomalyLogs makes the log record of an anomaly with its resource.
func anomalyLogs(a *suspect.Anomaly, attrs pcommon.Map, p *processes, ref *spanRef, version string) plog.Logs {
	// The events' time, not the wall's: a recorded file gives the same output.
	ld, resource, rec := warning(eventAnomaly, a.Start, a.End, version)
	p.common(resource)
	attrs.CopyTo(rec.Attributes())
	if a.Repeat {
		rec.Attributes().PutBool(attrRepeat, true)
		rec.SetSeverityNumber(plog.SeverityNumberDebug)
		rec.SetSeverityText("DEBUG")
	}
	if a.Warmup {
		rec.SetSeverityNumber(plog.SeverityNumberInfo)
		rec.SetSeverityText("INFO")
	}
	rec.Body().SetStr(utf8(a.Summary))
	if ref != nil {
		rec.SetTraceID(ref.trace)
		rec.SetSpanID(ref.span)
	}
	return ld
}

func timestamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }

// utf8 makes any symbol's bytes something protobuf can carry.
func utf8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
