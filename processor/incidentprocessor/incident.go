package incidentprocessor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
)

// eventIncident is the name of what is said across services, as a log record
// and as an event on the first span of a trace.
const eventIncident = "perfscope.incident"

// Attributes of an incident, and those that an anomaly's event gets by it.
const (
	attrCauses           = "perfscope.causes"
	attrCauseService     = "perfscope.cause.service"
	attrCauseScore       = "perfscope.cause.score"
	attrCauseRole        = "perfscope.cause.role"
	attrCauseRank        = "perfscope.cause.rank"
	attrCauseInstances   = "perfscope.cause.instances"
	attrIncidentID       = "perfscope.incident.id"
	attrIncidentState    = "perfscope.incident.state"
	attrIncidentStart    = "perfscope.incident.start"
	attrIncidentEnd      = "perfscope.incident.end"
	attrIncidentDuration = "perfscope.incident.duration"
	attrIncidentTraces   = "perfscope.incident.traces"
)

// incidentRecord makes the log record of an incident.
func incidentRecord(scope anomalylog.Scope, in *blame.Incident, of pcommon.Map) plog.Logs {
	ld, resource, rec := anomalylog.Warning(scope, eventIncident, in.Until.UnixNano(), in.Until.UnixNano())
	of.CopyTo(resource)
	rec.SetTraceID(in.Worst)
	sentence := say(in.Ranking)
	if in.State == blame.Cleared {
		rec.SetSeverityNumber(plog.SeverityNumberInfo)
		rec.SetSeverityText("INFO")
		sentence = fmt.Sprintf("Over after %s: %s", in.Until.Sub(in.Since).Round(time.Second), sentence)
	}
	rec.Body().SetStr(sentence)
	attrs := rec.Attributes()
	attrs.PutStr(attrIncidentID, in.ID)
	attrs.PutStr(attrIncidentState, string(in.State))
	attrs.PutStr(attrIncidentStart, anomalylog.Timestamp(in.Since.UnixNano()))
	attrs.PutStr(attrIncidentEnd, anomalylog.Timestamp(in.Until.UnixNano()))
	attrs.PutDouble(attrIncidentDuration, in.Until.Sub(in.Since).Seconds())
	attrs.PutInt(attrIncidentTraces, int64(in.Traces))
	describeRanking(in.Ranking, attrs)
	return ld
}

// describeRanking writes a ranking as attributes: the first cause flat, since
// most backends search no nested values, and all of them.
func describeRanking(r blame.Ranking, dst pcommon.Map) {
	describePair(&r[0], dst)
	list := dst.PutEmptySlice(attrCauses)
	for i := range r {
		p := &r[i]
		m := list.AppendEmpty().SetEmptyMap()
		describePair(p, m)
		m.PutStr(attrCauseRole, string(p.Role))
		m.PutStr(anomalylog.AttrID, p.Anomalies[0])
		m.PutInt(attrCauseInstances, int64(len(p.Anomalies)))
		if p.Pattern != "" {
			m.PutStr(anomalylog.AttrPattern, p.Pattern)
		}
	}
}

func describePair(p *blame.Pair, dst pcommon.Map) {
	dst.PutStr(attrCauseService, correlate.ServiceName(p.Service))
	if p.Function != "" {
		dst.PutStr(anomalylog.AttrFunction, p.Function)
	}
	if p.Module != "" {
		dst.PutStr(anomalylog.AttrModule, p.Module)
	}
	dst.PutDouble(attrCauseScore, inference.Round(p.Score))
}

// say makes one sentence of a ranking.
func say(r blame.Ranking) string {
	first := &r[0]
	name := correlate.ServiceName(first.Service)
	s := name + " is the first cause"
	if first.Function != "" {
		s = fmt.Sprintf("%s in %s is the first cause", first.Function, name)
	}
	if first.Pattern != "" {
		s += " (" + first.Pattern + ")"
	}
	if n := len(first.Anomalies); n > 1 {
		s += fmt.Sprintf(" in %d of its instances", n)
	}
	var victims []string
	for i := range r {
		if name := correlate.ServiceName(r[i].Service); r[i].Role == blame.Victim && !slices.Contains(victims, name) {
			victims = append(victims, name)
		}
	}
	if len(victims) > 0 {
		s += "; slow by waiting for it: " + strings.Join(victims, ", ")
	}
	return s + "."
}
