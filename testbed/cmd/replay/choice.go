package main

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// choice says which records of a file are taken.
type choice struct {
	service string
	pids    []string
	// from and to count from the first record of the file; to is 0 for its end.
	from, to time.Duration
	begun    time.Time
}

// pick takes out what is not chosen.
func (c *choice) pick(ld plog.Logs) {
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		newest := newestOf(rl)
		if c.begun.IsZero() {
			c.begun = newest
		}
		at := newest.Sub(c.begun)
		return !c.process(rl.Resource().Attributes()) || at < c.from || c.to > 0 && at > c.to
	})
}

func (c *choice) process(resource pcommon.Map) bool {
	name, _ := resource.Get("service.name")
	pid, _ := resource.Get("process.pid")
	return (c.service == "" || name.AsString() == c.service) && (len(c.pids) == 0 || slices.Contains(c.pids, pid.AsString()))
}

func newestOf(rl plog.ResourceLogs) (newest time.Time) {
	for _, sl := range rl.ScopeLogs().All() {
		for _, rec := range sl.LogRecords().All() {
			if at := rec.ObservedTimestamp().AsTime(); at.After(newest) {
				newest = at
			}
		}
	}
	return newest
}
