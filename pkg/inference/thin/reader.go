package thin

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// The limits of a stream. A reader refuses one beyond them.
const (
	// MaxRecord bounds a record, in bytes.
	MaxRecord = 8 << 20
	// MaxFrames bounds the distinct frames of a stream, and those of one stack.
	MaxFrames = 1 << 20
	// maxStackFrames bounds the frames of the stacks of one service together.
	maxStackFrames = 8 << 20
)

// Errors that a Reader wraps.
var (
	// ErrNewerVersion: written by a newer PerfScope; update the reader.
	ErrNewerVersion = errors.New("written in a newer version of the format")
	// ErrTruncated: the stream ends within a record.
	ErrTruncated = errors.New("truncated")
	// ErrCorrupted: the contents contradict themselves.
	ErrCorrupted = errors.New("corrupted")
	// ErrTooLarge: a limit of this package is exceeded.
	ErrTooLarge = errors.New("too large")
)

// Reader reads a stream. It never trusts it: one that is truncated, damaged, of a
// newer version or beyond the limits gives an error that says so. Memory stays below
// a hundred times what was read, and below the limits.
type Reader struct {
	in      *bufio.Reader
	version byte
	service Service
	begun   bool
	count   int
	strings []string
	frames  []threadtrace.Frame
	stacks  []threadtrace.Stack
	total   int // frames of stacks
	buf     []byte
}

// NewReader returns a reader of what a Writer wrote.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReader(in)} }

// Service is whose interval was read last.
func (r *Reader) Service() Service { return r.service }

// Next reads an interval; io.EOF means that there is none any more. first is set on
// the first one of a service instance. It shares no memory with those before it but
// for the dictionary, which nobody must change.
func (r *Reader) Next() (i *Interval, first bool, err error) {
	if r.count == 0 {
		if err := r.header(); err != nil {
			return nil, false, err
		}
	}
	for {
		r.count++
		kind, err := r.record()
		if errors.Is(err, io.EOF) {
			return nil, false, io.EOF
		}
		f := fields{data: r.buf, err: err}
		switch {
		case err != nil:
		case kind == recordService:
			r.service = Service{Name: f.text("the service's name"), Arch: f.text("the architecture")}
			r.stacks, r.total = nil, 0
			r.begun, first = true, true
		case kind == recordInterval && r.begun:
			i = r.interval(&f)
		case kind == recordInterval:
			f.fail(ErrCorrupted, "an interval before any service")
		default:
			f.fail(ErrCorrupted, fmt.Sprintf("kind %d", kind))
		}
		if f.err == nil && f.at < len(f.data) {
			f.fail(ErrCorrupted, "something follows its contents")
		}
		if f.err != nil {
			return nil, false, fmt.Errorf("thin recording: record %d: %w", r.count, f.err)
		}
		if i != nil {
			return i, first, nil
		}
	}
}

func (r *Reader) header() error {
	var head [len(magic) + 1]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: not even a header", ErrTruncated)
		}
		return fmt.Errorf("thin recording: %w", err)
	}
	r.version = head[len(magic)]
	switch version := r.version; {
	case string(head[:len(magic)]) != magic:
		return fmt.Errorf("thin recording: %w: starts with %q, not %q: this is something else", ErrCorrupted, head[:len(magic)], magic)
	case version > Version:
		return fmt.Errorf("thin recording: %w: %d, this reader knows up to %d; update it", ErrNewerVersion, version, Version)
	case version == 0:
		return fmt.Errorf("thin recording: %w: version 0 was never written", ErrCorrupted)
	}
	return nil
}

// record reads one into the buffer; io.EOF only where none begins.
func (r *Reader) record() (kind byte, err error) {
	kind, err = r.in.ReadByte()
	if err != nil {
		return 0, err
	}
	length, err := binary.ReadUvarint(r.in)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, ErrTruncated
	case err != nil:
		return 0, fmt.Errorf("%w: its length: %w", ErrCorrupted, err)
	case length > MaxRecord:
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, length, MaxRecord)
	}
	// What is not there is not allocated for.
	r.buf = r.buf[:0]
	for uint64(len(r.buf)) < length {
		at := len(r.buf)
		n := min(int(length)-at, 64<<10) //nolint:gosec // at most MaxRecord
		r.buf = append(r.buf, make([]byte, n)...)
		if _, err := io.ReadFull(r.in, r.buf[at:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = ErrTruncated
			}
			return 0, err
		}
	}
	return kind, nil
}

func (r *Reader) interval(f *fields) *Interval {
	i := &Interval{Start: f.signed("the start")}
	length := f.time("the length")
	if f.err == nil && (length < int64(1e6) || length > int64(3600e9) || i.Start < 0 || i.Start > math.MaxInt64/2) {
		f.fail(ErrCorrupted, "an interval without a sensible beginning or end")
	}
	i.End = i.Start + length
	i.Delivered = i.End + f.time("the delivery")
	r.dictionary(f)
	i.Stacks = r.stacks[:len(r.stacks):len(r.stacks)]
	f.coverage(i)
	f.threads(i)
	f.cells(i)
	f.calls(i)
	if r.version >= versionMachine {
		f.machine(&i.Machine)
	}
	if r.version >= versionFlows {
		f.flows(i)
	}
	return i
}

func (r *Reader) dictionary(f *fields) {
	for range f.count("strings", 1) {
		if len(r.strings) >= 3*MaxFrames {
			f.fail(ErrTooLarge, "strings")
			return
		}
		r.strings = append(r.strings, f.text("a string"))
	}
	for range f.count("frames", 3) {
		if len(r.frames) >= MaxFrames {
			f.fail(ErrTooLarge, "frames")
			return
		}
		frame := threadtrace.Frame{Function: f.pick("a function", r.strings), Module: f.pick("a module", r.strings)}
		flags := f.index("flags", 2*frameInlined)
		frame.Origin, frame.Inlined = threadtrace.Origin(flags&frameOrigin), flags&frameInlined != 0
		r.frames = append(r.frames, frame)
	}
	for range f.count("stacks", 1) {
		head := f.number("a stack")
		n := head >> 1
		if r.total += int(min(n, maxStackFrames)); len(r.stacks) >= MaxStacks || r.total > maxStackFrames { //nolint:gosec // bounded
			f.fail(ErrTooLarge, "stacks")
		}
		if f.err == nil && n > uint64(len(f.data)-f.at) {
			f.fail(ErrTruncated, "a stack")
		}
		if f.err != nil {
			return
		}
		s := threadtrace.Stack{Frames: make([]threadtrace.Frame, n), Complete: head&1 != 0}
		for i := range s.Frames {
			if at := f.index("a frame", len(r.frames)); f.err == nil {
				s.Frames[i] = r.frames[at]
			}
		}
		r.stacks = append(r.stacks, s)
	}
}
