package interpreter

import (
	"encoding/binary"
	"errors"
	"time"
)

// Memory reads the memory of one process.
type Memory interface {
	// ReadMemory fills p with what is at addr: all of it, or an error.
	ReadMemory(p []byte, addr uint64) error
}

// Why a look found no frames; the receiver counts by them.
var (
	// ErrUnsupported: no interpreter, or a version of it that is not known.
	ErrUnsupported = errors.New("no interpreter of a known version")
	// ErrUnreadable: memory that the interpreter refers to cannot be read.
	ErrUnreadable = errors.New("the interpreter's memory cannot be read")
	// ErrNoThread: the interpreter does not know the thread.
	ErrNoThread = errors.New("the interpreter has no such thread")
	// ErrMalformed: what was read is no interpreter's state.
	ErrMalformed = errors.New("not the state of an interpreter")
	// ErrTooMuch: the look came to its bound.
	ErrTooMuch = errors.New("too much to read for one look")
	// ErrMoved: the thread did something else by the time it was looked at.
	ErrMoved = errors.New("the thread went on before it was looked at")
)

const (
	// maxReads and maxBytes bound what one look reads.
	maxReads = 1024
	maxBytes = 512 << 10
	// maxFrames bounds the frames of one look, from the innermost out, and
	// maxLinks the steps along the interpreter's list of threads.
	maxFrames = 256
	maxLinks  = 4096
	// windowSize is what is read around a frame: those of one thread lie side by
	// side, callers below their callees.
	windowSize = 2048
	// highest is the end of the addresses of user space.
	highest = 1 << 47
)

// look is one look at a process: a reader of its memory, with bounds.
type look struct {
	mem          Memory
	now          time.Time
	reads, bytes int
	window       [windowSize]byte
	from, to     uint64 // of the window
}

// read fills p.
func (l *look) read(p []byte, addr uint64) error {
	if addr < 4096 || addr > highest || addr > highest-uint64(len(p)) {
		return ErrMalformed
	}
	if l.reads++; l.reads > maxReads {
		return ErrTooMuch
	}
	if l.bytes += len(p); l.bytes > maxBytes {
		return ErrTooMuch
	}
	if err := l.mem.ReadMemory(p, addr); err != nil {
		return errors.Join(ErrUnreadable, err)
	}
	return nil
}

// word reads a pointer.
func (l *look) word(addr uint64) (uint64, error) {
	var b [8]byte
	err := l.read(b[:], addr)
	return binary.LittleEndian.Uint64(b[:]), err
}

// near reads n bytes at addr, out of the window if they are in it. They are valid
// until the next call.
func (l *look) near(addr uint64, n int) ([]byte, error) {
	if n > windowSize || addr > highest {
		return nil, ErrMalformed
	}
	end := addr + uint64(n)
	if addr < l.from || end > l.to {
		from := end - min(windowSize, end)
		l.from, l.to = 0, 0
		err := l.read(l.window[:end-from], from)
		if errors.Is(err, ErrUnreadable) { // it reaches into memory that is not there
			from = addr
			err = l.read(l.window[:n], from)
		}
		if err != nil {
			return nil, err
		}
		l.from, l.to = from, end
	}
	return l.window[addr-l.from:][:n], nil
}

// at takes a pointer out of what was read; zero beyond its end.
func at(b []byte, offset uint64) uint64 {
	if offset > uint64(len(b)) || uint64(len(b))-offset < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b[offset:])
}

// int32At takes a C int.
func int32At(b []byte, offset uint64) int32 {
	if offset > uint64(len(b)) || uint64(len(b))-offset < 4 {
		return 0
	}
	return int32(binary.LittleEndian.Uint32(b[offset:])) //nolint:gosec // as C has it
}
