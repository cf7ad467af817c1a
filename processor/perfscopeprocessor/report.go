package perfscopeprocessor

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/explain"
	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/perfscopeprocessor/internal/metadata"
)

// report takes what the analysis found of a service. A service has one open
// anomaly at a time: another one clears it, and what was cleared meanwhile is
// raised again.
func (e *engine) report(s *service, a *inference.Anomaly) {
	a.ID, a.Summary = anomalyID(s.key, a.ID), explain.For(s.name, a.Summary)
	if a.State == inference.StateCleared {
		if s.open != nil && s.open.ID == a.ID {
			e.victims.leave(s)
			e.setOpen(s, nil)
			e.writeCleared(s, a)
		}
		return
	}
	if s.open != nil && s.open.ID != a.ID {
		e.clear(s, inference.EndRecovered)
	}
	a.State = inference.StateUpdated
	if s.open == nil {
		a.State, a.Repeat = inference.StateRaised, false
	}
	teller, grown := e.victims.join(s, a)
	a.Victims = e.victims.of(s)
	a.Summary = explain.Victims(a.Summary, a.Victims)
	e.setOpen(s, a)
	e.write(s, a)
	if grown && teller.open != nil {
		e.tellVictims(teller)
	}
}

// tellVictims tells once more of an anomaly that has hit another service, too.
func (e *engine) tellVictims(s *service) {
	again := *s.open
	again.State, again.Repeat = inference.StateUpdated, false
	again.Victims = e.victims.of(s)
	again.Summary = explain.Victims(again.Summary, again.Victims)
	e.setOpen(s, &again)
	e.write(s, &again)
}

// withheld reports whether another service's record tells of an anomaly. Its own record
// comes when that one is over, and it is not.
func (e *engine) withheld(s *service, a *inference.Anomaly) bool {
	if a.State == inference.StateCleared {
		return !s.recorded
	}
	if t := e.victims[s.lacks]; t != nil && t.teller != s && !s.recorded {
		return true
	}
	if !s.recorded {
		a.State, a.Repeat = inference.StateRaised, false
	}
	s.recorded = true
	return false
}

// clear ends the anomaly of a service, if there is one, with what is known of it.
func (e *engine) clear(s *service, why inference.Ending) {
	if s.open == nil {
		return
	}
	e.victims.leave(s)
	cleared := s.open.Clear(s.open.End, s.latest, why)
	e.setOpen(s, nil)
	e.writeCleared(s, &cleared)
}

func (e *engine) writeCleared(s *service, a *inference.Anomaly) {
	a.Summary = explain.Over(a.Summary, time.Duration(a.Cleared-a.Onset), a.Lost, string(a.Ending))
	e.write(s, a)
	s.recorded = false
}

func (e *engine) setOpen(s *service, a *inference.Anomaly) {
	was := s.open != nil
	if was != (a != nil) {
		s.lasting.dirty = true
	}
	s.open = nil
	if a != nil {
		kept := *a
		kept.Units = nil
		s.open = &kept
	}
	switch is := s.open != nil; {
	case is && !was:
		e.open.add(s.name, 0, 1)
		e.flight.opened(s)
	case was && !is:
		e.flight.over(s)
		e.open.add(s.name, 0, -1)
	}
}

// write enters an anomaly in the ledger and sends its log record.
func (e *engine) write(s *service, a *inference.Anomaly) {
	ctx := context.Background()
	s.remember(a)
	e.telemetry.ProcessorPerfscopeAnomalies.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(
		attribute.String("kind", string(a.Kind)), attribute.String("state", string(a.State)))))
	verdict := correlate.Verdict[anomalylog.Short]{
		Episode: a.ID, Start: a.Start, End: a.End, Score: a.Score, Units: a.Units, Value: anomalylog.ShortOf(a),
	}
	if url := e.url(s, a.ID); len(url) <= anomalylog.MaxURL {
		verdict.Value.URL = url
	}
	if a.State != inference.StateCleared {
		e.spans.Ledger.Add(s.key, verdict)
	}
	if !e.cfg.Output.ToLogs() {
		return
	}
	result := "repeat"
	if e.withheld(s, a) {
		result = "victim"
	} else if !a.Repeat || e.cfg.EveryHop {
		result = e.sendAnomaly(s, a, verdict)
	}
	e.telemetry.ProcessorPerfscopeAnomalyRecords.Add(ctx, 1, withResult(result))
}

func (e *engine) sendAnomaly(s *service, a *inference.Anomaly, verdict correlate.Verdict[anomalylog.Short]) (result string) {
	var ref *anomalylog.SpanRef
	if a.State != inference.StateCleared {
		ref = e.spans.Exemplar(s.key, verdict, e.clock())
	}
	if q, known := e.spans.Ledger.RequestIn(s.key, &verdict); ref == nil && known {
		// A service without spans of its own: its caller's.
		ref = &anomalylog.SpanRef{Trace: q.Trace, Span: q.Parent}
	}
	attrs := pcommon.NewMap()
	anomalylog.Describe(a, attrs)
	anomalylog.Link(e.url(s, a.ID), attrs)
	ld, resource := anomalylog.Record(e.scope(), a, attrs, ref)
	s.processes.common(resource)
	return string(e.send(s.sink, s.name, ld))
}

func (e *engine) scope() anomalylog.Scope {
	return anomalylog.Scope{Name: metadata.ScopeName, Version: e.version}
}

// anomalyID tells the anomalies of all services apart; the analysis of one
// knows nothing of the others, and what slows two down begins in the same hop.
// It depends on the records only: a replay gives the same.
func anomalyID(service, id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(service + "\x00" + id)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}
