package threadtrace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"unicode/utf8"
)

// The packed block: what one thread did over one flush, in columns of varints.
//
//	magic "PSB", version (1 byte)
//	arch, thread name                       length-prefixed strings
//	thread id, dropped, number of events
//	strings   count, then each length-prefixed
//	frames    count, then function, module, file (string indexes), line, flags
//	stacks    count, then flags, depth, frame indexes
//	columns   flags of every event, then times (deltas), durations, numbers,
//	          returns, and for the events whose flags say so elapsed, stack,
//	          delay (version 4) and population (version 5)
//	contexts  count, times (deltas), then trace id and parent id (version 3;
//	          from version 4 on the count may be zero)
//	wakings   count, then each (version 6)
//	CRC-32C of everything before it         4 bytes, little endian
//
// Signed values are zigzag varints. Every event takes at least five bytes,
// which is what bounds the memory a hostile block can ask for.

// Version is the newest version of the packed block this package reads. It
// writes the oldest that can hold the batch: version 2 has events that are cut,
// version 3 trace contexts, version 4 delays, version 5 goroutines, version 6 wakings.
const Version = 6

// The limits of a packed block. Encode refuses a batch beyond them (split it
// by events), Decode a block beyond them.
const (
	// MaxBlockBytes bounds an encoded block.
	MaxBlockBytes = 16 << 20
	// MaxEvents bounds the events of a block.
	MaxEvents = 1 << 20
	// MaxContexts bounds the trace contexts of a block.
	MaxContexts = 1 << 16
	// MaxStacks bounds the stacks of a block.
	MaxStacks = 1 << 16
	// MaxFrames bounds the frames of all stacks of a block together.
	MaxFrames = 1 << 18
	// MaxString bounds one string, in bytes; Encode cuts longer ones, which
	// only demangled templates are, Decode refuses them.
	MaxString = 8 << 10
)

const (
	magic      = "PSB"
	headerSize = len(magic) + 1
	crcSize    = 4

	eventKind    = 0x03
	eventStack   = 0x04
	eventElapsed = 0x08
	eventCut     = 0x10
	eventDelay   = 0x20
	eventGroup   = 0x40
	eventFlags   = eventKind | eventStack | eventElapsed | eventCut | eventDelay | eventGroup

	frameOrigin  = 0x03
	frameInlined = 0x04
	frameFlags   = frameOrigin | frameInlined

	stackComplete = 0x01
)

// Errors that Decode wraps, to tell what to do about a block it refused.
var (
	// ErrNewerVersion: written by a newer PerfScope; update the reader.
	ErrNewerVersion = errors.New("written in a newer version of the format")
	// ErrTruncated: the block ends before its contents do.
	ErrTruncated = errors.New("truncated")
	// ErrCorrupted: the contents contradict themselves or the checksum.
	ErrCorrupted = errors.New("corrupted")
	// ErrTooLarge: a limit of this package is exceeded.
	ErrTooLarge = errors.New("too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encoder turns batches into packed blocks. It reuses its tables from batch
// to batch, so that once warm it does not allocate; it is not safe for
// concurrent use. The zero value is ready.
type Encoder struct {
	stringIndex map[string]uint64
	strings     []string
	frameIndex  map[Frame]uint64
	frames      []Frame
	version     byte // the oldest that can hold the batch
}

// Encode packs a batch into a new block.
func Encode(arch string, b *Batch) ([]byte, error) {
	var e Encoder
	return e.Append(nil, arch, b)
}

// Append appends the block of a batch to dst and returns the longer slice, or
// dst unchanged and an error when the batch exceeds the limits or contradicts
// itself (an event whose stack is not in the batch).
func (e *Encoder) Append(dst []byte, arch string, b *Batch) ([]byte, error) {
	if err := e.collect(b); err != nil {
		return dst, err
	}
	start := len(dst)
	out := append(dst, magic...)
	out = append(out, e.version)
	out = appendString(out, arch)
	out = appendString(out, b.ThreadName)
	out = binary.AppendVarint(out, int64(b.ThreadID))
	out = binary.AppendUvarint(out, b.Dropped)
	out = binary.AppendUvarint(out, uint64(len(b.Events)))
	out = e.appendStacks(out, b.Stacks)
	out = appendEvents(out, b.Events)
	if e.version >= 4 {
		out = appendDelays(out, b.Events)
	}
	if e.version >= 5 {
		out = appendPopulations(out, b.Events)
	}
	out = appendContexts(out, b.Contexts, e.version)
	if e.version >= 6 {
		out = appendWakings(out, b.Wakings)
	}
	if len(out)-start+crcSize > MaxBlockBytes {
		return dst, fmt.Errorf("batch of thread %d: %w: %d bytes packed, at most %d; split it", b.ThreadID, ErrTooLarge, len(out)-start, MaxBlockBytes)
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[start:], castagnoli)), nil
}

// collect checks the batch and fills the tables of strings and frames.
func (e *Encoder) collect(b *Batch) error {
	if e.stringIndex == nil {
		e.stringIndex, e.frameIndex = map[string]uint64{}, map[Frame]uint64{}
	}
	clear(e.stringIndex)
	clear(e.frameIndex)
	e.strings, e.frames = e.strings[:0], e.frames[:0]
	if len(b.Events) > MaxEvents || len(b.Stacks) > MaxStacks || len(b.Contexts) > MaxContexts || len(b.Wakings) > MaxWakings {
		return fmt.Errorf("batch of thread %d: %w: %d events, %d stacks, %d contexts, %d wakings; at most %d, %d, %d, %d; split it",
			b.ThreadID, ErrTooLarge, len(b.Events), len(b.Stacks), len(b.Contexts), len(b.Wakings), MaxEvents, MaxStacks, MaxContexts, MaxWakings)
	}
	if err := checkWakings(b); err != nil {
		return err
	}
	e.version = 1
	if len(b.Contexts) > 0 {
		e.version = 3
	}
	if len(b.Wakings) > 0 {
		e.version = 6
	}
	for i := range b.Events {
		ev := &b.Events[i]
		if ev.Cut {
			e.version = max(e.version, 2)
		}
		if ev.Delay != 0 {
			e.version = max(e.version, 4)
		}
		if ev.Population != 0 {
			e.version = max(e.version, 5)
		}
		if ev.Kind > eventKind || uint64(ev.Stack) > uint64(len(b.Stacks)) {
			return fmt.Errorf("batch of thread %d: event %d has kind %d and stack %d of %d", b.ThreadID, i, ev.Kind, ev.Stack, len(b.Stacks))
		}
	}
	total := 0
	for i := range b.Stacks {
		total += len(b.Stacks[i].Frames)
		for _, f := range b.Stacks[i].Frames {
			if f.Origin > frameOrigin {
				return fmt.Errorf("batch of thread %d: stack %d: frame with origin %d", b.ThreadID, i+1, f.Origin)
			}
			if _, known := e.frameIndex[f]; known {
				continue
			}
			e.frameIndex[f] = uint64(len(e.frames))
			e.frames = append(e.frames, f)
			e.intern(f.Function)
			e.intern(f.Module)
			e.intern(f.File)
		}
	}
	if total > MaxFrames {
		return fmt.Errorf("batch of thread %d: %w: %d frames in its stacks, at most %d; split it", b.ThreadID, ErrTooLarge, total, MaxFrames)
	}
	return nil
}

func (e *Encoder) intern(s string) {
	if _, known := e.stringIndex[s]; !known {
		e.stringIndex[s] = uint64(len(e.strings))
		e.strings = append(e.strings, s)
	}
}

func (e *Encoder) appendStacks(out []byte, stacks []Stack) []byte {
	out = binary.AppendUvarint(out, uint64(len(e.strings)))
	for _, s := range e.strings {
		out = appendString(out, s)
	}
	out = binary.AppendUvarint(out, uint64(len(e.frames)))
	for i := range e.frames {
		f := &e.frames[i]
		out = binary.AppendUvarint(out, e.stringIndex[f.Function])
		out = binary.AppendUvarint(out, e.stringIndex[f.Module])
		out = binary.AppendUvarint(out, e.stringIndex[f.File])
		out = binary.AppendVarint(out, int64(f.Line))
		flags := byte(f.Origin)
		if f.Inlined {
			flags |= frameInlined
		}
		out = append(out, flags)
	}
	out = binary.AppendUvarint(out, uint64(len(stacks)))
	for i := range stacks {
		var flags byte
		if stacks[i].Complete {
			flags = stackComplete
		}
		out = append(out, flags)
		out = binary.AppendUvarint(out, uint64(len(stacks[i].Frames)))
		for _, f := range stacks[i].Frames {
			out = binary.AppendUvarint(out, e.frameIndex[f])
		}
	}
	return out
}

// A column is written into room for the longest there can be: one check for
// all of its values.
func appendEvents(out []byte, events []Event) []byte {
	stacks, elapsed := false, false
	at := len(out)
	out = slices.Grow(out, len(events))[:at+len(events)]
	for i := range events {
		e := &events[i]
		flags := byte(e.Kind)
		if e.Stack != 0 {
			flags, stacks = flags|eventStack, true
		}
		if e.Elapsed != 0 {
			flags, elapsed = flags|eventElapsed, true
		}
		if e.Cut {
			flags |= eventCut
		}
		if e.Delay != 0 {
			flags |= eventDelay
		}
		if e.Population != 0 {
			flags |= eventGroup
		}
		out[at+i] = flags
	}
	var last int64
	out, at = columnRoom(out, len(events))
	for i := range events {
		at = putVarint(out, at, events[i].Time-last) // wraps, and back on decode
		last = events[i].Time
	}
	out, at = columnRoom(out[:at], len(events))
	for i := range events {
		at = putVarint(out, at, events[i].Duration)
	}
	out, at = columnRoom(out[:at], len(events))
	for i := range events {
		at = putVarint(out, at, int64(events[i].Number))
	}
	out, at = columnRoom(out[:at], len(events))
	for i := range events {
		at = putVarint(out, at, int64(events[i].Return))
	}
	out = out[:at]
	for i := 0; elapsed && i < len(events); i++ {
		if events[i].Elapsed != 0 {
			out = binary.AppendVarint(out, events[i].Elapsed)
		}
	}
	for i := 0; stacks && i < len(events); i++ {
		if events[i].Stack != 0 {
			out = binary.AppendUvarint(out, uint64(events[i].Stack))
		}
	}
	return out
}

// columnRoom makes room for n varints and returns where they begin.
func columnRoom(out []byte, n int) (room []byte, at int) {
	at = len(out)
	return slices.Grow(out, n*binary.MaxVarintLen64)[:at+n*binary.MaxVarintLen64], at
}

// putVarint writes a zigzag varint and returns where it ends.
func putVarint(out []byte, at int, v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for ; u >= 0x80; at++ {
		out[at] = byte(u) | 0x80
		u >>= 7
	}
	out[at] = byte(u)
	return at + 1
}

func appendDelays(out []byte, events []Event) []byte {
	for i := range events {
		if events[i].Delay != 0 {
			out = binary.AppendVarint(out, events[i].Delay)
		}
	}
	return out
}

func appendPopulations(out []byte, events []Event) []byte {
	for i := range events {
		if events[i].Population != 0 {
			out = binary.AppendUvarint(out, uint64(events[i].Population))
		}
	}
	return out
}

// appendContexts appends nothing to a version that has none.
func appendContexts(out []byte, contexts []Context, version byte) []byte {
	if version < 3 {
		return out
	}
	out = binary.AppendUvarint(out, uint64(len(contexts)))
	var last int64
	for i := range contexts {
		out = binary.AppendVarint(out, contexts[i].Time-last)
		last = contexts[i].Time
	}
	for i := range contexts {
		out = append(out, contexts[i].TraceID[:]...)
		out = append(out, contexts[i].ParentID[:]...)
	}
	return out
}

// appendString appends a length and the string, cut to MaxString bytes at the
// start of a rune.
func appendString(out []byte, s string) []byte {
	if len(s) > MaxString {
		end := MaxString
		for end > MaxString-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	out = binary.AppendUvarint(out, uint64(len(s)))
	return append(out, s...)
}

// Decode reads a packed block and gives the architecture its system call
// numbers belong to with the batch. It never trusts its input: a block that is
// truncated, corrupted, of a newer version or beyond the limits gives an error
// that says which and where, and memory stays below a hundred times the
// block's size. The batch shares no memory with data.
func Decode(data []byte) (arch string, b *Batch, err error) {
	if len(data) < headerSize {
		return "", nil, fmt.Errorf("packed block: %w: %d bytes, not even a header", ErrTruncated, len(data))
	}
	if string(data[:len(magic)]) != magic {
		return "", nil, fmt.Errorf("packed block: %w: starts with %q, not %q: not a packed block", ErrCorrupted, data[:len(magic)], magic)
	}
	if v := data[len(magic)]; v > Version {
		return "", nil, fmt.Errorf("packed block: %w: %d, this reader knows up to %d; update the reading collector", ErrNewerVersion, v, Version)
	} else if v == 0 {
		return "", nil, fmt.Errorf("packed block: %w: version 0 was never written", ErrCorrupted)
	}
	if len(data) > MaxBlockBytes {
		return "", nil, fmt.Errorf("packed block: %w: %d bytes, at most %d", ErrTooLarge, len(data), MaxBlockBytes)
	}
	if len(data) < headerSize+crcSize {
		return "", nil, fmt.Errorf("packed block: %w: %d bytes", ErrTruncated, len(data))
	}
	body, sum := data[:len(data)-crcSize], binary.LittleEndian.Uint32(data[len(data)-crcSize:])
	r := reader{data: body, at: headerSize, version: data[len(magic)]}
	arch, b = r.batch()
	// The walk comes first because it can tell a cut block from a damaged
	// one, which the checksum cannot.
	if r.err != nil {
		return "", nil, fmt.Errorf("packed block: %w", r.err)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return "", nil, fmt.Errorf("packed block: %w: checksum of %d bytes does not match", ErrCorrupted, len(body))
	}
	return arch, b, nil
}

// reader walks a block. After the first error every read gives zero.
type reader struct {
	data    []byte
	at      int
	version byte
	err     error
}

func (r *reader) fail(err error, what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w at byte %d of %d: %s", err, r.at, len(r.data), what)
	}
}

func (r *reader) uvarint(what string) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		r.failVarint(n, what)
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint(what string) int64 {
	if r.err != nil {
		return 0
	}
	if r.at < len(r.data) && r.data[r.at] < 0x80 { // as most are
		u := int64(r.data[r.at])
		r.at++
		return u>>1 ^ -(u & 1)
	}
	v, n := binary.Varint(r.data[r.at:])
	if n <= 0 {
		r.failVarint(n, what)
		return 0
	}
	r.at += n
	return v
}

func (r *reader) failVarint(n int, what string) {
	if n == 0 {
		r.fail(ErrTruncated, what)
	} else {
		r.fail(ErrCorrupted, what+" is longer than 64 bits")
	}
}

func (r *reader) int32(what string) int32 {
	v := r.varint(what)
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.fail(ErrCorrupted, what+" is longer than 32 bits")
	}
	return int32(v)
}

func (r *reader) byte(what string) byte {
	if r.err != nil {
		return 0
	}
	if r.at >= len(r.data) {
		r.fail(ErrTruncated, what)
		return 0
	}
	r.at++
	return r.data[r.at-1]
}

// count reads a number of things that take at least size bytes each; one that
// cannot fit in what is left is refused before anything is allocated for it.
func (r *reader) count(what string, size, limit int) int {
	n := r.uvarint(what)
	if r.err != nil {
		return 0
	}
	if n > uint64(limit) {
		r.fail(ErrTooLarge, fmt.Sprintf("%d %s, at most %d", n, what, limit))
		return 0
	}
	if n*uint64(size) > uint64(len(r.data)-r.at) {
		r.fail(ErrTruncated, fmt.Sprintf("%d %s announced, %d bytes left", n, what, len(r.data)-r.at))
		return 0
	}
	return int(n)
}

func (r *reader) string(what string) string {
	n := r.count("bytes of "+what, 1, MaxString)
	s := string(r.data[r.at : r.at+n])
	r.at += n
	return s
}

func (r *reader) index(what string, n int) int {
	v := r.uvarint(what)
	if r.err == nil && v >= uint64(n) {
		r.fail(ErrCorrupted, fmt.Sprintf("%s %d of %d", what, v, n))
	}
	if r.err != nil {
		return 0
	}
	return int(v)
}
