package replay

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
)

// BurstPeriod is the time from one of the receiver's bursts to the next.
const BurstPeriod = 2 * time.Second

// Bursts makes of a recording of all calls what the receiver would have made of
// it had it recorded them for burst out of every period only: give it as
// Options.Pick. Samples and waits stay.
func Bursts(burst, period time.Duration) func(plog.Logs) {
	b := bursts{int64(burst), int64(period)}
	return func(ld plog.Logs) {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				b.cut(sl.LogRecords())
			}
		}
	}
}

type bursts struct{ burst, period int64 }

// begin is that of the burst, or of the pause after it, that an instant is in.
func (b bursts) begin(at int64) int64 { return at - at%b.period }

// on reports whether an instant is in a burst.
func (b bursts) on(at int64) bool { return at%b.period < b.burst }

func (b bursts) cut(records plog.LogRecordSlice) {
	out := plog.NewLogRecordSlice()
	errs := tracelog.Decode(records, tracelog.Handler{
		Batch: func(arch string, batch *threadtrace.Batch) {
			batch.Events = b.events(batch.Events)
			tracelog.AppendBatch(out, tracelog.FormatPacked, arch, batch)
		},
		Coverage: func(c *threadtrace.Coverage) { b.cover(out, c) },
	})
	if len(errs) > 0 {
		return // the processor will say so
	}
	records.RemoveIf(func(plog.LogRecord) bool { return true })
	out.MoveAndAppendTo(records)
}

// events are those that a burst sees, and what it sees of the others.
func (b bursts) events(all []threadtrace.Event) []threadtrace.Event {
	kept := all[:0]
	for _, e := range all {
		if e.Kind != threadtrace.KindCall && e.Kind != threadtrace.KindInFlight {
			kept = append(kept, e)
			continue
		}
		begin := b.begin(e.End())
		switch end := e.End(); {
		case e.Kind == threadtrace.KindInFlight:
			continue // bursts are shorter than what is reported so
		case b.on(end):
			if e.Time < begin {
				e.Time, e.Duration, e.Cut, e.Stack = begin, end-begin, true, 0
			}
		case b.on(e.Time):
			end := b.begin(e.Time) + b.burst
			e.Kind, e.Duration, e.Return, e.Cut, e.Stack = threadtrace.KindInFlight, end-e.Time, 0, true, 0
		default:
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// cover cuts a coverage record at the edges.
func (b bursts) cover(out plog.LogRecordSlice, c *threadtrace.Coverage) {
	for from := c.Start; from < c.End; {
		to := b.begin(from) + b.period
		if b.on(from) {
			to = b.begin(from) + b.burst
		}
		part := *c
		part.Start, part.End, part.Traced = from, min(to, c.End), 0
		if b.on(from) {
			part.Traced = time.Duration(part.End - from)
		}
		part.CPUTime = time.Duration(float64(c.CPUTime) * float64(part.End-from) / float64(c.End-c.Start))
		if from > c.Start {
			part.Dropped = nil
		}
		tracelog.AppendCoverage(out, &part)
		from = to
	}
}
