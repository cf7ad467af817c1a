// Package tracelog turns syscall batches into log records and back: it is
// the wire between the syscall receiver and the perfscope processor, and what
// other processors and people see of it.
//
// Three kinds of record exist, told apart by EventName. EventBatch holds the
// events of one thread over one flush as a packed block in its body. EventCall
// is one event with plain attributes. EventCoverage says what was looked at.
package tracelog

// The EventName of the records.
const (
	EventBatch    = "perfscope.syscall.batch"
	EventCall     = "perfscope.syscall"
	EventCoverage = "perfscope.capture.coverage"
	EventMachine  = "perfscope.capture.machine"
)

// Format is how the events of a batch are written.
type Format string

// The formats.
const (
	// FormatPacked writes one record per thread and flush: bytes, not
	// allocations, per event.
	FormatPacked Format = "packed"
	// FormatEvent writes one record per event, for people and for other
	// processors.
	FormatEvent Format = "event"
)

// Attributes of both batch and event records, from the semantic conventions.
const (
	attrThreadID   = "thread.id"
	attrThreadName = "thread.name"
)

// Attributes of a packed record. The record's timestamp is its first event's.
const (
	attrBatchEvents   = "perfscope.batch.events"
	attrBatchDuration = "perfscope.batch.duration" // s, to the end of the last event
	attrBatchDropped  = "perfscope.batch.dropped"
)

// Attributes of an event record. The record's timestamp is the event's Time.
const (
	attrKind       = "perfscope.syscall.kind"
	attrCut        = "perfscope.syscall.cut"
	attrName       = "perfscope.syscall.name"
	attrNumber     = "perfscope.syscall.number"
	attrDuration   = "perfscope.syscall.duration"  // s
	attrElapsed    = "perfscope.syscall.elapsed"   // s
	attrDelay      = "perfscope.syscall.run_delay" // s
	attrReturn     = "perfscope.syscall.return"
	attrPopulation = "perfscope.syscall.goroutines"
	attrGoroutine  = "perfscope.syscall.goroutine"
	attrDropped    = "perfscope.syscall.dropped" // before this event, of its thread
	attrError      = "error.type"
	attrStackTrace = "code.stacktrace"
)

// Attributes of a coverage record. The record's timestamp is the start.
const (
	attrCoverDuration  = "perfscope.coverage.duration"        // s
	attrCoverTraced    = "perfscope.coverage.traced"          // s
	attrSamplePeriod   = "perfscope.coverage.sample_period"   // s
	attrSnapshotPeriod = "perfscope.coverage.snapshot_period" // s
	attrCPUTime        = "perfscope.coverage.cpu_time"        // s
	attrRunDelay       = "perfscope.coverage.run_delay"       // s
	attrThreads        = "perfscope.coverage.threads"
	attrFunctions      = "perfscope.coverage.functions"
	attrCoverDropped   = "perfscope.coverage.dropped" // map of reason to count
)

// kindContext marks an event record that holds the trace context of a request
// its thread received: the record's own trace id, and as its span id the caller's.
const kindContext = "trace_context"

// kindLost marks an event record that holds no event, only a dropped count.
const kindLost = "lost"

// kinds are the values of attrKind, by threadtrace.Kind.
var kinds = [...]string{"call", "in_flight", "sample", "blocked"}
