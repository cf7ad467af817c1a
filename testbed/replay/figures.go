package replay

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// Figures say how much a recording holds.
type Figures struct {
	// Records and Events are those of the syscall receiver.
	Records, Events int64
	from, to        time.Time
	services        map[string]bool
}

// Add counts a payload.
func (f *Figures) Add(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		before := f.Records
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				f.record(rec)
			}
		}
		if name, ok := rl.Resource().Attributes().Get("service.name"); ok && f.Records > before {
			if f.services == nil {
				f.services = map[string]bool{}
			}
			f.services[name.AsString()] = true
		}
	}
}

func (f *Figures) record(rec plog.LogRecord) {
	if !tracelog.IsRecord(rec) {
		return
	}
	f.Records++
	switch rec.EventName() {
	case tracelog.EventCall:
		f.Events++
	case tracelog.EventBatch:
		if n, ok := rec.Attributes().Get("perfscope.batch.events"); ok {
			f.Events += n.Int()
		}
	}
	// The first event of a batch may be a call that began long before.
	at := rec.ObservedTimestamp().AsTime()
	if f.from.IsZero() || at.Before(f.from) {
		f.from = at
	}
	if at.After(f.to) {
		f.to = at
	}
}

// Recorded is the time between the first record and the last.
func (f *Figures) Recorded() time.Duration { return f.to.Sub(f.from) }

// Services are the names of the services.
func (f *Figures) Services() []string { return slices.Sorted(maps.Keys(f.services)) }
