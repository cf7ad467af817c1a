package agent

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// FromLogs gives the anomalies of a payload; seen is when it was told.
func FromLogs(ld plog.Logs, seen time.Time) []Anomaly {
	var out []Anomaly
	for _, rl := range ld.ResourceLogs().All() {
		resource := rl.Resource().Attributes().AsRaw()
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() != "perfscope.anomaly" {
					continue
				}
				a := anomaly(record{
					logRecord: logRecord{
						SeverityNumber: int(rec.SeverityNumber()), SeverityText: rec.SeverityText(),
						TraceID: rec.TraceID().String(), SpanID: rec.SpanID().String(),
						Body: anyValue{rec.Body().AsRaw()},
					},
					resource: resource, attributes: rec.Attributes().AsRaw(),
				})
				a.Seen = seen
				out = append(out, a)
			}
		}
	}
	return out
}
