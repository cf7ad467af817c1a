package perfscopeprocessor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/suspect"
)

// eventIncident is the name of what is said across services, as a log record
// and as an event on the first span of a trace.
const eventIncident = "perfscope.incident"

// remindEvery is how often an incident that goes on is told again, like an
// anomaly.
const remindEvery = time.Minute

// Attributes of an incident, and those that an anomaly's event gets by it.
const (
	attrCauses        = "perfscope.causes"
	attrCauseService  = "perfscope.cause.service"
	attrCauseScore    = "perfscope.cause.score"
	attrCauseRole     = "perfscope.cause.role"
	attrCauseRank     = "perfscope.cause.rank"
	attrIncidentStart = "perfscope.incident.start"
	attrIncidentEnd   = "perfscope.incident.end"
	attrIncidentCount = "perfscope.incident.traces"
)

// incident is what is to blame over some time.
type incident struct {
	ranking    blame.Ranking
	resource   pcommon.Map
	start, end time.Time
	// traces counts those that were abnormal, worst is the one that lost most.
	traces int
	worst  pcommon.TraceID
}

// describeRanking writes a ranking as attributes.
func describeRanking(r blame.Ranking, dst pcommon.Map) {
	first := &r[0]
	dst.PutStr(attrCauseService, first.Service)
	dst.PutStr(attrFunction, first.Function)
	if first.Module != "" {
		dst.PutStr(attrModule, first.Module)
	}
	dst.PutDouble(attrCauseScore, suspect.Round(first.Score))
	dst.PutStr(attrSummary, say(r))
	list := dst.PutEmptySlice(attrCauses)
	for i := range r {
		p := &r[i]
		m := list.AppendEmpty().SetEmptyMap()
		m.PutStr(attrCauseService, p.Service)
		m.PutStr(attrFunction, p.Function)
		if p.Module != "" {
			m.PutStr(attrModule, p.Module)
		}
		m.PutDouble(attrCauseScore, suspect.Round(p.Score))
		m.PutStr(attrCauseRole, string(p.Role))
		m.PutStr(attrID, p.Anomaly)
		if p.Pattern != "" {
			m.PutStr(attrPattern, p.Pattern)
		}
	}
}

// say makes one sentence of a ranking.
func say(r blame.Ranking) string {
	first := &r[0]
	s := fmt.Sprintf("%s in %s is the first cause", first.Function, first.Service)
	if first.Pattern != "" {
		s += " (" + first.Pattern + ")"
	}
	var victims []string
	for i := range r {
		if r[i].Role == blame.Victim && !slices.Contains(victims, r[i].Service) {
			victims = append(victims, r[i].Service)
		}
	}
	if len(victims) > 0 {
		s += "; slow by waiting for it: " + strings.Join(victims, ", ")
	}
	return s + "."
}

// logs makes the log record of an incident.
func (in *incident) logs(version string) plog.Logs {
	ld, resource, rec := warning(eventIncident, in.start.UnixNano(), in.end.UnixNano(), version)
	in.resource.CopyTo(resource)
	rec.SetTraceID(in.worst)
	rec.Body().SetStr(say(in.ranking))
	describeRanking(in.ranking, rec.Attributes())
	rec.Attributes().PutStr(attrIncidentStart, timestamp(in.start.UnixNano()))
	rec.Attributes().PutStr(attrIncidentEnd, timestamp(in.end.UnixNano()))
	rec.Attributes().PutInt(attrIncidentCount, int64(in.traces))
	return ld
}

// decorate writes a trace's ranking to a span of it: to the anomalies on it
// which part they have, to the trace's first span all of it.
func decorate(span ptrace.Span, service string, r blame.Ranking) {
	for _, ev := range span.Events().All() {
		switch ev.Name() {
		case eventAnomaly:
			decorateAnomaly(ev.Attributes(), service, r)
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
	describeRanking(r, ev.Attributes())
}

// decorateAnomaly writes the place of an anomaly's first suspect.
func decorateAnomaly(attrs pcommon.Map, service string, r blame.Ranking) {
	if peer := textOf(attrs, attrPeerService); peer != "" {
		service = peer
	}
	id := textOf(attrs, attrID)
	for i := range r {
		if p := &r[i]; p.Service == service && p.Anomaly == id {
			attrs.PutStr(attrCauseRole, string(p.Role))
			attrs.PutInt(attrCauseRank, int64(i+1))
			attrs.PutDouble(attrCauseScore, suspect.Round(p.Score))
			return
		}
	}
}
