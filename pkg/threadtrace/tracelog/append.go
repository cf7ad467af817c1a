package tracelog

import (
	"errors"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// MaxRecordEvents bounds the events of one packed record, so that a record
// stays well below the 4 MiB that OTLP receivers accept by default.
const MaxRecordEvents = 1 << 16

// packer is an encoder with its buffer, kept between calls.
type packer struct {
	encoder threadtrace.Encoder
	block   []byte
}

var packers = sync.Pool{New: func() any { return new(packer) }}

// AppendBatch appends the records of a batch in the given format. A batch too
// large for one record becomes several. Any format but FormatEvent is packed.
func AppendBatch(dst plog.LogRecordSlice, f Format, arch string, b *threadtrace.Batch) {
	if f == FormatEvent {
		appendEvents(dst, arch, b)
		return
	}
	p := packers.Get().(*packer)
	defer packers.Put(p)
	appendPacked(dst, p, arch, b)
}

func appendPacked(dst plog.LogRecordSlice, p *packer, arch string, b *threadtrace.Batch) {
	err := error(nil)
	if len(b.Events) <= MaxRecordEvents {
		p.block, err = p.encoder.Append(p.block[:0], arch, b)
	}
	switch {
	case len(b.Events) > MaxRecordEvents || (errors.Is(err, threadtrace.ErrTooLarge) && len(b.Events) > 1):
		first, second := halves(b)
		appendPacked(dst, p, arch, first)
		appendPacked(dst, p, arch, second)
		return
	case err != nil:
		// One event with an impossible stack, or a batch that contradicts
		// itself: what is lost is at least counted.
		lost := &threadtrace.Batch{ThreadID: b.ThreadID, ThreadName: b.ThreadName, Dropped: b.Dropped + uint64(len(b.Events))}
		if p.block, err = p.encoder.Append(p.block[:0], arch, lost); err != nil {
			return
		}
		b = lost
	}
	rec := dst.AppendEmpty()
	rec.SetEventName(EventBatch)
	attrs := rec.Attributes()
	attrs.EnsureCapacity(5)
	putThread(attrs, b)
	attrs.PutInt(attrBatchEvents, int64(len(b.Events)))
	if b.Dropped > 0 {
		attrs.PutInt(attrBatchDropped, int64(b.Dropped))
	}
	if len(b.Events) > 0 {
		first, last := b.Events[0].Time, b.Events[0].End()
		for i := range b.Events {
			first, last = min(first, b.Events[i].Time), max(last, b.Events[i].End())
		}
		rec.SetTimestamp(pcommon.Timestamp(first))
		rec.SetObservedTimestamp(pcommon.Timestamp(last))
		attrs.PutDouble(attrBatchDuration, seconds(last-first))
	}
	rec.Body().SetEmptyBytes().FromRaw(p.block)
}

// halves cuts a batch in two, each with the stacks it refers to.
func halves(b *threadtrace.Batch) (first, second *threadtrace.Batch) {
	mid := len(b.Events) / 2
	first = withEvents(b, b.Events[:mid], b.Wakings)
	first.Dropped, first.Contexts = b.Dropped, b.Contexts
	return first, withEvents(b, b.Events[mid:], nil)
}

func withEvents(b *threadtrace.Batch, events []threadtrace.Event, wakings []threadtrace.Waking) *threadtrace.Batch {
	part := &threadtrace.Batch{ThreadID: b.ThreadID, ThreadName: b.ThreadName}
	part.Events = append(part.Events, events...)
	part.Wakings = append(part.Wakings, wakings...)
	renumbered := map[uint32]uint32{}
	renumber := func(at *uint32) {
		old := *at
		if old == 0 || uint64(old) > uint64(len(b.Stacks)) {
			return
		}
		ref, known := renumbered[old]
		if !known {
			part.Stacks = append(part.Stacks, b.Stacks[old-1])
			ref = uint32(len(part.Stacks)) //nolint:gosec // at most those of the batch
			renumbered[old] = ref
		}
		*at = ref
	}
	for i := range part.Events {
		renumber(&part.Events[i].Stack)
	}
	for i := range part.Wakings {
		renumber(&part.Wakings[i].Stack)
		renumber(&part.Wakings[i].WakerStack)
	}
	return part
}

func appendEvents(dst plog.LogRecordSlice, arch string, b *threadtrace.Batch) {
	texts := make([]string, len(b.Stacks)) // rendered when first needed
	done := make([]bool, len(b.Stacks))
	dropped := b.Dropped
	dst.EnsureCapacity(dst.Len() + len(b.Events))
	for i := range b.Events {
		ev := &b.Events[i]
		if int(ev.Kind) >= len(kinds) {
			dropped++
			continue
		}
		rec := newEventRecord(dst, b)
		rec.SetTimestamp(pcommon.Timestamp(ev.Time))
		rec.SetObservedTimestamp(pcommon.Timestamp(ev.End()))
		attrs := rec.Attributes()
		attrs.PutStr(attrKind, kinds[ev.Kind])
		if ev.Number != threadtrace.NoCall {
			attrs.PutStr(attrName, threadtrace.Name(arch, ev.Number))
			attrs.PutInt(attrNumber, int64(ev.Number))
		}
		attrs.PutDouble(attrDuration, seconds(ev.Duration))
		if ev.Cut {
			attrs.PutBool(attrCut, true)
		}
		if ev.Elapsed != 0 {
			attrs.PutDouble(attrElapsed, seconds(ev.Elapsed))
		}
		if ev.Delay != 0 {
			attrs.PutDouble(attrDelay, seconds(ev.Delay))
		}
		if ev.Population != 0 {
			attrs.PutInt(attrPopulation, int64(ev.Population))
		}
		if id, ok := ev.Followed(); ok {
			attrs.PutInt(attrGoroutine, int64(id))
		}
		if ev.Kind == threadtrace.KindCall {
			attrs.PutInt(attrReturn, int64(ev.Return))
			if ev.Failed() {
				attrs.PutStr(attrError, threadtrace.ErrnoName(ev.Return))
			}
		}
		if ref := int(ev.Stack) - 1; ref >= 0 && ref < len(b.Stacks) {
			if !done[ref] {
				texts[ref], done[ref] = StackText(b.Stacks[ref]), true
			}
			attrs.PutStr(attrStackTrace, texts[ref])
		}
		if dropped > 0 {
			attrs.PutInt(attrDropped, int64(dropped))
			dropped = 0
		}
	}
	for i := range b.Contexts {
		c := &b.Contexts[i]
		rec := newEventRecord(dst, b)
		rec.SetTimestamp(pcommon.Timestamp(c.Time))
		rec.SetObservedTimestamp(pcommon.Timestamp(c.Time))
		rec.SetTraceID(c.TraceID)
		rec.SetSpanID(c.ParentID)
		rec.Attributes().PutStr(attrKind, kindContext)
	}
	for i := range b.Wakings {
		appendWaking(dst, arch, b, &b.Wakings[i])
	}
	if dropped > 0 {
		attrs := newEventRecord(dst, b).Attributes()
		attrs.PutStr(attrKind, kindLost)
		attrs.PutInt(attrDropped, int64(dropped))
	}
}

func newEventRecord(dst plog.LogRecordSlice, b *threadtrace.Batch) plog.LogRecord {
	rec := dst.AppendEmpty()
	rec.SetEventName(EventCall)
	rec.Attributes().EnsureCapacity(10)
	putThread(rec.Attributes(), b)
	return rec
}

func putThread(attrs pcommon.Map, b *threadtrace.Batch) {
	attrs.PutInt(attrThreadID, int64(b.ThreadID))
	if b.ThreadName != "" {
		// A program may call its thread anything; protobuf takes UTF-8 only.
		attrs.PutStr(attrThreadName, strings.ToValidUTF8(b.ThreadName, "\uFFFD"))
	}
}

// AppendCoverage appends the record of a coverage.
func AppendCoverage(dst plog.LogRecordSlice, c *threadtrace.Coverage) {
	rec := dst.AppendEmpty()
	rec.SetEventName(EventCoverage)
	rec.SetTimestamp(pcommon.Timestamp(c.Start))
	rec.SetObservedTimestamp(pcommon.Timestamp(c.End))
	attrs := rec.Attributes()
	attrs.EnsureCapacity(9)
	attrs.PutDouble(attrCoverDuration, seconds(c.End-c.Start))
	attrs.PutDouble(attrCoverTraced, c.Traced.Seconds())
	attrs.PutDouble(attrSamplePeriod, c.SamplePeriod.Seconds())
	attrs.PutDouble(attrSnapshotPeriod, c.SnapshotPeriod.Seconds())
	attrs.PutDouble(attrCPUTime, c.CPUTime.Seconds())
	attrs.PutDouble(attrRunDelay, c.RunDelay.Seconds())
	attrs.PutInt(attrThreads, int64(c.Threads))
	attrs.PutInt(attrFunctions, int64(c.Functions))
	if len(c.Dropped) > 0 {
		byReason := attrs.PutEmptyMap(attrCoverDropped)
		for _, reason := range sortedKeys(c.Dropped) {
			byReason.PutInt(reason, int64(c.Dropped[reason]))
		}
	}
}

func seconds(ns int64) float64 { return time.Duration(ns).Seconds() }
