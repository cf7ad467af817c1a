package perfscopeprocessor

import (
	"sync/atomic"
	"time"
)

// RecordTime is the time that the records an engine has taken tell of.
type RecordTime struct{ newest atomic.Int64 } // ns since the epoch

// Now is the newest instant that the records taken so far tell of. While the
// next component is given an anomaly, it is the instant at which a collector
// that is given the records as they are made has it, but for the time that
// they are on their way.
func (t *RecordTime) Now() time.Time { return time.Unix(0, t.newest.Load()) }

// FactoryOption changes what a factory makes.
type FactoryOption func(*sharedEngines)

// WithRecordTime lets the time of the records, which it writes to t, decide
// which services are idle, instead of the wall clock. A recording then gives
// the same anomalies whatever the speed it is delivered at. Records from after
// the present are refused as ever.
//
// It is for one component in one program that replays a recording; in a
// collector, a service that falls silent for good would never be judged.
func WithRecordTime(t *RecordTime) FactoryOption {
	return func(s *sharedEngines) {
		s.prepare = func(e *engine) { e.records = t }
	}
}

// takeRecords moves the time of the records on to those of a flush, and looks
// at idle services on the way as often as the wall clock would have.
func (e *engine) takeRecords(f *flush) {
	newest := max(f.latest, e.records.newest.Load())
	for len(e.services) > 0 && newest-e.looked >= int64(tick) {
		e.looked += int64(tick)
		e.records.newest.Store(e.looked)
		e.closeIdle(e.records.Now())
	}
	if len(e.services) == 0 {
		e.looked = newest
	}
	e.records.newest.Store(newest)
}

// now is the time that idle services are judged by.
func (e *engine) now() time.Time {
	if e.records != nil {
		return e.records.Now()
	}
	return e.clock()
}
