package logsink

import "go.opentelemetry.io/collector/pdata/plog"

// Without copies records, without some of them.
func Without(ld plog.Logs, left func(plog.LogRecord) bool) plog.Logs {
	out := plog.NewLogs()
	for _, rl := range ld.ResourceLogs().All() {
		var rlOut plog.ResourceLogs
		begun := false
		for _, sl := range rl.ScopeLogs().All() {
			var slOut plog.ScopeLogs
			scoped := false
			for _, rec := range sl.LogRecords().All() {
				if left(rec) {
					continue
				}
				if !begun {
					begun, rlOut = true, out.ResourceLogs().AppendEmpty()
					rl.Resource().CopyTo(rlOut.Resource())
					rlOut.SetSchemaUrl(rl.SchemaUrl())
				}
				if !scoped {
					scoped, slOut = true, rlOut.ScopeLogs().AppendEmpty()
					sl.Scope().CopyTo(slOut.Scope())
					slOut.SetSchemaUrl(sl.SchemaUrl())
				}
				rec.CopyTo(slOut.LogRecords().AppendEmpty())
			}
		}
	}
	return out
}

// Count tells the records that match from the others.
func Count(ld plog.Logs, matches func(plog.LogRecord) bool) (matching, others int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if matches(rec) {
					matching++
				} else {
					others++
				}
			}
		}
	}
	return matching, others
}
