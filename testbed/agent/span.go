package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Span is a span in OTLP's JSON form, with the anomalies the collector tied to
// it.
type Span struct {
	TraceID, SpanID string
	Start, End      time.Time
	// Content is all that the span, its scope and its resource say, but for
	// its anomalies; what is empty is left out, so that two ways to write the
	// same are equal.
	Content map[string]any
	// Anomalies are its perfscope.anomaly events.
	Anomalies []SpanAnomaly
	// Causes rank, on the first span of a trace, what is to blame.
	Causes []Cause
}

// SpanAnomaly is one perfscope.anomaly event of a span.
type SpanAnomaly struct {
	// At is the event's time.
	At time.Time
	Anomaly
	// Resource and By say how it was matched, Confidence how sure that is.
	Resource, By string
	Confidence   float64
	// Peer is the abnormal service, when it is one that the span calls.
	Peer string
	// Role is that of its service in the trace, when a gateway ranked it.
	Role string
}

// ReadSpans reads the file that the collector's file exporter wrote. A last
// line that is not complete yet is left out.
func ReadSpans(path string) ([]Span, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var spans []Span
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		more, err := ParseSpans([]byte(line))
		if err != nil {
			return nil, err
		}
		spans = append(spans, more...)
	}
	return spans, nil
}

// ParseSpans reads the spans of one OTLP JSON document.
func ParseSpans(doc []byte) ([]Span, error) {
	var d struct {
		ResourceSpans []struct {
			Resource   any `json:"resource"`
			ScopeSpans []struct {
				Scope any              `json:"scope"`
				Spans []map[string]any `json:"spans"`
			} `json:"scopeSpans"`
		} `json:"resourceSpans"`
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, fmt.Errorf("no OTLP JSON: %w", err)
	}
	var spans []Span
	for _, rs := range d.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, fields := range ss.Spans {
				s, err := parseSpan(fields)
				if err != nil {
					return nil, err
				}
				s.Content = map[string]any{
					"resource": withoutEmpty(rs.Resource), "scope": withoutEmpty(ss.Scope), "span": withoutEmpty(fields),
				}
				spans = append(spans, s)
			}
		}
	}
	return spans, nil
}

// parseSpan reads a span and takes its anomalies out of fields.
func parseSpan(fields map[string]any) (Span, error) {
	s := Span{
		TraceID: text(fields["traceId"]), SpanID: text(fields["spanId"]),
		Start: unixNano(fields["startTimeUnixNano"]), End: unixNano(fields["endTimeUnixNano"]),
	}
	var others []any
	for _, e := range list(fields["events"]) {
		event, _ := e.(map[string]any)
		if event["name"] != "perfscope.anomaly" && event["name"] != "perfscope.incident" {
			others = append(others, e)
			continue
		}
		raw, err := json.Marshal(event["attributes"])
		if err != nil {
			return s, err
		}
		var attributes []keyValue
		if err := json.Unmarshal(raw, &attributes); err != nil {
			return s, fmt.Errorf("the attributes of an anomaly on span %s: %w", s.SpanID, err)
		}
		said := plain(attributes)
		if event["name"] == "perfscope.incident" {
			s.Causes = causes(said)
			continue
		}
		a := anomaly(record{attributes: said})
		a.Sentence = text(said["perfscope.anomaly.summary"])
		s.Anomalies = append(s.Anomalies, SpanAnomaly{
			At: unixNano(event["timeUnixNano"]), Anomaly: a,
			Resource: text(said["perfscope.match.resource"]), By: text(said["perfscope.match.by"]),
			Confidence: number(said["perfscope.match.confidence"]), Peer: text(said["service.peer.name"]),
			Role: text(said["perfscope.cause.role"]),
		})
	}
	fields["events"] = others
	return s, nil
}

func unixNano(v any) time.Time {
	n, _ := strconv.ParseInt(text(v), 10, 64)
	return time.Unix(0, n)
}

// withoutEmpty leaves out of a JSON value what is an empty string, list or
// object, zero or null.
func withoutEmpty(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		for key, e := range v {
			if out[key] = withoutEmpty(e); out[key] == nil {
				delete(out, key)
			}
		}
		if len(out) > 0 {
			return out
		}
	case []any:
		out := slices.Clone(v)
		for i, e := range v {
			out[i] = withoutEmpty(e)
		}
		if len(out) > 0 {
			return out
		}
	case string:
		if v != "" {
			return v
		}
	case float64:
		if v != 0 {
			return v
		}
	case bool:
		return v
	}
	return nil
}
