package tracelog

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Handler receives what Decode finds.
type Handler struct {
	// Arch is the resource's host.arch: the architecture that event records,
	// which do not carry it themselves, belong to.
	Arch string
	// Batch is called with each batch, its events ordered by Time, and the
	// architecture its numbers belong to. The batch is the callee's to keep.
	Batch func(arch string, b *threadtrace.Batch)
	// Coverage is called with each coverage; it is the callee's to keep.
	Coverage func(c *threadtrace.Coverage)
	// Machine is called with what is known of the machine; it is the callee's to keep.
	Machine func(m *threadtrace.Machine)
}

// IsRecord reports whether a log record is one of this package's.
func IsRecord(rec plog.LogRecord) bool {
	switch rec.EventName() {
	case EventBatch, EventCall, EventCoverage, EventMachine:
		return true
	}
	return false
}

// Decode reads the records of one scope of one resource and hands over what
// they hold: first what was looked at, which says what a missing event means, then the
// events. Event records are grouped into one batch per thread, delivered
// after the packed ones. Records of other kinds are skipped. A record that
// cannot be read gives one error that names it; the others are delivered.
func Decode(recs plog.LogRecordSlice, h Handler) []error {
	var errs []error
	var threads grouping
	fails := func(i int, err error) {
		if rec := recs.At(i); err != nil {
			errs = append(errs, fmt.Errorf("log record %d (%s, %s): %w", i, rec.EventName(), threadLabel(rec), err))
		}
	}
	for i, rec := range recs.All() {
		if rec.EventName() == EventCoverage {
			c, err := decodeCoverage(rec)
			if fails(i, err); err == nil && h.Coverage != nil {
				h.Coverage(c)
			}
		}
	}
	for i, rec := range recs.All() {
		var err error
		switch rec.EventName() {
		case EventBatch:
			err = decodePacked(rec, h)
		case EventCall:
			err = threads.add(rec, h.Arch)
		case EventMachine:
			err = decodeMachine(rec, h)
		}
		fails(i, err)
	}
	for _, b := range threads.batches {
		deliver(h, h.Arch, b)
	}
	return errs
}

func threadLabel(rec plog.LogRecord) string {
	if id, ok := rec.Attributes().Get(attrThreadID); ok {
		return "thread " + id.AsString()
	}
	return "no thread.id"
}

func deliver(h Handler, arch string, b *threadtrace.Batch) {
	for i := range b.Events {
		if i > 0 && b.Events[i].Time < b.Events[i-1].Time {
			slices.SortStableFunc(b.Events, func(a, b threadtrace.Event) int { return cmp.Compare(a.Time, b.Time) })
			break
		}
	}
	if h.Batch != nil {
		h.Batch(arch, b)
	}
}

func decodePacked(rec plog.LogRecord, h Handler) error {
	if rec.Body().Type() != pcommon.ValueTypeBytes {
		return fmt.Errorf("the body is %s, not bytes: was it rewritten on the way?", rec.Body().Type())
	}
	arch, b, err := threadtrace.Decode(rec.Body().Bytes().AsRaw())
	if err != nil {
		return err
	}
	for i := range b.Events {
		ev := &b.Events[i]
		const longest = maxSeconds * int64(time.Second)
		if ev.Time < 0 || ev.Duration < 0 || ev.Elapsed < 0 || ev.Delay < 0 || ev.Number < threadtrace.NoCall ||
			ev.Duration > longest || ev.Elapsed > longest || ev.Delay > longest {
			return fmt.Errorf("event %d has time %d, duration %d ns, elapsed %d ns, delay %d ns and number %d: no kernel says that",
				i, ev.Time, ev.Duration, ev.Elapsed, ev.Delay, ev.Number)
		}
	}
	for i := range b.Contexts {
		if b.Contexts[i].Time < 0 {
			return fmt.Errorf("trace context %d has time %d: no kernel says that", i, b.Contexts[i].Time)
		}
	}
	for i := range b.Wakings {
		if w := &b.Wakings[i]; w.Start < 0 || w.Number < 0 || w.Time-w.Start > maxSeconds*int64(time.Second) {
			return fmt.Errorf("waking %d is from call %d, from %d to %d: no kernel says that", i, w.Number, w.Start, w.Time)
		}
	}
	if arch == "" {
		arch = h.Arch
	}
	deliver(h, arch, b)
	return nil
}

// grouping collects event records into one batch per thread, in order of the
// threads' first appearance. It holds no more than the records it was given.
type grouping struct {
	batches []*threadtrace.Batch
	threads map[int32]*thread
}

type thread struct {
	batch  *threadtrace.Batch
	stacks map[string]uint32
}

func (g *grouping) add(rec plog.LogRecord, arch string) error {
	r := attributes{Map: rec.Attributes()}
	tid := r.int32(attrThreadID, true)
	ev := threadtrace.Event{Time: int64(rec.Timestamp()), Number: threadtrace.NoCall}
	if ev.Time < 0 {
		r.fail(errors.New("its timestamp is beyond the year 2262"))
	}
	kind, noEvent := r.kind()
	ev.Kind = kind
	dropped := r.integer(attrDropped, false)
	if dropped < 0 {
		r.fail(fmt.Errorf("%s is %d", attrDropped, dropped))
	}
	var stack *threadtrace.Stack
	var text string
	var waking *threadtrace.Waking
	if r.isKind(kindWaking) {
		w := r.waking(arch, ev.Time)
		waking = &w
	}
	if !noEvent {
		ev.Number = r.call(arch, ev.Kind)
		ev.Duration = r.nanoseconds(attrDuration, ev.Kind == threadtrace.KindCall)
		ev.Elapsed = r.nanoseconds(attrElapsed, false)
		ev.Delay = r.nanoseconds(attrDelay, false)
		if ev.Return = r.int32(attrReturn, false); ev.Kind == threadtrace.KindBlocked {
			ev.Return = r.int32(attrGoroutine, false)
		}
		ev.Population = uint16(min(math.MaxUint16, max(0, r.integer(attrPopulation, false)))) //nolint:gosec // bounded
		if v, ok := r.Get(attrCut); ok {
			ev.Cut = v.Bool()
		}
		if v, ok := r.Get(attrStackTrace); ok {
			text = v.AsString()
			s, err := ParseStack(text)
			if err != nil {
				r.fail(fmt.Errorf("%s: %w", attrStackTrace, err))
			}
			stack = &s
		}
	}
	if r.err != nil {
		return r.err
	}
	t := g.threads[tid]
	if t == nil {
		t = &thread{batch: &threadtrace.Batch{ThreadID: tid}, stacks: map[string]uint32{}}
		if g.threads == nil {
			g.threads = map[int32]*thread{}
		}
		g.threads[tid] = t
		g.batches = append(g.batches, t.batch)
	}
	if name, ok := r.Get(attrThreadName); ok {
		t.batch.ThreadName = name.AsString()
	}
	t.batch.Dropped += uint64(dropped)
	if waking != nil {
		waking.Stack, waking.WakerStack = t.stackOf(&r, attrStackTrace), t.stackOf(&r, attrWakerStack)
		if r.err != nil {
			return r.err
		}
		t.batch.Wakings = append(t.batch.Wakings, *waking)
	}
	if r.isKind(kindContext) {
		t.batch.Contexts = append(t.batch.Contexts, threadtrace.Context{Time: ev.Time, TraceID: rec.TraceID(), ParentID: rec.SpanID()})
	}
	if noEvent {
		return nil
	}
	if stack != nil {
		ref, known := t.stacks[text]
		if !known {
			t.batch.Stacks = append(t.batch.Stacks, *stack)
			ref = uint32(len(t.batch.Stacks))
			t.stacks[text] = ref
		}
		ev.Stack = ref
	}
	t.batch.Events = append(t.batch.Events, ev)
	return nil
}

func decodeCoverage(rec plog.LogRecord) (*threadtrace.Coverage, error) {
	r := attributes{Map: rec.Attributes()}
	c := &threadtrace.Coverage{
		Start:          int64(rec.Timestamp()),
		Traced:         time.Duration(r.nanoseconds(attrCoverTraced, false)),
		SamplePeriod:   time.Duration(r.nanoseconds(attrSamplePeriod, false)),
		SnapshotPeriod: time.Duration(r.nanoseconds(attrSnapshotPeriod, false)),
		CPUTime:        time.Duration(r.nanoseconds(attrCPUTime, false)),
		RunDelay:       time.Duration(r.nanoseconds(attrRunDelay, false)),
		Threads:        int(r.int32(attrThreads, false)),
		Functions:      int(r.int32(attrFunctions, false)),
	}
	c.End = c.Start + r.nanoseconds(attrCoverDuration, true)
	if c.Start < 0 || c.End < c.Start {
		r.fail(errors.New("its timestamp is beyond the year 2262"))
	}
	if c.Threads < 0 || c.Functions < 0 {
		r.fail(errors.New("it counts a negative number of threads or functions"))
	}
	if v, ok := r.Get(attrCoverDropped); ok && v.Type() == pcommon.ValueTypeMap {
		for reason, n := range v.Map().All() {
			if n.Type() == pcommon.ValueTypeInt && n.Int() > 0 {
				if c.Dropped == nil {
					c.Dropped = map[string]uint64{}
				}
				c.Dropped[reason] = uint64(n.Int())
			}
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return c, nil
}

// attributes reads typed values and keeps the first error. Numbers are also
// taken from strings and doubles, which is what other tools make of them.
type attributes struct {
	pcommon.Map
	err error
}

func (r *attributes) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *attributes) isKind(kind string) bool {
	v, ok := r.Get(attrKind)
	return ok && v.AsString() == kind
}

// kind is that of the event, if the record holds one.
func (r *attributes) kind() (kind threadtrace.Kind, noEvent bool) {
	v, ok := r.Get(attrKind)
	if !ok {
		return threadtrace.KindCall, false
	}
	if text := v.AsString(); text == kindLost || text == kindContext || text == kindWaking {
		return 0, true
	}
	i := slices.Index(kinds[:], v.AsString())
	if i < 0 {
		r.fail(fmt.Errorf("%s is %.40q, not one of %q", attrKind, v.AsString(), kinds))
		return 0, false
	}
	return threadtrace.Kind(i), false
}

// call is the number of the call, else the number of the call's name.
func (r *attributes) call(arch string, kind threadtrace.Kind) int32 {
	if _, ok := r.Get(attrNumber); ok {
		return r.int32(attrNumber, true)
	}
	v, ok := r.Get(attrName)
	if !ok {
		if kind == threadtrace.KindCall || kind == threadtrace.KindInFlight {
			r.fail(fmt.Errorf("neither %s nor %s says which call it is", attrNumber, attrName))
		}
		return threadtrace.NoCall
	}
	n, ok := threadtrace.Number(arch, v.AsString())
	if !ok {
		r.fail(fmt.Errorf("%s %.40q is no call of architecture %q (resource attribute host.arch)", attrName, v.AsString(), arch))
	}
	return n
}

func (r *attributes) integer(key string, required bool) int64 {
	v, ok := r.Get(key)
	if !ok {
		if required {
			r.fail(fmt.Errorf("attribute %s is missing", key))
		}
		return 0
	}
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int()
	case pcommon.ValueTypeDouble:
		if f := v.Double(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	case pcommon.ValueTypeStr:
		if n, err := strconv.ParseInt(v.Str(), 10, 64); err == nil {
			return n
		}
	}
	r.fail(fmt.Errorf("attribute %s is %.40q, not a whole number", key, v.AsString()))
	return 0
}

func (r *attributes) int32(key string, required bool) int32 {
	n := r.integer(key, required)
	if n < math.MinInt32 || n > math.MaxInt32 {
		r.fail(fmt.Errorf("attribute %s is %d, longer than 32 bits", key, n))
	}
	return int32(n)
}

// maxSeconds bounds durations to ten years: what is longer is damage, and one
// such wait would outweigh all others.
const maxSeconds int64 = 10 * 365 * 24 * 3600

// nanoseconds reads a duration in seconds.
func (r *attributes) nanoseconds(key string, required bool) int64 {
	v, ok := r.Get(key)
	if !ok {
		if required {
			r.fail(fmt.Errorf("attribute %s is missing", key))
		}
		return 0
	}
	f := math.NaN()
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		f = v.Double()
	case pcommon.ValueTypeInt:
		f = float64(v.Int())
	case pcommon.ValueTypeStr:
		if parsed, err := strconv.ParseFloat(v.Str(), 64); err == nil {
			f = parsed
		}
	}
	if !(f >= 0 && f <= float64(maxSeconds)) {
		r.fail(fmt.Errorf("attribute %s is %.40q, not a number of seconds from 0 to %d", key, v.AsString(), maxSeconds))
		return 0
	}
	return int64(math.Round(f * 1e9))
}
