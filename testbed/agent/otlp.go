package agent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// The part of OTLP's JSON form that a log record needs.
type (
	document struct {
		ResourceLogs []struct {
			Resource struct {
				Attributes []keyValue `json:"attributes"`
			} `json:"resource"`
			ScopeLogs []struct {
				LogRecords []logRecord `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	logRecord struct {
		SeverityNumber int        `json:"severityNumber"`
		SeverityText   string     `json:"severityText"`
		EventName      string     `json:"eventName"`
		TraceID        string     `json:"traceId"`
		SpanID         string     `json:"spanId"`
		Body           anyValue   `json:"body"`
		Attributes     []keyValue `json:"attributes"`
	}
	keyValue struct {
		Key   string   `json:"key"`
		Value anyValue `json:"value"`
	}
	anyValue struct{ value any }
)

// UnmarshalJSON reads {"stringValue": …} and its like into a plain Go value:
// string, bool, int64, float64, []byte, []any, map[string]any or nil.
func (v *anyValue) UnmarshalJSON(data []byte) error {
	var raw struct {
		String *string      `json:"stringValue"`
		Bool   *bool        `json:"boolValue"`
		Int    *json.Number `json:"intValue"`
		Double *float64     `json:"doubleValue"`
		Bytes  *string      `json:"bytesValue"`
		Array  *struct {
			Values []anyValue `json:"values"`
		} `json:"arrayValue"`
		Map *struct {
			Values []keyValue `json:"values"`
		} `json:"kvlistValue"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	switch {
	case raw.String != nil:
		v.value = *raw.String
	case raw.Bool != nil:
		v.value = *raw.Bool
	case raw.Int != nil:
		n, err := raw.Int.Int64()
		if err != nil {
			return err
		}
		v.value = n
	case raw.Double != nil:
		v.value = *raw.Double
	case raw.Bytes != nil:
		b, err := base64.StdEncoding.DecodeString(*raw.Bytes)
		if err != nil {
			return err
		}
		v.value = b
	case raw.Array != nil:
		list := make([]any, len(raw.Array.Values))
		for i, e := range raw.Array.Values {
			list[i] = e.value
		}
		v.value = list
	case raw.Map != nil:
		v.value = plain(raw.Map.Values)
	}
	return nil
}

func plain(attributes []keyValue) map[string]any {
	out := make(map[string]any, len(attributes))
	for _, a := range attributes {
		out[a.Key] = a.Value.value
	}
	return out
}

// record is a log record with its resource.
type record struct {
	logRecord
	resource, attributes map[string]any
}

func parse(line []byte) ([]record, error) {
	var d document
	if err := json.Unmarshal(line, &d); err != nil {
		return nil, fmt.Errorf("the collector wrote a line that is no OTLP JSON: %w", err)
	}
	var out []record
	for _, rl := range d.ResourceLogs {
		resource := plain(rl.Resource.Attributes)
		for _, sl := range rl.ScopeLogs {
			for _, lr := range sl.LogRecords {
				out = append(out, record{logRecord: lr, resource: resource, attributes: plain(lr.Attributes)})
			}
		}
	}
	return out, nil
}
