package stack

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// maxSection bounds one section read into memory.
const maxSection = 128 << 20

// section reads a section's (uncompressed) bytes; nil when there is none or
// it is larger than limit.
func section(f *elf.File, name string, limit uint64) []byte {
	return sectionData(f.Section(name), limit)
}

func sectionData(s *elf.Section, limit uint64) []byte {
	if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 || s.Size > limit {
		return nil
	}
	return readExactly(s.Open(), s.Size)
}

// readExactly reads size bytes, or nil. It grows as it reads, so that a size
// that lies about the file's length costs no memory.
func readExactly(r io.Reader, size uint64) []byte {
	const step = 4 << 20
	out := make([]byte, 0, min(size, step))
	for uint64(len(out)) < size {
		n := len(out)
		if n == cap(out) {
			out = append(make([]byte, 0, min(size, 2*uint64(n))), out...)
		}
		out = out[:cap(out)]
		if _, err := io.ReadFull(r, out[n:]); err != nil {
			return nil
		}
	}
	return out
}

// maxPacking is by how much file systems that compress are believed to make a
// file smaller.
const maxPacking = 8

// refuseHoles refuses a file with a section larger than what the file holds on
// its disk: in a sparse file, 128 MiB of zeros cost their maker nothing.
func refuseHoles(f *elf.File, r io.ReaderAt) error {
	held := allocated(r)
	if held == 0 {
		return nil // not a file, or its file system does not say
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS && s.FileSize/maxPacking > held {
			return fmt.Errorf("section %.40q has %d bytes in a file that holds %d: it is sparse", s.Name, s.FileSize, held)
		}
	}
	for _, p := range f.Progs {
		if p.Filesz/maxPacking > held {
			return fmt.Errorf("a segment has %d bytes in a file that holds %d: it is sparse", p.Filesz, held)
		}
	}
	return nil
}

// sectionOf returns the first section of a type.
func sectionOf(f *elf.File, kind elf.SectionType) *elf.Section {
	for _, s := range f.Sections {
		if s.Type == kind {
			return s
		}
	}
	return nil
}

// symbolsOf reads a symbol table with the string table it links to.
func symbolsOf(f *elf.File, kind elf.SectionType) *symbolTable {
	s := sectionOf(f, kind)
	if s == nil || s.Link == 0 || int(s.Link) >= len(f.Sections) {
		return nil
	}
	data, names := sectionData(s, maxSection), sectionData(f.Sections[s.Link], maxSection)
	if data == nil || names == nil {
		return nil
	}
	t := parseSymbols(data, names)
	if len(t.symbols) == 0 {
		return nil
	}
	return t
}

// note returns the description of the first note with that name and type.
func note(data []byte, name string, kind uint32) []byte {
	for len(data) >= 12 {
		nameSize, descSize := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		k := binary.LittleEndian.Uint32(data[8:])
		data = data[12:]
		if nameSize > 4096 || descSize > 1<<20 {
			return nil
		}
		n, d := int(nameSize+3)&^3, int(descSize+3)&^3
		if n+int(descSize) > len(data) {
			return nil
		}
		if k == kind && string(bytes.TrimRight(data[:nameSize], "\x00")) == name {
			return data[n : n+int(descSize)]
		}
		data = data[min(n+d, len(data)):]
	}
	return nil
}

// buildIDs reads the GNU build id (hex) and the Go build id.
func buildIDs(f *elf.File) (gnu, golang string) {
	const ntGNUBuildID, ntGoBuildID, maxNotes = 3, 4, 1 << 20
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		data := sectionData(s, maxNotes)
		if d := note(data, "GNU", ntGNUBuildID); d != nil && gnu == "" && len(d) <= 64 {
			gnu = hex.EncodeToString(d)
		}
		if d := note(data, "Go", ntGoBuildID); d != nil && golang == "" && len(d) <= 256 {
			golang = string(d)
		}
	}
	if gnu != "" {
		return gnu, golang
	}
	for _, p := range f.Progs { // section headers may be stripped
		if p.Type == elf.PT_NOTE && p.Filesz < maxNotes {
			data := make([]byte, p.Filesz)
			if _, err := p.ReadAt(data, 0); err == nil {
				if d := note(data, "GNU", ntGNUBuildID); d != nil && len(d) <= 64 {
					gnu = hex.EncodeToString(d)
				}
			}
		}
	}
	return gnu, golang
}

// frameTableOf finds and parses .eh_frame, by section or, when section
// headers are stripped, through the segment PT_GNU_EH_FRAME.
func frameTableOf(f *elf.File) (*frameTable, error) {
	if s := f.Section(".eh_frame"); s != nil {
		if data := sectionData(s, maxSection); data != nil {
			return parseFrames(data, s.Addr)
		}
	}
	for _, p := range f.Progs {
		const gnuEhFrame = 0x6474e550
		if uint32(p.Type) != gnuEhFrame || p.Filesz < 8 || p.Filesz > maxSection {
			continue
		}
		header := make([]byte, 64)
		n, _ := p.ReadAt(header, 0)
		r := reader{data: header[:n]}
		r.u8() // version
		encoding := r.u8()
		r.u16() // encodings of the search table
		addr := r.pointer(encoding, p.Vaddr, p.Vaddr)
		if r.bad {
			break
		}
		data, err := addressRange(f, addr)
		if err != nil {
			return nil, err
		}
		return parseFrames(data, addr)
	}
	return nil, errors.New("no .eh_frame")
}

// addressRange reads from addr to its segment's end in the file.
func addressRange(f *elf.File, addr uint64) ([]byte, error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			size := p.Filesz - (addr - p.Vaddr)
			if size > maxSection {
				break
			}
			data := readExactly(io.NewSectionReader(p, int64(addr-p.Vaddr), int64(size)), size)
			if data == nil {
				return nil, fmt.Errorf("segment at %#x is cut short", p.Vaddr)
			}
			return data, nil
		}
	}
	return nil, fmt.Errorf("address %#x is in no segment of the file", addr)
}
