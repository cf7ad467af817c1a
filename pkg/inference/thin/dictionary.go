package thin

import (
	"encoding/binary"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// MaxStacks bounds the distinct stacks of one service. One beyond is no stack.
const MaxStacks = 1 << 16

// dictionary gives stacks their numbers.
type dictionary struct {
	stacks  []threadtrace.Stack
	byKey   map[string]uint32
	frames  map[threadtrace.Frame]uint32
	scratch []byte
}

func newDictionary() *dictionary {
	return &dictionary{byKey: map[string]uint32{}, frames: map[threadtrace.Frame]uint32{}}
}

// number is that of a stack, counted from one; zero is none.
func (d *dictionary) number(s *threadtrace.Stack) uint32 {
	if len(s.Frames) == 0 {
		return 0
	}
	d.scratch = d.scratch[:0]
	for i := range s.Frames {
		d.scratch = binary.LittleEndian.AppendUint32(d.scratch, d.frame(s.Frames[i]))
	}
	if n, ok := d.byKey[string(d.scratch)]; ok {
		return n
	}
	if len(d.stacks) >= MaxStacks {
		return 0
	}
	kept := threadtrace.Stack{Frames: make([]threadtrace.Frame, len(s.Frames)), Complete: s.Complete}
	for i := range s.Frames {
		kept.Frames[i] = plain(s.Frames[i])
	}
	d.stacks = append(d.stacks, kept)
	n := uint32(len(d.stacks)) //nolint:gosec // at most MaxStacks
	d.byKey[string(d.scratch)] = n
	return n
}

// plain is a frame without its place in the source.
func plain(f threadtrace.Frame) threadtrace.Frame {
	f.File, f.Line = "", 0
	return f
}

func (d *dictionary) frame(f threadtrace.Frame) uint32 {
	f = plain(f)
	n, ok := d.frames[f]
	if !ok {
		n = uint32(len(d.frames)) //nolint:gosec // at most the frames of MaxStacks
		d.frames[f] = n
	}
	return n
}
