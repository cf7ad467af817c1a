package syscalltrace

import "fmt"

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
	if r.err == nil && r.at != len(r.data) {
		r.fail(ErrCorrupted, fmt.Sprintf("%d bytes after the last event", len(r.data)-r.at))
	}
	return arch, b
}

// contexts reads the trace contexts, of which a block of this version has some.
func (r *reader) contexts() []Context {
	const size = 16 + 8
	n := r.count("trace contexts", 1+size, MaxContexts)
	if n == 0 {
		r.fail(ErrCorrupted, "a version with trace contexts, and there are none")
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
	flags := r.data[r.at : r.at+n]
	for i, f := range flags {
		if f&^byte(eventFlags) != 0 {
			r.at += i
			r.fail(ErrCorrupted, fmt.Sprintf("event flags %#x", f))
			return nil
		}
	}
	r.at += n
	events := make([]Event, n)
	var last int64
	for i := range events {
		last += r.varint("a time")
		events[i].Kind, events[i].Cut = Kind(flags[i]&eventKind), flags[i]&eventCut != 0
		events[i].Time = last
	}
	for i := range events {
		events[i].Duration = r.varint("a duration")
	}
	for i := range events {
		events[i].Number = r.int32("a call's number")
	}
	for i := range events {
		events[i].Return = r.int32("a return value")
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
	return events
}
