package interpreter

import (
	"encoding/binary"
	"regexp"
	"strconv"
)

// pythonLayout says where in CPython's structures is what a look needs, in bytes
// from the start of each.
//
// Up to 3.12 the offsets are those of the headers (offsetof, on amd64; arm64 has
// the same ABI for them), which testdata/python_offsets.c prints. From 3.13 on
// the process tells them itself (_Py_DebugOffsets).
type pythonLayout struct {
	minor int // of the version, 3.minor

	// _PyRuntimeState
	interpreters, mainThread uint64
	// PyInterpreterState
	interpNext, threads uint64
	// PyThreadState; nativeID is zero before 3.11, cframe but in 3.11 and 3.12.
	next, threadID, nativeID, frame, cframe uint64
	// cframeFrame is where _PyCFrame has the innermost frame.
	cframeFrame uint64

	// _PyInterpreterFrame, before 3.11 PyFrameObject, and how much of it is read.
	frameSize                          int
	code, previous, instruction, owner uint64
	isEntry                            uint64 // in 3.11

	// PyCodeObject; qualname is zero before 3.11, instructions too.
	codeSize                                                 int
	filename, name, qualname, lines, firstLine, instructions uint64

	// PyASCIIObject, PyCompactUnicodeObject, PyBytesObject
	textLength, textState, asciiData, compactData uint64
	bytesSize, bytesData                          uint64
}

// objectType is where PyObject has its type, in all of these versions.
const objectType = 8

// oldText are the strings up to 3.11, newText those since.
func (p pythonLayout) oldText() *pythonLayout {
	p.textLength, p.textState, p.asciiData, p.compactData, p.bytesSize, p.bytesData = 16, 32, 48, 72, 16, 32
	return &p
}

func (p pythonLayout) newText() *pythonLayout {
	p.textLength, p.textState, p.asciiData, p.compactData, p.bytesSize, p.bytesData = 16, 32, 40, 56, 16, 32
	return &p
}

// pythonLayouts by minor version; their layout does not change between patches.
var pythonLayouts = map[int]*pythonLayout{
	8:  beforeNative(8, 104),
	9:  beforeNative(9, 104),
	10: beforeNative(10, 96),
	11: pythonLayout{
		minor: 11, interpreters: 40, mainThread: 80, interpNext: 0, threads: 16,
		next: 8, threadID: 152, nativeID: 160, cframe: 56, cframeFrame: 8,
		frameSize: 80, code: 32, previous: 48, instruction: 56, isEntry: 68, owner: 69,
		codeSize: 144, filename: 112, name: 120, qualname: 128, lines: 136, firstLine: 72, instructions: 184,
	}.oldText(),
	12: pythonLayout{
		minor: 12, interpreters: 40, mainThread: 64, interpNext: 0, threads: 72,
		next: 8, threadID: 136, nativeID: 144, cframe: 56, cframeFrame: 0,
		frameSize: 80, code: 0, previous: 8, instruction: 56, owner: 70,
		codeSize: 144, filename: 112, name: 120, qualname: 128, lines: 136, firstLine: 68, instructions: 192,
	}.newText(),
}

// beforeNative is the layout of the versions whose frames are objects, and whose
// threads do not know their native id.
func beforeNative(minor int, lasti uint64) *pythonLayout {
	return pythonLayout{
		minor: minor, interpreters: 32, mainThread: 72, interpNext: 0, threads: 8,
		next: 8, threadID: 176, frame: 24,
		frameSize: 112, code: 32, previous: 24, instruction: lasti,
		codeSize: 128, filename: 104, name: 112, lines: 120, firstLine: 40,
	}.oldText()
}

const (
	// debugCookie begins _PyRuntime from 3.13 on; debugSize is as much of what
	// follows it as is read.
	debugCookie = "xdebugpy"
	debugSize   = 8 * 71
)

// describedLayout reads the offsets that a process of 3.13 tells of itself; nil
// when they are none. Each is below a page or two: others are refused.
func describedLayout(b []byte) *pythonLayout {
	if len(b) < debugSize || string(b[:8]) != debugCookie {
		return nil
	}
	version := binary.LittleEndian.Uint64(b[8:])
	if version>>16 != 0x030d {
		return nil // another version's list is longer in the middle
	}
	const farthest = 1 << 20
	ok := true
	offset := func(word int) uint64 {
		v := binary.LittleEndian.Uint64(b[8*word:])
		ok = ok && v < farthest
		return v
	}
	small := func(word int, most uint64) uint64 {
		v := offset(word)
		ok = ok && v <= most
		return v
	}
	p := &pythonLayout{
		minor: 13, interpreters: offset(5),
		interpNext: offset(8), threads: offset(9),
		next: small(21, 1000), frame: small(23, 1000), threadID: small(24, 1000), nativeID: small(25, 1000),
		previous: small(29, 500), code: small(30, 500), instruction: small(31, 500), owner: small(33, 500),
		filename: small(35, 1000), name: small(36, 1000), qualname: small(37, 1000), lines: small(38, 1000),
		firstLine: small(39, 1000), instructions: small(43, 1000),
		bytesSize: small(65, 64), bytesData: small(66, 64), textState: small(68, 64), textLength: small(69, 64), asciiData: small(70, 64),
	}
	p.compactData = p.asciiData + 16
	p.frameSize = 8 + int(max(p.previous, p.code, p.instruction, p.owner)) //nolint:gosec // small
	p.codeSize = 8 + int(max(p.filename, p.name, p.qualname, p.lines, p.firstLine))
	if !ok {
		return nil
	}
	return p
}

// pythonFile is how programs and libraries of CPython are named, versionless
// links aside.
var pythonFile = regexp.MustCompile(`^(?:lib)?python3\.(\d{1,2})[dm]?(?:\.so.*)?$`)

// pythonMinor is the version in the name of a program or a library; zero is none.
func pythonMinor(module string) int {
	if m := pythonFile.FindStringSubmatch(module); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}
