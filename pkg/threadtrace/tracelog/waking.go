package tracelog

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// kindWaking marks an event record that says who ended a wait of its thread. The
// record's timestamp is the beginning of the wait's call, its duration until the end of
// the wait.
const kindWaking = "waking"

// Attributes of a record of kindWaking, beside those of the call that waited.
const (
	attrWaker        = "perfscope.waker.kind"
	attrWakerProcess = "perfscope.waker.process.pid"
	attrWakerThread  = "perfscope.waker.thread.id"
	attrWakerName    = "perfscope.waker.thread.name"
	attrWakerStack   = "perfscope.waker.stacktrace"
	attrUninterrupt  = "perfscope.waker.uninterruptible"
)

// wakers are the values of attrWaker, by threadtrace.Waker.
var wakers = [...]string{"interrupt", "kernel", "thread"}

func appendWaking(dst plog.LogRecordSlice, arch string, b *threadtrace.Batch, w *threadtrace.Waking) {
	rec := newEventRecord(dst, b)
	rec.SetTimestamp(pcommon.Timestamp(w.Start))
	rec.SetObservedTimestamp(pcommon.Timestamp(w.Time))
	attrs := rec.Attributes()
	attrs.PutStr(attrKind, kindWaking)
	attrs.PutStr(attrName, threadtrace.Name(arch, w.Number))
	attrs.PutInt(attrNumber, int64(w.Number))
	attrs.PutDouble(attrDuration, seconds(w.Time-w.Start))
	attrs.PutStr(attrWaker, wakers[min(int(w.By), len(wakers)-1)])
	if w.Uninterruptible {
		attrs.PutBool(attrUninterrupt, true)
	}
	if w.By != threadtrace.WakerInterrupt {
		attrs.PutInt(attrWakerProcess, int64(w.Process))
		attrs.PutInt(attrWakerThread, int64(w.Thread))
		attrs.PutStr(attrWakerName, strings.ToValidUTF8(w.Name, "\uFFFD"))
	}
	putStack(attrs, attrStackTrace, b, w.Stack)
	putStack(attrs, attrWakerStack, b, w.WakerStack)
}

func putStack(attrs pcommon.Map, key string, b *threadtrace.Batch, ref uint32) {
	if ref > 0 && int(ref) <= len(b.Stacks) {
		attrs.PutStr(key, StackText(b.Stacks[ref-1]))
	}
}

// waking reads a record of kindWaking.
func (r *attributes) waking(arch string, start int64) (w threadtrace.Waking) {
	w.Start, w.Number = start, r.call(arch, threadtrace.KindCall)
	waited := r.nanoseconds(attrDuration, true)
	if w.Start > math.MaxInt64-waited {
		r.fail(errors.New("its timestamp is beyond the year 2262"))
		return w
	}
	w.Time = w.Start + waited
	by, _ := r.Get(attrWaker)
	at := slices.Index(wakers[:], by.AsString())
	if at < 0 {
		r.fail(fmt.Errorf("%s is %.40q, not one of %q", attrWaker, by.AsString(), wakers))
		return w
	}
	w.By = threadtrace.Waker(at) //nolint:gosec // an index
	if v, ok := r.Get(attrUninterrupt); ok {
		w.Uninterruptible = v.Bool()
	}
	w.Process, w.Thread = r.int32(attrWakerProcess, false), r.int32(attrWakerThread, false)
	if name, ok := r.Get(attrWakerName); ok {
		w.Name = name.AsString()
	}
	return w
}

// stackOf is the number of the stack of an attribute in the thread's batch, counted
// from one; zero is none.
func (t *thread) stackOf(r *attributes, key string) uint32 {
	v, ok := r.Get(key)
	if !ok {
		return 0
	}
	text := v.AsString()
	ref, known := t.stacks[text]
	if !known {
		s, err := ParseStack(text)
		if err != nil {
			r.fail(fmt.Errorf("%s: %w", key, err))
			return 0
		}
		t.batch.Stacks = append(t.batch.Stacks, s)
		ref = uint32(len(t.batch.Stacks)) //nolint:gosec // one for each record at most
		t.stacks[text] = ref
	}
	return ref
}
