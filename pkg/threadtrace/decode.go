package threadtrace

import (
	"fmt"
	"math"
	"sync"
)

// batch reads what follows the header.
func (r *reader) batch() (arch string, b *Batch) {
	b = &Batch{}
	arch = r.string("the architecture")
	b.ThreadName = r.string("the thread's name")
	b.ThreadID = r.int32("the thread's id")
	b.Dropped = r.uvarint("the dropped count")
	const leastEvent = 5 // flags, time, duration, number, return
	n := r.count("events", leastEvent, MaxEvents)
	b.Stacks = r.stacks()
	if r.err != nil {
		return "", nil
	}
	b.Events = r.events(n, len(b.Stacks))
	if r.version >= 3 {
		b.Contexts = r.contexts()
	}
	if r.version >= 6 {
		b.Wakings = r.wakings(len(b.Stacks))
	}
	if r.err == nil && r.at != len(r.data) {
		r.fail(ErrCorrupted, fmt.Sprintf("%d bytes after the last event", len(r.data)-r.at))
	}
	return arch, b
}

// contexts reads the trace contexts, of which a block of version 3 has some.
func (r *reader) contexts() []Context {
	const size = 16 + 8
	n := r.count("trace contexts", 1+size, MaxContexts)
	if n == 0 {
		if r.version == 3 {
			r.fail(ErrCorrupted, "a version with trace contexts, and there are none")
		}
		return nil
	}
	contexts := make([]Context, n)
	var last int64
	for i := range contexts {
		last += r.varint("a time")
		contexts[i].Time = last
	}
	if r.err == nil && n*size > len(r.data)-r.at {
		r.fail(ErrTruncated, fmt.Sprintf("%d trace contexts announced, %d bytes left", n, len(r.data)-r.at))
	}
	if r.err != nil {
		return nil
	}
	for i := range contexts {
		copy(contexts[i].TraceID[:], r.data[r.at:])
		copy(contexts[i].ParentID[:], r.data[r.at+16:])
		r.at += size
	}
	return contexts
}

func (r *reader) stacks() []Stack {
	texts := make([]string, r.count("strings", 1, 3*MaxFrames))
	for i := range texts {
		if texts[i] = r.string("a string"); r.err != nil {
			return nil
		}
	}
	text := func(what string) string {
		if i := r.index(what, len(texts)); r.err == nil {
			return texts[i]
		}
		return ""
	}
	frames := make([]Frame, r.count("frames", 5, MaxFrames))
	for i := range frames {
		f := &frames[i]
		f.Function = text("function")
		f.Module = text("module")
		f.File = text("file")
		f.Line = r.int32("line")
		flags := r.byte("frame flags")
		if flags&^frameFlags != 0 {
			r.fail(ErrCorrupted, fmt.Sprintf("frame flags %#x", flags))
		}
		f.Origin, f.Inlined = Origin(flags&frameOrigin), flags&frameInlined != 0
		if r.err != nil {
			return nil
		}
	}
	n := r.count("stacks", 2, MaxStacks)
	if n == 0 {
		return nil
	}
	stacks := make([]Stack, n)
	total := 0
	for i := range stacks {
		flags := r.byte("stack flags")
		if flags&^stackComplete != 0 {
			r.fail(ErrCorrupted, fmt.Sprintf("stack flags %#x", flags))
		}
		depth := r.count("frames of a stack", 1, MaxFrames-total)
		if r.err != nil {
			return nil
		}
		total += depth
		stacks[i].Complete = flags&stackComplete != 0
		if depth == 0 {
			continue
		}
		stacks[i].Frames = make([]Frame, depth)
		for j := range stacks[i].Frames {
			k := r.index("frame", len(frames))
			if r.err != nil {
				return nil
			}
			stacks[i].Frames[j] = frames[k]
		}
	}
	return stacks
}

// events reads the columns of n events, which refer to one of the given
// number of stacks.
func (r *reader) events(n, stacks int) []Event {
	if n == 0 {
		return nil
	}
	// The stacks in between may have used up what count saw.
	if 5*n > len(r.data)-r.at {
		r.fail(ErrTruncated, fmt.Sprintf("%d events announced, %d bytes left", n, len(r.data)-r.at))
		return nil
	}
	flags, unknown := r.data[r.at:r.at+n], ^byte(eventFlags)
	if r.version < 4 {
		unknown |= eventDelay
	}
	if r.version < 5 {
		unknown |= eventGroup
	}
	for i, f := range flags {
		if f&unknown != 0 {
			r.at += i
			r.fail(ErrCorrupted, fmt.Sprintf("event flags %#x", f))
			return nil
		}
	}
	r.at += n
	events := newEvents(n)
	var last int64
	r.column(n, "a time", func(i int, v int64) {
		last += v
		events[i] = Event{Time: last, Kind: Kind(flags[i] & eventKind), Cut: flags[i]&eventCut != 0}
	})
	r.column(n, "a duration", func(i int, v int64) { events[i].Duration = v })
	wide := int64(0)
	r.column(n, "a call's number", func(i int, v int64) {
		events[i].Number = int32(v)
		wide |= v ^ int64(int32(v))
	})
	r.column(n, "a return value", func(i int, v int64) {
		events[i].Return = int32(v)
		wide |= v ^ int64(int32(v))
	})
	if wide != 0 {
		r.fail(ErrCorrupted, "a call's number or return value is longer than 32 bits")
	}
	for i := range events {
		if flags[i]&eventElapsed != 0 {
			events[i].Elapsed = r.varint("an elapsed time")
		}
	}
	for i := range events {
		if flags[i]&eventStack == 0 {
			continue
		}
		ref := r.uvarint("a stack reference")
		if r.err == nil && (ref == 0 || ref > uint64(stacks)) {
			r.fail(ErrCorrupted, fmt.Sprintf("event %d refers to stack %d of %d", i, ref, stacks))
		}
		events[i].Stack = uint32(ref)
	}
	for i := range events {
		if flags[i]&eventDelay != 0 {
			events[i].Delay = r.varint("a delay")
		}
	}
	for i := range events {
		if flags[i]&eventGroup == 0 {
			continue
		}
		n := r.uvarint("a population")
		if n > math.MaxUint16 {
			r.fail(ErrCorrupted, "a population is longer than 16 bits")
		}
		events[i].Population = uint16(n) //nolint:gosec // bounded
	}
	return events
}

// column reads n signed values and hands each over with its index.
func (r *reader) column(n int, what string, set func(i int, v int64)) {
	if r.err != nil {
		return
	}
	data, at := r.data, r.at
	for i := range n {
		if at+1 < len(data) && data[at+1] < 0x80 && data[at] >= 0x80 { // two bytes, as most times
			u := uint64(data[at]&0x7f) | uint64(data[at+1])<<7
			at += 2
			set(i, int64(u>>1)^-int64(u&1)) //nolint:gosec // zigzag
			continue
		}
		var u uint64
		for shift := 0; ; shift += 7 {
			if at >= len(data) {
				r.at = at
				r.fail(ErrTruncated, what)
				return
			}
			b := data[at]
			if shift == 63 && b > 1 {
				r.at = at
				r.fail(ErrCorrupted, what+" is longer than 64 bits")
				return
			}
			at++
			u |= uint64(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
		set(i, int64(u>>1)^-int64(u&1)) //nolint:gosec // zigzag
	}
	r.at = at
}

// pooledEvents is the number of events from which their memory is worth keeping:
// 192 KiB, for which the allocator would ask and zero whole pages.
const pooledEvents = 4096

// pool has the memory of events that nobody needs any more.
var pool sync.Pool

// newEvents returns n events of any contents.
func newEvents(n int) []Event {
	if n >= pooledEvents {
		if old, ok := pool.Get().(*[]Event); ok && cap(*old) >= n {
			return (*old)[:n]
		}
	}
	return make([]Event, n)
}

// Release lets the memory of a decoded batch's events be used for the next one:
// nothing may refer to them any more.
func (b *Batch) Release() {
	if cap(b.Events) >= pooledEvents {
		old := b.Events
		pool.Put(&old)
	}
	b.Events = nil
}
