package interpreter

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"regexp"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Where Ruby 3.1 has what a look needs (offsetof on 64 bits; testdata/ruby_offsets.c
// prints it).
const (
	rubyRactors, rubyMainThread = 8, 40 // rb_vm_t.ractor.set, .main_thread

	rubyRactorNode, rubyRactorThreads = 568, 304 // rb_ractor_t.vmlr_node, .threads.set

	rubyContext, rubyThreadID = 40, 88 // rb_thread_t.ec, .tid; its lt_node is first

	rubyStack, rubyStackSize, rubyFrame, rubyContextSize = 0, 8, 16, 24 // rb_execution_context_t

	rubyPC, rubyISeq, rubyEP, rubyFrameSize = 0, 16, 32, 64 // rb_control_frame_t

	rubyBody = 16 // rb_iseq_t.body

	// rb_iseq_constant_body
	rubySize, rubyCode, rubyPath, rubyLabel, rubyFirst = 4, 8, 64, 72, 88
	rubyLines, rubyLineCount, rubyIndex, rubyBodySize  = 120, 136, 144, 152

	// rubyLineSize is that of an iseq_insn_info_entry, which begins with the line.
	rubyLineSize = 12
	// rubyFinish is set on the frame that a call of the loop began with
	// (VM_FRAME_FLAG_FINISH).
	rubyFinish = 0x20
	// rubyKind is the part of a frame's flags that says what it is (VM_FRAME_MAGIC_MASK),
	// rubyDummy the lowest frame of a thread, which runs nothing (VM_FRAME_MAGIC_DUMMY).
	rubyKind, rubyDummy = 0x7fff0001, 0x79990001

	// The types of objects, and the mark of strings and arrays that differs by where
	// their contents are.
	rubyType, rubyString, rubyArray, rubyMark = 0x1f, 0x05, 0x07, 1 << 13
)

// rubyProgram is how the programs and libraries of Ruby 3.1 are named.
var rubyProgram = regexp.MustCompile(`^(?:libruby(?:-3\.1)?\.so\.3\.1(?:\.\d+)?|ruby3\.1)$`)

// ruby reads the frames of one process of Ruby.
type ruby struct {
	vm uint64 // where the pointer to it is
	// threads has them by native thread id, functions those met by their body.
	threads   map[int32]uint64
	functions map[uint64]*rubyFunction
	held      int64 // bytes, of functions
}

func (r *ruby) bytes() int64 { return r.held + int64(len(r.threads))*32 }

// rubyFunction is what is remembered of an instruction sequence.
type rubyFunction struct {
	path, label, code, lines, index uint64
	size, count                     uint32
	frame                           threadtrace.Frame
	checked                         time.Time
}

func newRuby(p *Program, _ *look) (*ruby, error) {
	if !rubyProgram.MatchString(p.Module) {
		return nil, fmt.Errorf("%w: Ruby %s", ErrUnsupported, cleantext.Clean(p.Module, cleantext.MaxName))
	}
	return &ruby{vm: p.Variables["ruby_current_vm_ptr"], threads: map[int32]uint64{}, functions: map[uint64]*rubyFunction{}}, nil
}

// calls are the frames of a thread: they lie side by side, callees below their
// callers.
func (r *ruby) calls(l *look, t Thread) ([]Call, error) {
	thread, err := r.thread(l, t)
	if err != nil {
		return nil, err
	}
	context, err := l.word(thread + rubyContext)
	if err != nil {
		return nil, err
	}
	var c [rubyContextSize]byte
	if err := l.read(c[:], context); err != nil {
		return nil, err
	}
	frame, start, size := at(c[:], rubyFrame), at(c[:], rubyStack), at(c[:], rubyStackSize)
	if start > highest || size > highest/8 {
		return nil, ErrMalformed
	}
	end := start + 8*size
	var calls callList
	for links := 0; frame >= start && frame+rubyFrameSize <= end; frame += rubyFrameSize {
		if links++; calls.full() || links > 2*maxFrames {
			return calls.cut(), nil
		}
		f, finish, err := r.frame(l, frame)
		if err != nil {
			return calls.cut(), err
		}
		if f != nil {
			calls.add(*f)
		}
		if finish {
			calls.end()
		}
	}
	return calls.all(), nil
}

// thread finds a thread by its native id. Ruby leaves the main thread of a forked
// process the id that it had in its parent (bugs.ruby-lang.org/issues/19873).
func (r *ruby) thread(l *look, t Thread) (uint64, error) {
	if thread, ok := r.threads[t.Inner]; ok {
		var id [4]byte
		if err := l.read(id[:], thread+rubyThreadID); err == nil && int32At(id[:], 0) == t.Inner {
			return thread, nil
		}
	}
	clear(r.threads)
	vm, err := l.word(r.vm)
	if err != nil {
		return 0, err
	}
	links := 0
	err = eachLink(l, vm+rubyRactors, &links, func(node uint64) error {
		return eachLink(l, node-rubyRactorNode+rubyRactorThreads, &links, func(thread uint64) error {
			var id [4]byte
			if err := l.read(id[:], thread+rubyThreadID); err != nil {
				return err
			}
			if len(r.threads) < maxStates {
				r.threads[int32At(id[:], 0)] = thread
			}
			return nil
		})
	})
	if err != nil {
		return 0, err
	}
	if thread, ok := r.threads[t.Inner]; ok {
		return thread, nil
	}
	if t.Main {
		return l.word(vm + rubyMainThread)
	}
	return 0, ErrNoThread
}

// eachLink visits the nodes of a circular list, but its head.
func eachLink(l *look, head uint64, links *int, visit func(node uint64) error) error {
	node, err := l.word(head)
	for err == nil && node != head {
		if *links++; *links > maxLinks {
			return ErrTooMuch
		}
		if err = visit(node); err == nil {
			node, err = l.word(node)
		}
	}
	return err
}

// frame names a frame; nil is none of the program's (a function in C, or none).
func (r *ruby) frame(l *look, address uint64) (f *threadtrace.Frame, finish bool, err error) {
	b, err := l.near(address, rubyFrameSize)
	if err != nil {
		return nil, false, err
	}
	pc, iseq, ep := at(b, rubyPC), at(b, rubyISeq), at(b, rubyEP)
	flags, err := l.word(ep)
	if err != nil {
		return nil, false, err
	}
	finish = flags&rubyFinish != 0
	if iseq == 0 || pc == 0 || flags&rubyKind == rubyDummy {
		return nil, finish, nil
	}
	body, err := l.word(iseq + rubyBody)
	if err != nil {
		return nil, finish, err
	}
	known, err := r.function(l, body)
	if err != nil {
		return nil, finish, err
	}
	named := known.frame
	named.Line = known.line(l, pc)
	return &named, finish, nil
}

// function reads the body of an instruction sequence.
func (r *ruby) function(l *look, body uint64) (*rubyFunction, error) {
	known := r.functions[body]
	if known != nil && l.now.Sub(known.checked) < trusted {
		return known, nil
	}
	var b [rubyBodySize]byte
	if err := l.read(b[:], body); err != nil {
		return nil, err
	}
	now := &rubyFunction{
		path: at(b[:], rubyPath), label: at(b[:], rubyLabel), code: at(b[:], rubyCode), lines: at(b[:], rubyLines), index: at(b[:], rubyIndex),
		size: uint32(int32At(b[:], rubySize)), count: uint32(int32At(b[:], rubyLineCount)), checked: l.now, //nolint:gosec // unsigned in C
	}
	if known != nil && now.path == known.path && now.label == known.label && now.code == known.code {
		now.frame = known.frame
	} else {
		label, err := rubyText(l, now.label)
		if err != nil {
			return nil, err
		}
		path, err := rubyFile(l, now.path)
		if err != nil {
			return nil, err
		}
		now.frame = rubyFrameOf(label, path)
	}
	size := codeSize + int64(len(now.frame.Function)+len(now.frame.File))
	if len(r.functions) >= maxCodes || r.held+size > maxBytesOfOne {
		clear(r.functions)
		r.held = 0
	}
	r.functions[body] = now
	r.held += size
	return now, nil
}

// line is the line of an instruction: the number of entries up to it, by an index of
// which instructions have one (54 with seven bits each, then blocks of 512), is that
// of its entry. Zero when it is not known.
func (f *rubyFunction) line(l *look, pc uint64) int32 {
	const immediate, blockSize, blockBits = 54, 80, 512
	pos := (pc - f.code) / 8
	if pc < f.code || pos > uint64(f.size) || f.index == 0 {
		return 0
	}
	if pos > 0 {
		pos-- // it is at the next one already
	}
	var entry uint64
	if pos < immediate {
		word, err := l.word(f.index + 8*(pos/9))
		if err != nil {
			return 0
		}
		entry = word >> (7 * (pos % 9)) & 0x7f
	} else {
		pos -= immediate
		var block [blockSize]byte
		if l.read(block[:], f.index+immediate/9*8+pos/blockBits*blockSize) != nil {
			return 0
		}
		small := pos % blockBits / 64
		entry = uint64(binary.LittleEndian.Uint32(block[:]))
		if small > 0 {
			entry += at(block[:], 8) >> (9 * (small - 1)) & 0x1ff
		}
		entry += uint64(bits.OnesCount64(at(block[:], 16+8*small) << (63 - pos%64))) //nolint:gosec // at most 64
	}
	var line [4]byte
	if entry == 0 || entry > uint64(f.count) || l.read(line[:], f.lines+(entry-1)*rubyLineSize) != nil {
		return 0
	}
	return max(int32At(line[:], 0), 0)
}

// rubyFile reads a path, or of a pair of path and real path the latter; code that
// was evaluated has the former only.
func rubyFile(l *look, object uint64) (string, error) {
	var b [40]byte
	if err := l.read(b[:], object); err != nil {
		return "", err
	}
	flags := at(b[:], 0)
	if flags&rubyType != rubyArray {
		return rubyText(l, object)
	}
	pair := b[16:32] // its elements are in the object
	if flags&rubyMark == 0 {
		var apart [16]byte
		if err := l.read(apart[:], at(b[:], 32)); err != nil {
			return "", err
		}
		pair = apart[:]
	}
	const none = 8 // Qnil
	if path := at(pair, 8); path != none {
		return rubyText(l, path)
	}
	return rubyText(l, at(pair, 0))
}

// rubyText reads a String.
func rubyText(l *look, object uint64) (string, error) {
	var b [40]byte
	if err := l.read(b[:], object); err != nil {
		return "", err
	}
	flags := at(b[:], 0)
	if flags&rubyType != rubyString {
		return "", fmt.Errorf("%w: no string", ErrMalformed)
	}
	if flags&rubyMark == 0 { // it is in the object
		return string(b[16:][:min(flags>>14&0x1f, 24)]), nil
	}
	text := make([]byte, min(at(b[:], 16), maxText))
	err := l.read(text, at(b[:], 24))
	return string(text), err
}

// rubyFrameOf makes a frame of a method and its file. A block is a part of its
// method. What comes with Ruby or as a gem is a library's.
func rubyFrameOf(label, path string) threadtrace.Frame {
	f := threadtrace.Frame{
		Function: cleantext.Clean(label, cleantext.MaxFunction),
		File:     cleantext.Clean(path, cleantext.MaxPath),
	}
	module := path[strings.LastIndexByte(path, '/')+1:]
	switch {
	case strings.HasPrefix(path, "<internal:"):
		f.Origin, module = threadtrace.OriginRuntime, path
	case strings.Contains(path, "/lib/ruby/"), strings.Contains(path, "/share/rubygems-integration/"),
		strings.Contains(path, "/gems/"), strings.Contains(path, "/lib/x86_64-linux-gnu/ruby/"), strings.Contains(path, "/lib/aarch64-linux-gnu/ruby/"):
		f.Origin = threadtrace.OriginLibrary
		if i := strings.LastIndex(path, "/gems/"); i >= 0 {
			module = path[i+len("/gems/"):]
		}
	}
	f.Module = cleantext.Clean(module, cleantext.MaxFunction)
	return f
}
