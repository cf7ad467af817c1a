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

const (
	// maxSection bounds one section read into memory.
	maxSection = maxImageBytes
	// maxSections bounds the sections of a file: programs have some forty.
	maxSections = 4096
	// maxSectionNames bounds the names of all sections together, each of which
	// may be as long as the table of names (bytes).
	maxSectionNames = 16 << 20
)

// openELF reads the headers of a file, once they are known to be of a size that
// can be read.
func openELF(r io.ReaderAt) (*elf.File, error) {
	var head elf.Header64
	if err := binary.Read(io.NewSectionReader(r, 0, int64(binary.Size(head))), binary.LittleEndian, &head); err != nil {
		return nil, fmt.Errorf("no ELF header: %w", err)
	}
	if string(head.Ident[:4]) != elf.ELFMAG || elf.Class(head.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(head.Ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, errors.New("not a little-endian ELF file of 64 bits")
	}
	if head.Shoff != 0 {
		if err := checkSections(r, &head); err != nil {
			return nil, err
		}
	}
	if head.Phnum > maxSections || head.Phnum > 0 && head.Phentsize != uint16(binary.Size(elf.Prog64{})) {
		return nil, fmt.Errorf("it has %d segments of %d bytes", head.Phnum, head.Phentsize)
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	return f, refuseHoles(f, r)
}

// checkSections looks at the table of sections before debug/elf does, which reads
// all of them and their names, however many there are.
func checkSections(r io.ReaderAt, head *elf.Header64) error {
	size := uint64(binary.Size(elf.Section64{}))
	switch {
	case head.Shnum == 0 || head.Shnum > maxSections || uint64(head.Shentsize) != size:
		return fmt.Errorf("it has %d sections of %d bytes (at most %d are read)", head.Shnum, head.Shentsize, maxSections)
	case head.Shstrndx >= head.Shnum:
		return errors.New("its sections have no names")
	}
	var names elf.Section64
	at := head.Shoff + uint64(head.Shstrndx)*size
	if at > 1<<62 {
		return errors.New("its sections are beyond its end")
	}
	if err := binary.Read(io.NewSectionReader(r, int64(at), int64(size)), binary.LittleEndian, &names); err != nil {
		return fmt.Errorf("its sections are cut short: %w", err)
	}
	if elf.SectionFlag(names.Flags)&elf.SHF_COMPRESSED != 0 || names.Size > maxSectionNames/uint64(head.Shnum) {
		return fmt.Errorf("the names of its %d sections take %d bytes", head.Shnum, names.Size)
	}
	return nil
}

// section reads a section's (uncompressed) bytes; nil when there is none, it is
// larger than limit, or the allowance has no room.
func section(a *allowance, f *elf.File, name string, limit uint64) []byte {
	return sectionData(a, f.Section(name), limit)
}

func sectionData(a *allowance, s *elf.Section, limit uint64) []byte {
	if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 || s.Size > limit && limit < maxSection || !a.take(s.Size) {
		return nil
	}
	data := readExactly(a, s.Open(), s.Size)
	if data == nil {
		a.give(s.Size)
	}
	return data
}

// readExactly reads size bytes, or nil. It grows as it reads, so that a size
// that lies about the file's length costs no memory.
func readExactly(a *allowance, r io.Reader, size uint64) []byte {
	const step = 4 << 20
	out := make([]byte, 0, min(size, step))
	for uint64(len(out)) < size {
		n := len(out)
		if n == cap(out) {
			out = append(make([]byte, 0, min(size, 2*uint64(n))), out...)
		}
		out = out[:min(cap(out), n+step)]
		if _, err := io.ReadFull(r, out[n:]); err != nil || !a.goOn(checkEvery) {
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

// symbolsOf reads a symbol table with the string table it links to; wanted gets the
// addresses of the variables that it names, as linked.
func symbolsOf(a *allowance, f *elf.File, kind elf.SectionType, of selection) *symbolTable {
	s := sectionOf(f, kind)
	if s == nil || s.Link == 0 || int(s.Link) >= len(f.Sections) || s.Type == elf.SHT_NOBITS {
		return nil
	}
	names := sectionData(a, f.Sections[s.Link], maxSection)
	if names == nil {
		return nil
	}
	t := readSymbols(a, s.Open(), names, of)
	if len(t.symbols) == 0 && !t.left {
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
func buildIDs(a *allowance, f *elf.File) (gnu, golang string) {
	const ntGNUBuildID, ntGoBuildID, maxNotes = 3, 4, 1 << 20
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE {
			continue
		}
		data := sectionData(a, s, maxNotes)
		a.give(uint64(len(data)))
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
func frameTableOf(a *allowance, f *elf.File) (*frameTable, error) {
	if s := f.Section(".eh_frame"); s != nil {
		if data := sectionData(a, s, maxSection); data != nil {
			return parseFrames(a, data, s.Addr)
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
		data, err := addressRange(a, f, addr)
		if err != nil {
			return nil, err
		}
		return parseFrames(a, data, addr)
	}
	return nil, errors.New("no .eh_frame")
}

// addressRange reads from addr to its segment's end in the file.
func addressRange(a *allowance, f *elf.File, addr uint64) ([]byte, error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			size := p.Filesz - (addr - p.Vaddr)
			if size > maxSection || !a.take(size) {
				break
			}
			data := readExactly(a, io.NewSectionReader(p, int64(addr-p.Vaddr), int64(size)), size)
			if data == nil {
				return nil, fmt.Errorf("segment at %#x is cut short", p.Vaddr)
			}
			return data, nil
		}
	}
	return nil, fmt.Errorf("address %#x is in no segment of the file", addr)
}
