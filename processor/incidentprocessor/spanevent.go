package incidentprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// decorate writes a trace's ranking to a span of it: to the anomalies on it
// which part they have, to the trace's first span all of it.
func decorate(span ptrace.Span, r blame.Ranking) {
	for _, ev := range span.Events().All() {
		switch ev.Name() {
		case anomalylog.Event:
			decorateAnomaly(ev.Attributes(), r)
			anomalylog.Fit(ev, anomalylog.AttrSummary)
		case eventIncident:
			return // of another gateway
		}
	}
	if !span.ParentSpanID().IsEmpty() {
		return
	}
	ev := span.Events().AppendEmpty()
	ev.SetName(eventIncident)
	ev.SetTimestamp(span.StartTimestamp())
	ev.Attributes().PutStr(anomalylog.AttrSummary, say(r))
	describeRanking(r, ev.Attributes())
}

// decorateAnomaly writes the place of an anomaly's first inference.
func decorateAnomaly(attrs pcommon.Map, r blame.Ranking) {
	id := anomalylog.Text(attrs, anomalylog.AttrID)
	for i := range r {
		if p := &r[i]; slices.Contains(p.Anomalies, id) {
			attrs.PutStr(attrCauseRole, string(p.Role))
			attrs.PutInt(attrCauseRank, int64(i+1))
			attrs.PutDouble(attrCauseScore, inference.Round(p.Score))
			return
		}
	}
}
