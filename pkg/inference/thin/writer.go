package thin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// The stream: a magic and a version, then records, each a kind, the length of what
// follows, and that. All numbers are varints.
//
//	service    name, arch
//	interval   when, the strings, frames and stacks that are new, then what was seen,
//	           in columns
//
// Strings and frames are numbered over the whole stream, stacks over a service. The
// stream is made to be compressed: what stays the same is written the same way.

const (
	magic = "PST"
	// Version is that of the stream that this package writes, and the newest that it
	// reads. Version 2 has populations of goroutines, version 3 what was lacked of the
	// machine, version 4 what waits were spent on.
	Version = 4

	versionMachine = 3
	versionFlows   = 4

	recordService  = 1
	recordInterval = 2

	frameOrigin  = 0x03
	frameInlined = 0x04

	// resolution is how exact times are kept, in nanoseconds; longestResolution that
	// of how long a wait had lasted, of which the first bits are kept.
	resolution        = int64(1e3)
	longestResolution = int64(1e6)
	longestBits       = 7
	// sparse is the number of moments from which all are written as they are.
	sparse = 8
)

// Writer writes the intervals of services to a stream.
type Writer struct {
	out     io.Writer
	begun   bool
	service bool
	strings map[string]uint64
	frames  map[threadtrace.Frame]uint64
	stacks  int
	buf     buffer
}

// NewWriter returns a writer to out, which nobody else writes to.
func NewWriter(out io.Writer) *Writer {
	return &Writer{out: out, strings: map[string]uint64{}, frames: map[threadtrace.Frame]uint64{}}
}

// Begin says whose intervals follow.
func (w *Writer) Begin(s Service) error {
	w.stacks, w.service = 0, true
	w.buf = w.buf[:0]
	w.buf.text(s.Name)
	w.buf.text(s.Arch)
	return w.record(recordService)
}

// Write writes an interval. Those of a service come in the order of time, each with
// a dictionary that begins with that of the one before. Times are rounded to
// microseconds; of Longest the first seven bits are kept, at least to milliseconds.
func (w *Writer) Write(i *Interval) error {
	switch {
	case !w.service:
		return errors.New("thin: an interval without a service; call Begin before")
	case len(i.Stacks) < w.stacks:
		return fmt.Errorf("thin: a dictionary of %d stacks after one of %d: it is not that of the service", len(i.Stacks), w.stacks)
	}
	w.buf = w.buf[:0]
	b := &w.buf
	b.signed(i.Start)
	b.time(i.End - i.Start)
	b.time(i.Delivered - i.End)
	w.appendStacks(i.Stacks[w.stacks:])
	w.stacks = len(i.Stacks)
	b.coverage(i)
	b.threads(i)
	b.cells(i)
	b.calls(i)
	b.machine(&i.Machine)
	b.flows(i.Flows)
	return w.record(recordInterval)
}

func (w *Writer) record(kind byte) error {
	var head buffer
	if !w.begun {
		w.begun = true
		head = append(append(head, magic...), Version)
	}
	head = append(head, kind)
	head.number(uint64(len(w.buf)))
	if len(w.buf) > MaxRecord {
		return fmt.Errorf("thin: a record of %d bytes, at most %d", len(w.buf), MaxRecord)
	}
	if _, err := w.out.Write(head); err != nil {
		return err
	}
	_, err := w.out.Write(w.buf)
	return err
}

// appendStacks writes new stacks with what is new in them.
func (w *Writer) appendStacks(stacks []threadtrace.Stack) {
	var texts, frames, out buffer
	nTexts, nFrames := uint64(0), uint64(0)
	text := func(s string) uint64 {
		s = s[:min(len(s), threadtrace.MaxString)]
		n, ok := w.strings[s]
		if !ok {
			n = uint64(len(w.strings))
			w.strings[s] = n
			nTexts++
			texts.text(s)
		}
		return n
	}
	for i := range stacks {
		s := &stacks[i]
		head := uint64(len(s.Frames)) << 1
		if s.Complete {
			head |= 1
		}
		out.number(head)
		for _, f := range s.Frames {
			f = plain(f)
			n, ok := w.frames[f]
			if !ok {
				n = uint64(len(w.frames))
				w.frames[f] = n
				nFrames++
				flags := uint64(f.Origin & frameOrigin)
				if f.Inlined {
					flags |= frameInlined
				}
				frames.number(text(f.Function))
				frames.number(text(f.Module))
				frames.number(flags)
			}
			out.number(n)
		}
	}
	w.buf.number(nTexts)
	w.buf = append(w.buf, texts...)
	w.buf.number(nFrames)
	w.buf = append(w.buf, frames...)
	w.buf.number(uint64(len(stacks)))
	w.buf = append(w.buf, out...)
}

// buffer appends values.
type buffer []byte

func (b *buffer) number(v uint64) { *b = binary.AppendUvarint(*b, v) }

func (b *buffer) signed(v int64) { *b = binary.AppendVarint(*b, v) }

func (b *buffer) text(s string) {
	s = s[:min(len(s), threadtrace.MaxString)]
	b.number(uint64(len(s)))
	*b = append(*b, s...)
}

// time writes a length of time; what is below zero makes no sense and is none.
func (b *buffer) time(ns int64) { b.number(uint64(max(0, ns+resolution/2) / resolution)) } //nolint:gosec // not negative

func (b *buffer) coverage(i *Interval) {
	if i.To == 0 {
		b.number(0)
	} else {
		b.number(1)
		b.time(i.From - i.Start)
		b.time(i.End - i.To)
	}
	for _, t := range []int64{i.Looked, i.Traced, i.CPUTime, i.RunDelay, i.SamplePeriod, i.SnapshotPeriod, i.CPUOutside, i.Gaps} {
		b.time(t)
	}
	b.number(uint64(max(0, i.Looks)))     //nolint:gosec // not negative
	b.number(uint64(max(0, i.Functions))) //nolint:gosec // not negative
	b.number(i.Dropped)
}

func (b *buffer) threads(i *Interval) {
	b.number(uint64(len(i.Threads)))
	last := int32(0)
	for _, id := range i.Threads {
		b.signed(int64(id - last))
		last = id
	}
}

func (b *buffer) cells(i *Interval) {
	cells := i.Cells
	b.number(uint64(len(cells)))
	last := int32(0)
	for _, c := range cells {
		b.signed(int64(c.Thread - last))
		last = c.Thread
	}
	for _, c := range cells {
		b.number(uint64(c.Stack))
	}
	for _, c := range cells {
		if c.Waiting {
			b.number(1 + uint64(uint32(c.Number))) //nolint:gosec // and back
		} else {
			b.number(0)
		}
	}
	for _, c := range cells {
		b.periods(c.Time, i.periodOf(c.Waiting))
	}
	known, distinct := map[uint64]uint64{}, []uint64(nil)
	for _, c := range cells {
		if _, ok := known[c.Moments]; !ok {
			known[c.Moments] = uint64(len(distinct))
			distinct = append(distinct, c.Moments)
		}
	}
	b.number(uint64(len(distinct)))
	for _, m := range distinct {
		b.moments(m)
	}
	for _, c := range cells {
		b.number(known[c.Moments])
	}
	for _, c := range cells {
		if c.Waiting {
			b.number(floor(uint64(max(0, c.Longest/longestResolution)), longestBits)) //nolint:gosec // not negative
		}
		if c.Waiting && threadtrace.IsGoroutineWait(c.Number) {
			b.number(uint64(c.Population))
		}
	}
}

// periodOf is what one sighting of a cell stands for.
func (i *Interval) periodOf(waiting bool) int64 {
	if waiting {
		return i.SnapshotPeriod
	}
	return i.SamplePeriod
}

// periods writes a time that often is a whole number of periods.
func (b *buffer) periods(ns, period int64) {
	if period > 0 && ns >= 0 && ns%period == 0 {
		b.number(uint64(ns/period)<<1 | 1) //nolint:gosec // not negative
		return
	}
	b.number(uint64(max(0, ns+resolution/2)/resolution) << 1) //nolint:gosec // not negative
}

// moments writes the positions of the bits if they are few.
func (b *buffer) moments(m uint64) {
	n := bits.OnesCount64(m)
	if n >= sparse {
		*b = append(*b, sparse)
		*b = binary.LittleEndian.AppendUint64(*b, m)
		return
	}
	*b = append(*b, byte(n))
	for ; m != 0; m &= m - 1 {
		*b = append(*b, byte(bits.TrailingZeros64(m))) //nolint:gosec // below 64
	}
}

// floor keeps the first bits of a number.
func floor(v uint64, keep int) uint64 {
	if drop := bits.Len64(v) - keep; drop > 0 {
		return v >> drop << drop
	}
	return v
}

func (b *buffer) key(number, errno int32) {
	b.signed(int64(number))
	b.signed(int64(errno))
}

func (b *buffer) calls(i *Interval) {
	b.number(uint64(len(i.Calls)))
	for _, c := range i.Calls {
		b.key(c.Number, c.Errno)
		b.number(c.N)
		b.time(c.Time)
		b.number(uint64(max(0, c.Bytes))) //nolint:gosec // not negative
	}
	b.number(uint64(len(i.TimedOut)))
	for _, t := range i.TimedOut {
		b.signed(int64(t.Number))
		b.time(t.Time)
	}
	b.number(uint64(len(i.Sites)))
	for _, s := range i.Sites {
		b.key(s.Number, s.Errno)
		b.number(uint64(s.Stack))
		b.number(uint64(s.N))
	}
	b.number(uint64(len(i.Refused)))
	for _, r := range i.Refused {
		b.key(r.Number, r.Errno)
		b.signed(int64(r.Thread))
		b.signed((r.First - i.Start) / resolution)
		b.time(r.Last - r.First)
	}
}

// machine writes a zero when nothing is known.
func (b *buffer) machine(m *Machine) {
	b.time(m.Known)
	if m.Known+resolution/2 < resolution {
		return
	}
	b.number(uint64(len(m.Readings)))
	for _, r := range m.Readings {
		*b = append(*b, byte(r.Measure))
		b.number(uint64(r.Resource))
		b.number(uint64(max(0, r.Value))) //nolint:gosec // not negative
	}
	b.number(uint64(len(m.Users)))
	for _, u := range m.Users {
		*b = append(*b, byte(u.Of))
		b.number(uint64(u.Who))
		b.number(uint64(max(0, u.Value))) //nolint:gosec // not negative
	}
}
