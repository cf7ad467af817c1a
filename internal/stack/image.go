package stack

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// segment is a loadable piece of an ELF file.
type segment struct{ offset, size, vaddr uint64 }

// textSection is an executable section, to tell PLT entries from functions.
type textSection struct {
	start, end uint64
	plt        bool
}

// image is what is kept of one ELF file: enough to walk and name its code.
type image struct {
	segments []segment
	text     []textSection
	frames   *frameTable // nil without .eh_frame
	goTable  *goTable    // nil unless Go code is in it
	symbols  []*symbolTable
	lines    *lineReader // nil without debug information
	untabled bool        // the code was built without call frame information
	entry    uint64      // where the program starts, zero in libraries
	gnuID    string
	goID     string
	// size estimates the bytes held, caches included.
	size int64
}

// imageOptions say what else than the file itself may be read for it.
type imageOptions struct {
	arch *architecture
	// debugFile opens the separate debug file of a build id; may be nil.
	debugFile func(buildID string) (io.ReaderAt, func())
	// lines loads file and line from debug information.
	lines bool
}

// loadImage reads an ELF file. The parsers below it may panic on hostile
// input; that is an error like any other here.
func loadImage(r io.ReaderAt, opts imageOptions) (img *image, err error) {
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("malformed ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	if err := refuseHoles(f, r); err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != opts.arch.machine || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%v %v code is not supported on this machine", f.Class, f.Machine)
	}
	img = &image{size: 4096, entry: f.Entry}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && len(img.segments) < 64 {
			img.segments = append(img.segments, segment{p.Off, p.Filesz, p.Vaddr})
		}
	}
	if len(img.segments) == 0 {
		return nil, errors.New("no executable segment")
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 && len(img.text) < 4096 {
			plt := s.Name == ".plt" || s.Name == ".plt.sec" || s.Name == ".plt.got" || s.Name == ".iplt"
			img.text = append(img.text, textSection{s.Addr, s.Addr + s.Size, plt})
		}
	}
	img.gnuID, img.goID = buildIDs(f)
	if img.frames, err = frameTableOf(f); err == nil {
		img.size += img.frames.bytes()
	}
	img.untabled = img.lacksTables()
	img.goTable = loadGoTable(f, opts.arch)
	if img.goTable != nil {
		img.size += img.goTable.bytes()
	}
	img.loadSymbols(f, opts)
	return img, nil
}

// loadSymbols fills the tables in the order in which they are asked.
func (img *image) loadSymbols(f *elf.File, opts imageOptions) {
	add := func(t *symbolTable) bool {
		if t == nil {
			return false
		}
		img.symbols = append(img.symbols, t)
		img.size += t.bytes()
		return true
	}
	full := add(symbolsOf(f, elf.SHT_SYMTAB))
	add(symbolsOf(f, elf.SHT_DYNSYM))
	if opts.lines {
		img.lines = newLineReader(f)
	}
	if img.gnuID != "" && opts.debugFile != nil && (!full || (opts.lines && img.lines == nil)) {
		if r, done := opts.debugFile(img.gnuID); r != nil {
			if d, err := elf.NewFile(r); err == nil && refuseHoles(d, r) == nil {
				if id, _ := buildIDs(d); id == img.gnuID {
					if !full {
						full = add(symbolsOf(d, elf.SHT_SYMTAB))
					}
					if opts.lines && img.lines == nil {
						img.lines = newLineReader(d)
					}
				}
			}
			done()
		}
	}
	if !full {
		add(miniDebugSymbols(f))
	}
	if img.lines != nil {
		img.size += img.lines.bytes()
	}
}

// lacksTables reports whether hardly any code has call frame information: the
// linker and start-up files add a few entries to any module.
func (img *image) lacksTables() bool {
	if img.frames == nil {
		return true
	}
	var covered, text uint64
	for i := range img.frames.entries {
		covered += uint64(img.frames.entries[i].size)
	}
	for _, s := range img.text {
		if !s.plt {
			text += s.end - s.start
		}
	}
	return covered < text/5
}

// address turns an offset in the file into the address the file was linked at.
func (img *image) address(offset uint64) (uint64, bool) {
	for _, s := range img.segments {
		if offset >= s.offset && offset-s.offset < s.size {
			return offset - s.offset + s.vaddr, true
		}
	}
	// A segment's mapping starts at a page edge, before the segment does.
	for _, s := range img.segments {
		const page = 1 << 16
		if offset >= s.offset&^(page-1) && offset < s.offset+s.size+page {
			return offset - s.offset + s.vaddr, true
		}
	}
	return 0, false
}

// inPLT reports whether addr is in a stub that jumps into another module.
func (img *image) inPLT(addr uint64) bool {
	for _, s := range img.text {
		if addr >= s.start && addr < s.end {
			return s.plt
		}
	}
	return false
}

// functions counts the code ranges of the image, stubs left out.
func (img *image) functions() int {
	n := 0
	if img.goTable != nil {
		n += img.goTable.applicationFunctions()
	}
	if img.frames != nil {
		for i := range img.frames.entries {
			if !img.inPLT(img.frames.entries[i].start) {
				n++
			}
		}
	}
	if n == 0 {
		for _, t := range img.symbols {
			n = max(n, len(t.symbols))
		}
	}
	return n
}

// symbolAt names the function that covers addr, raw (mangled); start is where
// its code range starts, known from the call frame table or the symbol.
func (img *image) symbolAt(addr uint64) (name string, start uint64) {
	if img.frames != nil {
		if e, ok := img.frames.find(addr); ok {
			start = e.start
		}
	}
	for _, t := range img.symbols {
		if name, at, ok := t.find(addr, start); ok {
			if start == 0 {
				start = at
			}
			return name, start
		}
	}
	return "", start
}
