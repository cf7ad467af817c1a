package replay

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
	"github.com/perfscope/perfscope/pkg/threadtrace/tracelog"
	"github.com/perfscope/perfscope/testbed/recording"
)

// BurstPeriod is the time from one of the receiver's bursts to the next.
const BurstPeriod = 2 * time.Second

// Bursts makes of a recording of all calls what the receiver would have made of
// it had it recorded them for burst out of every period only: give it as
// Options.Pick. Samples and waits stay.
func Bursts(burst, period time.Duration) func(plog.Logs) {
	return bursts{func(at int64) piece {
		begin := at - at%int64(period)
		if end := begin + int64(burst); at >= end {
			return piece{end, begin + int64(period), false}
		}
		return piece{begin, begin + int64(burst), true}
	}}.all
}

// Shorter makes of a recording of bursts, a file, what it would be had each ended after so
// long.
func Shorter(path string, burst time.Duration) (func(plog.Logs), error) {
	var list []piece
	err := recording.Read(path, func(ld plog.Logs) error {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				_ = tracelog.Decode(sl.LogRecords(), tracelog.Handler{Coverage: func(c *threadtrace.Coverage) {
					if c.Traced > 0 {
						list = append(list, piece{c.Start, c.End, true})
					}
				}}) // the inference will say what is wrong
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, recording.ErrTruncated) {
		return nil, err
	}
	return bursts{among(shorten(list, int64(burst)))}.all, nil
}

// shorten puts together what is recorded, which is told of in pieces and by each process,
// and has each burst end after so long at the latest. They are in their order then.
func shorten(list []piece, burst int64) (short []piece) {
	slices.SortFunc(list, func(a, b piece) int { return cmp.Compare(a.from, b.from) })
	whole := int64(math.MinInt64)
	for _, p := range list {
		if p.from > whole {
			short = append(short, piece{from: p.from, recorded: true})
		}
		whole = max(whole, p.to)
		last := &short[len(short)-1]
		last.to = min(last.from+burst, whole)
	}
	return short
}

// among finds the burst that an instant is in, or the pause.
func among(list []piece) func(at int64) piece {
	return func(at int64) piece {
		i, found := slices.BinarySearchFunc(list, at, func(p piece, at int64) int { return cmp.Compare(p.from, at) })
		if !found {
			i--
		}
		if i >= 0 && at < list[i].to {
			return list[i]
		}
		pause := piece{from: math.MinInt64, to: math.MaxInt64}
		if i >= 0 {
			pause.from = list[i].to
		}
		if i+1 < len(list) {
			pause.to = list[i+1].from
		}
		return pause
	}
}

// piece is a time in which all calls are recorded, or none.
type piece struct {
	from, to int64
	recorded bool
}

// bursts knows which piece an instant is in.
type bursts struct{ at func(int64) piece }

func (b bursts) all(ld plog.Logs) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			b.cut(sl.LogRecords())
		}
	}
}

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
		begins, ends := b.at(e.Time), b.at(e.End())
		switch end := e.End(); {
		case e.Kind == threadtrace.KindInFlight:
			continue // bursts are shorter than what is reported so
		case ends.recorded:
			if e.Time < ends.from {
				e.Time, e.Duration, e.Cut, e.Stack = ends.from, end-ends.from, true, 0
			}
		case begins.recorded:
			e.Kind, e.Duration, e.Return, e.Cut, e.Stack = threadtrace.KindInFlight, begins.to-e.Time, 0, true, 0
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
		in := b.at(from)
		part := *c
		part.Start, part.End, part.Traced = from, min(in.to, c.End), 0
		if in.recorded {
			part.Traced = time.Duration(part.End - from)
		}
		part.CPUTime = time.Duration(float64(c.CPUTime) * float64(part.End-from) / float64(c.End-c.Start))
		if from > c.Start {
			part.Dropped = nil
		}
		tracelog.AppendCoverage(out, &part)
		from = in.to
	}
}
