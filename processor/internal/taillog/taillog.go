package taillog

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// Evidence is where what an event says of a span was seen.
type Evidence string

const (
	// EvidenceOwn was seen while the request itself was under way.
	EvidenceOwn Evidence = "own"
	// EvidenceKind was seen in other slow requests of its kind.
	EvidenceKind Evidence = "kind"
)

// Record makes the log record of a tail, a warning when it has left its past; the resource is to be filled.
func Record(scope anomalylog.Scope, t *inference.Tail) (ld plog.Logs, resource pcommon.Map) {
	ld, resource, rec := anomalylog.Warning(scope, EventTail, t.Start, t.End)
	if t.Change == "" {
		rec.SetSeverityNumber(plog.SeverityNumberInfo)
		rec.SetSeverityText("INFO")
	}
	rec.Body().SetStr(anomalylog.UTF8(t.Summary))
	Describe(t, rec.Attributes())
	return ld, resource
}

// Describe writes a tail as the attributes of its log record.
func Describe(t *inference.Tail, dst pcommon.Map) {
	dst.EnsureCapacity(21)
	dst.PutStr(AttrKind, anomalylog.UTF8(t.Kind))
	source := "units"
	if t.Spans {
		source = "spans"
	}
	dst.PutStr(AttrSource, source)
	dst.PutDouble(AttrRequests, inference.Round(t.Requests))
	dst.PutDouble(AttrShare, t.Share)
	for _, d := range []struct {
		key  string
		took time.Duration
	}{{AttrThreshold, t.Threshold}, {AttrFast, t.Fast}, {AttrSlow, t.Slow}} {
		dst.PutDouble(d.key, d.took.Seconds())
	}
	measured := "response"
	if t.Served {
		measured = "service"
	}
	dst.PutStr(AttrTime, measured)
	dst.PutDouble(AttrExplained, t.Explained)
	dst.PutStr(AttrDifference, string(t.Difference))
	switch t.Change {
	case inference.TailChangeShare:
		dst.PutStr(AttrChange, string(t.Change))
		dst.PutDouble(AttrUsualShare, t.UsualShare)
	case inference.TailChangeLength:
		dst.PutStr(AttrChange, string(t.Change))
		dst.PutDouble(AttrUsualSlow, t.Usual.Seconds())
	}
	if t.Pattern != "" {
		dst.PutStr(AttrPattern, t.Pattern)
	}
	anomalylog.DescribeSuspects(t.Suspects, t.Path, t.Scope, dst)
}

// Slow is what a slow span is told.
type Slow struct {
	Kind, Sentence, Function, Pattern string
	Threshold                         time.Duration
	Explained                         float64
}

// SlowOf is the short form of a tail.
func SlowOf(t *inference.Tail) Slow {
	s := Slow{Kind: t.Kind, Sentence: anomalylog.UTF8(t.Summary), Pattern: t.Pattern, Threshold: t.Threshold, Explained: t.Explained}
	if len(t.Suspects) > 0 {
		s.Function = anomalylog.UTF8(t.Suspects[0].Function)
	}
	return s
}

// AppendEvent tells a span why it is slow. One that is told already is left as it is:
// false.
func AppendEvent(span ptrace.Span, s *Slow, seen Evidence) bool {
	for _, ev := range span.Events().All() {
		if ev.Name() == EventSlowRequest {
			return false
		}
	}
	ev := span.Events().AppendEmpty()
	ev.SetName(EventSlowRequest)
	ev.SetTimestamp(span.StartTimestamp())
	attrs := ev.Attributes()
	attrs.EnsureCapacity(7)
	// What a person reads comes first.
	attrs.PutStr(AttrSummary, s.Sentence)
	attrs.PutStr(anomalylog.AttrFunction, s.Function)
	if s.Pattern != "" {
		attrs.PutStr(AttrPattern, s.Pattern)
	}
	attrs.PutStr(AttrEvidence, string(seen))
	attrs.PutDouble(AttrExplained, s.Explained)
	attrs.PutDouble(AttrThreshold, s.Threshold.Seconds())
	anomalylog.Fit(ev, AttrSummary)
	return true
}
