package market

import (
	"testing"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
)

var on = time.Unix(1_700_000_000, 0)

// spanOf is a span of a service that starts some milliseconds after the fault.
func spanOf(service, trace, name string, from, to int, attributes map[string]any, anomalies ...agent.SpanAnomaly) agent.Span {
	list := func(m map[string]any) (out []any) {
		for key, v := range m {
			out = append(out, map[string]any{"key": key, "value": v})
		}
		return out
	}
	at := func(ms int) time.Time { return on.Add(time.Duration(ms) * time.Millisecond) }
	return agent.Span{
		TraceID: trace, Start: at(from), End: at(to), Anomalies: anomalies,
		Content: map[string]any{
			"resource": map[string]any{"attributes": list(map[string]any{"service.name": map[string]any{"stringValue": service}})},
			"span":     map[string]any{"name": name, "attributes": list(attributes)},
		},
	}
}

var (
	faulty = map[string]any{"testbed.faulty": map[string]any{"boolValue": true}}
	query  = map[string]any{"db.system": map[string]any{"stringValue": "redis"}}
	own    = agent.SpanAnomaly{}
	peer   = agent.SpanAnomaly{Peer: "redis"}
)

func TestJudgeAService(t *testing.T) {
	spans := []agent.Span{
		spanOf("front", "told", "GET", 0, 10, faulty, own),
		spanOf("front", "missed", "GET", 0, 10, faulty),
		spanOf("front", "healthy", "GET", 0, 10, nil),
		spanOf("front", "wrong", "GET", 0, 10, nil, own),
		spanOf("front", "long after", "GET", 60_000, 60_010, faulty, own),
		// An anomaly of another service does not tell that the front is slow.
		spanOf("front", "of another", "GET", 0, 10, faulty, peer),
	}
	spans[0].Causes = []agent.Cause{{Service: "front", Function: "f"}, {Service: "redis", Function: "g"}}
	w := Window{Fault: Fault{Name: "x", Service: "front", Truth: []string{"f"}}, On: on, Off: on.Add(20 * time.Second)}
	row := Judge([]Window{w}, spans, []agent.Incident{
		{Start: on, End: on.Add(time.Second), Causes: []agent.Cause{{Service: "redis", Function: "f"}, {Service: "front", Function: "f"}}, Sentence: "first"},
		{Start: on.Add(time.Hour), End: on.Add(time.Hour + time.Second), Sentence: "of another time"},
	})[0]
	if row.Affected != 3 || row.Recall != 0.333 || row.Annotated != 3 || row.Precision != 0.666 {
		t.Errorf("%+v", row)
	}
	if row.Rank != 2 || row.Said != "first" || row.FirstShare != 1 || row.ClientSpanRecall != nil {
		t.Errorf("%+v", row)
	}
}

func TestJudgeADatabase(t *testing.T) {
	w := Window{
		Fault: Fault{Name: "x", Service: "redis", Truth: []string{"f"}, Database: true}, On: on, Off: on.Add(20 * time.Second),
		Busy: []stretch{{on.Add(5 * time.Millisecond), on.Add(50 * time.Millisecond)}},
	}
	row := Judge([]Window{w}, []agent.Span{
		spanOf("stock", "told", "hincrby", 4, 51, query, peer),
		spanOf("stock", "missed", "hincrby", 20, 51, query),
		spanOf("stock", "own anomaly", "hincrby", 20, 51, query, own),
		spanOf("stock", "slipped through", "hincrby", 49, 60, query, peer),
		spanOf("stock", "no query", "GET", 0, 60, nil),
	}, nil)[0]
	if row.Affected != 3 || row.Recall != 0.333 || row.Annotated != 3 || row.Precision != 0.666 || *row.ClientSpanRecall != row.Recall {
		t.Errorf("%+v", row)
	}
	w.Busy = nil
	w.Fault.Service = "postgres"
	query := map[string]any{"db.system.name": map[string]any{"stringValue": "postgresql"}}
	row = Judge([]Window{w}, []agent.Span{
		spanOf("stock", "a", "pg.query:SELECT", 0, 1, query, agent.SpanAnomaly{Peer: "postgres"}),
		spanOf("stock", "b", "pg-pool.connect", 0, 1, query),
	}, nil)[0]
	if row.Affected != 1 || row.Recall != 1 {
		t.Errorf("%+v", row)
	}
}
