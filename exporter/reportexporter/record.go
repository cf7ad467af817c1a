package reportexporter

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/internal/report"
)

// The events that are shown; docs/semantic-conventions.md says what they have.
const (
	eventAnomaly  = "perfscope.anomaly"
	eventIncident = "perfscope.incident"
	eventRelease  = "perfscope.release"
	eventTail     = "perfscope.tail"
)

// maxListed bounds the entries taken of a list of a record.
const maxListed = 100

// reader reads attributes that anybody may have written.
type reader struct{ pcommon.Map }

func (r reader) text(key string) string {
	v, ok := r.Get(key)
	if !ok {
		return ""
	}
	return cleantext.Clean(v.AsString(), cleantext.MaxPath)
}

func (r reader) number(key string) float64 {
	switch v, ok := r.Get(key); {
	case !ok:
		return 0
	case v.Type() == pcommon.ValueTypeInt:
		return float64(v.Int())
	default:
		return v.Double()
	}
}

func (r reader) instant(key string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, r.text(key)) // zero when it is none
	return t
}

func (r reader) each(key string, do func(pcommon.Value)) {
	v, ok := r.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		return
	}
	for i, e := range v.Slice().All() {
		if i == maxListed {
			return
		}
		do(e)
	}
}

func (r reader) eachMap(key string, do func(reader)) {
	r.each(key, func(v pcommon.Value) {
		if v.Type() == pcommon.ValueTypeMap {
			do(reader{v.Map()})
		}
	})
}

func (r reader) texts(key string) (list []string) {
	r.each(key, func(v pcommon.Value) { list = append(list, cleantext.Clean(v.AsString(), cleantext.MaxFunction)) })
	return list
}

func (r reader) under(key string) reader {
	if v, ok := r.Get(key); ok && v.Type() == pcommon.ValueTypeMap {
		return reader{v.Map()}
	}
	return reader{pcommon.NewMap()}
}

// serviceOf reads whose a record is.
func serviceOf(attrs pcommon.Map) evidence.Service {
	r := reader{attrs}
	id := correlate.Identity{
		Name: r.raw("service.name"), Namespace: r.raw("service.namespace"), Instance: r.raw("service.instance.id"),
		HostID: r.raw("host.id"), HostName: r.raw("host.name"),
	}
	return evidence.Service{
		ID: evidence.ID(id.Name, id.Instance, id.Key()), Name: r.text("service.name"), Instance: r.text("service.instance.id"),
		Host: r.text("host.name"), PID: int64(r.number("process.pid")), Executable: r.text("process.executable.name"), State: evidence.Judged,
	}
}

// raw is a text as it is, to compare with, not to show.
func (r reader) raw(key string) string {
	if v, ok := r.Get(key); ok {
		return v.AsString()
	}
	return ""
}

// anomalyOf reads an anomaly of its log record.
func anomalyOf(rec plog.LogRecord) evidence.Anomaly {
	r := reader{rec.Attributes()}
	a := evidence.Anomaly{
		ID: r.text("perfscope.anomaly.id"), State: r.text("perfscope.anomaly.state"), Ending: r.text("perfscope.anomaly.ending"),
		Sentence: cleantext.Clean(rec.Body().AsString(), cleantext.MaxPath), Kind: r.text("perfscope.anomaly.kind"), Pattern: r.text("perfscope.anomaly.pattern"),
		Onset: r.instant("perfscope.anomaly.onset"), End: r.instant("perfscope.anomaly.end"),
		Score: r.number("perfscope.anomaly.score"), Confidence: r.number("perfscope.anomaly.confidence"),
		Impact: r.number("perfscope.anomaly.impact"), Lost: r.number("perfscope.anomaly.time_lost"),
		Warmup: r.text("perfscope.anomaly.warmup") == "true", URL: r.text("perfscope.anomaly.url"),
		Path: r.texts("perfscope.path"), Order: r.texts("perfscope.order"),
	}
	a.Hit = r.texts("perfscope.hit")
	r.eachMap("perfscope.anomaly.causes", func(c reader) {
		a.Causes = append(a.Causes, evidence.Cause{
			Kind: c.text("perfscope.cause.kind"), Share: c.number("perfscope.cause.share"),
			Resource: c.text("perfscope.cause.resource"), Users: c.texts("perfscope.cause.users"),
		})
	})
	r.eachMap("perfscope.suspects", func(s reader) {
		a.Suspects = append(a.Suspects, evidence.Suspect{
			Function: s.text("code.function.name"), Module: s.text("perfscope.module"), File: s.text("code.file.path"),
			Line: int32(s.number("code.line.number")), Score: s.number("perfscope.suspect.score"), Evidence: s.texts("perfscope.suspect.evidence"),
		})
	})
	use := func(u reader) evidence.Use {
		return evidence.Use{Rate: u.number("rate"), Mean: u.number("mean_duration")}
	}
	r.eachMap("perfscope.deviations", func(d reader) {
		a.Deviations = append(a.Deviations, evidence.Deviation{
			Call: d.text("perfscope.syscall.name"), Error: d.text("error.type"), Normal: use(d.under("normal")), Now: use(d.under("abnormal")),
		})
	})
	return a
}

// incidentOf reads an incident of its log record.
func incidentOf(rec plog.LogRecord) report.Incident {
	r := reader{rec.Attributes()}
	in := report.Incident{
		ID: r.text("perfscope.incident.id"), State: r.text("perfscope.incident.state"), Sentence: cleantext.Clean(rec.Body().AsString(), cleantext.MaxPath),
		Start: r.instant("perfscope.incident.start"), End: r.instant("perfscope.incident.end"),
		Traces: int64(r.number("perfscope.incident.traces")),
	}
	if t := rec.TraceID(); !t.IsEmpty() {
		in.Trace = t.String()
	}
	r.eachMap("perfscope.causes", func(c reader) {
		in.Causes = append(in.Causes, report.Cause{
			Service: c.text("perfscope.cause.service"), Function: c.text("code.function.name"), Module: c.text("perfscope.module"),
			Role: c.text("perfscope.cause.role"), Pattern: c.text("perfscope.anomaly.pattern"), Anomaly: c.text("perfscope.anomaly.id"),
			Score: c.number("perfscope.cause.score"), Instances: int64(c.number("perfscope.cause.instances")),
		})
	})
	return in
}
