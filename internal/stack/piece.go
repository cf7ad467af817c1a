package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
)

// piece is a part of a file that is read where it is needed: what tables of functions
// take is mostly never looked at.
type piece struct {
	// r reads the file, from offset at on there are size bytes.
	r        io.ReaderAt
	at, size uint64
}

// pieceOf is a section, as it is in the file; one that is packed is unpacked into memory,
// as far as the allowance has room, and is held. Without one both are empty.
func pieceOf(a *allowance, r io.ReaderAt, s *elf.Section) (p piece, held []byte) {
	switch {
	case s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0:
	case s.Flags&elf.SHF_COMPRESSED == 0:
		p = piece{r, s.Offset, s.FileSize}
	default:
		held = sectionData(a, s, maxSection)
		p = piece{bytes.NewReader(held), 0, uint64(len(held))}
	}
	return p, held
}

// from is the rest of a piece.
func (p piece) from(off uint64) piece {
	off = min(off, p.size)
	return piece{p.r, p.at + off, p.size - off}
}

// read returns n bytes, or as many as there are; none if they cannot be read.
func (p piece) read(off uint64, n int) []byte {
	if p.r == nil || off >= p.size || p.at > 1<<62 || p.size > 1<<62 {
		return nil
	}
	b := make([]byte, min(uint64(n), p.size-off))                               //nolint:gosec // n is no less than zero
	if got, err := p.r.ReadAt(b, int64(p.at+off)); got < len(b) && err != nil { //nolint:gosec // bounded above
		return b[:got]
	}
	return b
}

// u32 is the number at off; ok is false when there is none.
func (p piece) u32(off uint64) (v uint32, ok bool) {
	b := p.read(off, 4)
	if len(b) < 4 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

// text is the NUL-terminated string at off. Names are short, mostly.
func (p piece) text(off uint32) string {
	const mostly = 128
	for n := mostly; ; n *= 8 {
		b := p.read(uint64(off), min(n, maxSymbolName))
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(b[:i])
		}
		if len(b) < n || n >= maxSymbolName {
			return string(b)
		}
	}
}
