package interpreter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// maxCodes bounds the functions remembered of one process.
	maxCodes = 8192
	// trusted is for how long a function is believed to be where it was: its code
	// may be let go, and another be put there.
	trusted = 2 * time.Second
	// maxStates bounds the threads remembered of one process.
	maxStates = 4096
	// ownedByC marks a frame, from 3.12 on, that only says where the C code
	// called the interpreter's loop.
	ownedByC = 3
	// stackMost is how far from a thread's stack pointer its own
	// description may be: its stack is between them.
	stackMost = 1 << 30
)

// python reads the frames of one process of CPython.
type python struct {
	layout *pythonLayout
	// runtime is the address of _PyRuntime, codeType that of PyCode_Type.
	runtime, codeType uint64
	codes             map[uint64]*pythonCode
	// known has the thread states by native thread id.
	known  map[int32][]uint64
	held   int64 // bytes, of codes
	header [256]byte
}

// codeSize estimates a function remembered, without its names and lines (bytes).
const codeSize = 512

func (y *python) bytes() int64 { return y.held + int64(len(y.known))*64 }

// newPython finds out which version a process runs.
func newPython(p *Program, l *look) (*python, error) {
	y := &python{
		runtime: p.Variables["_PyRuntime"], codeType: p.Variables["PyCode_Type"],
		codes: map[uint64]*pythonCode{}, known: map[int32][]uint64{},
	}
	if y.runtime == 0 || y.codeType == 0 {
		return nil, ErrUnsupported
	}
	head := make([]byte, debugSize)
	if err := l.read(head, y.runtime); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(head, []byte(debugCookie)) {
		if y.layout = describedLayout(head); y.layout == nil {
			return nil, ErrUnsupported
		}
		return y, nil
	}
	minor := pythonMinor(p.Module)
	if at := p.Variables["Py_Version"]; at != 0 { // from 3.11 on
		version, err := l.word(at)
		if err != nil {
			return nil, err
		}
		if version>>24 != 3 {
			return nil, ErrUnsupported
		}
		minor = int(version >> 16 & 0xff) //nolint:gosec // a byte
	}
	if y.layout = pythonLayouts[minor]; y.layout == nil {
		return nil, fmt.Errorf("%w: CPython 3.%d", ErrUnsupported, minor)
	}
	return y, nil
}

// calls are the frames of a thread.
func (y *python) calls(l *look, t Thread) ([]Call, error) {
	frame, err := y.innermost(l, t)
	if err == nil && frame == 0 && y.forget(t) {
		frame, err = y.innermost(l, t) // it may run in an interpreter that is new
	}
	if err != nil {
		return nil, err
	}
	return y.walk(l, frame)
}

// innermost is the innermost frame of a thread, zero when it runs no code of Python.
func (y *python) innermost(l *look, t Thread) (uint64, error) {
	if y.layout.nativeID == 0 {
		return y.innermostByStack(l, t)
	}
	states, err := y.states(l, t)
	switch {
	case err != nil:
		return 0, err
	case len(states) > 0:
		return y.runningIn(l, states, uint64(uint32(t.Inner))) //nolint:gosec // a thread id
	case y.layout.threadID == 0:
		return 0, ErrNoThread
	}
	// A process that was forked past Python, as uWSGI does, has the native id of the
	// parent's thread.
	return y.innermostByStack(l, t)
}

func (y *python) innermostByStack(l *look, t Thread) (uint64, error) {
	states, err := y.statesByStack(l, t)
	if err != nil {
		return 0, err
	}
	return y.runningIn(l, states, 0)
}

// runningIn is the innermost frame in some states of a thread: it has one in each
// interpreter that it has run code of (mod_wsgi has one for each application), and frames
// in the one that it runs code of now. Zero is that it runs none, or that the states are
// not of the native id any more; zero for that does not check it.
func (y *python) runningIn(l *look, states []uint64, native uint64) (frame uint64, err error) {
	head := make([]byte, y.stateSize())
	for _, state := range states {
		if err := l.read(head, state); err != nil {
			continue // it has ended
		}
		if native != 0 && at(head, y.layout.nativeID) != native {
			continue
		}
		frame = at(head, y.layout.frame)
		if y.layout.cframe != 0 {
			if frame, err = l.word(at(head, y.layout.cframe) + y.layout.cframeFrame); err != nil {
				return 0, err
			}
		}
		if frame != 0 {
			return frame, nil
		}
	}
	return 0, nil
}

// stateSize is how much of a PyThreadState a look needs (bytes).
func (y *python) stateSize() uint64 {
	p := y.layout
	return 8 + max(p.next, p.threadID, p.nativeID, p.frame, p.cframe)
}

// states finds the PyThreadStates of a thread by its native id, one for each interpreter.
func (y *python) states(l *look, t Thread) ([]uint64, error) {
	if states := y.known[t.Inner]; len(states) > 0 {
		return states, nil
	}
	clear(y.known)
	count := 0
	err := y.eachState(l, func(state uint64, b []byte) {
		if count++; count <= maxStates {
			id := int32(at(b, y.layout.nativeID)) //nolint:gosec // a thread id
			y.known[id] = append(y.known[id], state)
		}
	})
	return y.known[t.Inner], err
}

// forget forgets the states of a thread, and says whether there were any.
func (y *python) forget(t Thread) bool {
	_, ok := y.known[t.Inner]
	delete(y.known, t.Inner)
	return ok
}

// statesByStack finds the states of a thread by its POSIX thread, which is all that
// earlier versions know: the C library has the description of each (pthread_t is its address) at
// the upper end of its stack, but of the main thread, which the runtime knows. Where it
// does not say so the main thread's state is the first that was made, the last in the
// list.
func (y *python) statesByStack(l *look, t Thread) (found []uint64, err error) {
	first := uint64(0)
	if y.layout.mainThread != 0 {
		if first, err = l.word(y.runtime + y.layout.mainThread); err != nil {
			return nil, err
		}
	}
	nearest := uint64(stackMost)
	err = y.eachState(l, func(state uint64, b []byte) {
		id := at(b, y.layout.threadID)
		switch {
		case t.Main && first == 0:
			found = []uint64{state}
		case t.Main:
			if id == first {
				found = append(found, state)
			}
		case id != first && id > t.SP && id-t.SP < nearest:
			found, nearest = []uint64{state}, id-t.SP
		case id != first && id > t.SP && id-t.SP == nearest:
			found = append(found, state)
		}
	})
	if err == nil && len(found) == 0 {
		err = ErrNoThread
	}
	return found, err
}

// eachState visits the thread states of all interpreters, with what a look needs
// of each.
func (y *python) eachState(l *look, visit func(state uint64, b []byte)) error {
	p := y.layout
	b := make([]byte, y.stateSize())
	interp, err := l.word(y.runtime + p.interpreters)
	for links := 0; err == nil && interp != 0; links++ {
		var state uint64
		state, err = l.word(interp + p.threads)
		for err == nil && state != 0 {
			if links++; links > maxLinks {
				return ErrTooMuch
			}
			if err = l.read(b, state); err == nil {
				visit(state, b)
				state = at(b, p.next)
			}
		}
		if err == nil {
			interp, err = l.word(interp + p.interpNext)
		}
	}
	return err
}

// walk follows the frames outward. Each call of the interpreter's loop is one
// Call: of one frame up to 3.10, from 3.11 on of as many as called each other
// without C code in between.
func (y *python) walk(l *look, frame uint64) ([]Call, error) {
	var calls callList
	for links := 0; frame != 0; links++ {
		if calls.full() || links > 2*maxFrames {
			return calls.cut(), nil
		}
		b, err := l.near(frame, y.layout.frameSize)
		if err != nil {
			return calls.cut(), err
		}
		previous, code, instruction := at(b, y.layout.previous), at(b, y.layout.code), at(b, y.layout.instruction)
		owner, isEntry := b[y.layout.owner], b[y.layout.isEntry] != 0
		if y.layout.minor >= 12 && owner == ownedByC {
			calls.end()
		} else {
			f, err := y.frame(l, code, instruction)
			if err != nil {
				return calls.cut(), err
			}
			calls.add(f)
			if y.layout.minor < 11 || y.layout.minor == 11 && isEntry {
				calls.end()
			}
		}
		frame = previous
	}
	return calls.all(), nil
}

// frame names the code of a frame.
func (y *python) frame(l *look, address, instruction uint64) (threadtrace.Frame, error) {
	code, err := y.code(l, address)
	if err != nil {
		return threadtrace.Frame{}, err
	}
	f := code.frame
	offset := int64(int32(instruction)) //nolint:gosec // f_lasti is a C int
	switch {
	case y.layout.minor >= 11:
		offset = int64(instruction - address - y.layout.instructions) //nolint:gosec // may be before the first
	case y.layout.minor == 10:
		offset *= 2 // it counts units of two bytes
	}
	f.Line = code.line(y.layout.minor, offset)
	return f, nil
}

// pythonCode is what is remembered of a code object.
type pythonCode struct {
	// head is that of the object when it was read, checked when it was last seen
	// to be the same: then so is the function.
	head    []byte
	checked time.Time
	frame   threadtrace.Frame
	first   int32
	lines   []byte
}

// code reads a code object, all of it once.
func (y *python) code(l *look, address uint64) (*pythonCode, error) {
	p := y.layout
	known := y.codes[address]
	if known != nil && l.now.Sub(known.checked) < trusted {
		return known, nil
	}
	if p.codeSize > len(y.header) {
		return nil, ErrUnsupported
	}
	head := y.header[:p.codeSize]
	if err := l.read(head, address); err != nil {
		return nil, err
	}
	if at(head, objectType) != y.codeType {
		return nil, fmt.Errorf("%w: no code object", ErrMalformed)
	}
	// What follows the number of references; before are those of all objects, which
	// change.
	head = head[objectType:]
	if known != nil && y.same(known.head, head) {
		known.checked = l.now
		return known, nil
	}
	code, err := y.readCode(l, y.header[:p.codeSize])
	if err != nil {
		return nil, err
	}
	code.head, code.checked = bytes.Clone(head), l.now
	size := codeSize + int64(len(code.lines)+len(code.frame.Function)+len(code.frame.File))
	if len(y.codes) >= maxCodes || y.held+size > maxBytesOfOne {
		clear(y.codes)
		y.held = 0
	}
	y.codes[address] = code
	y.held += size
	return code, nil
}

// same reports whether two heads of code objects are of one function: other
// fields (counters, flags) change.
func (y *python) same(a, b []byte) bool {
	p := y.layout
	for _, field := range [...]uint64{p.filename, p.name, p.qualname, p.lines} {
		if field != 0 && at(a, field-objectType) != at(b, field-objectType) {
			return false
		}
	}
	return int32At(a, p.firstLine-objectType) == int32At(b, p.firstLine-objectType)
}

func (y *python) readCode(l *look, head []byte) (*pythonCode, error) {
	p := y.layout
	name := at(head, p.name)
	if p.qualname != 0 {
		name = at(head, p.qualname)
	}
	function, err := y.text(l, name)
	if err != nil {
		return nil, err
	}
	file, err := y.text(l, at(head, p.filename))
	if err != nil {
		return nil, err
	}
	c := &pythonCode{frame: pythonFrame(function, file), first: int32At(head, p.firstLine)}
	// A function without its lines is still that function.
	if c.lines, err = y.byteString(l, at(head, p.lines)); err != nil && !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrMalformed) {
		return nil, err
	}
	return c, nil
}

const (
	// maxText bounds a name or path (characters), maxLines the table of the lines
	// of a function (bytes).
	maxText, maxLines = 1024, 16 << 10
)

// text reads a PyUnicode: one, two or four bytes a character, in its object.
func (y *python) text(l *look, address uint64) (string, error) {
	p := y.layout
	head := make([]byte, 4+max(p.textLength+4, p.textState))
	if err := l.read(head, address); err != nil {
		return "", err
	}
	const kind, compact, ascii = 2, 5, 6        // bits, from 3.3 on
	state := uint32(int32At(head, p.textState)) //nolint:gosec // bits
	length := at(head, p.textLength)
	width := uint64(state >> kind & 7)
	if state>>compact&1 == 0 || width != 1 && width != 2 && width != 4 {
		return "", fmt.Errorf("%w: no text", ErrMalformed)
	}
	data := address + p.compactData
	if state>>ascii&1 == 1 {
		data = address + p.asciiData
	}
	raw := make([]byte, min(length, maxText)*width)
	if err := l.read(raw, data); err != nil {
		return "", err
	}
	if width == 1 && state>>ascii&1 == 1 {
		return string(raw), nil
	}
	out := make([]rune, 0, len(raw)/int(width)) //nolint:gosec // 1, 2 or 4
	for ; len(raw) > 0; raw = raw[width:] {
		switch width {
		case 1:
			out = append(out, rune(raw[0]))
		case 2:
			out = append(out, rune(binary.LittleEndian.Uint16(raw)))
		default:
			out = append(out, rune(binary.LittleEndian.Uint32(raw))) //nolint:gosec // string makes it valid
		}
	}
	return string(out), nil
}

// byteString reads a PyBytes.
func (y *python) byteString(l *look, address uint64) ([]byte, error) {
	size, err := l.word(address + y.layout.bytesSize)
	if err != nil {
		return nil, err
	}
	if size > maxLines {
		return nil, nil // lines are left out
	}
	b := make([]byte, size)
	return b, l.read(b, address+y.layout.bytesData)
}
