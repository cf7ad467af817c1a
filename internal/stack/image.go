package stack

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
)

// segment is a loadable piece of an ELF file.
type segment struct{ offset, size, vaddr uint64 }

// span is a range of addresses.
type span struct{ start, end uint64 }

// maxStubs bounds the sections of stubs (linkers make up to four).
const maxStubs = 16

// layout is what is known of one ELF file without its tables.
type layout struct {
	segments []segment
	stubs    []span // PLT sections
	entry    uint64 // where the program starts, zero in libraries
	gnuID    string
	goID     string
	isGo     bool
	// goVersion is the Go release that built it, as it says.
	goVersion string
	count     int // of functions, if asked for
	// variables has where those wanted are, as linked.
	variables map[string]uint64
}

// image is what is kept of one ELF file: enough to walk and name its code.
type image struct {
	layout
	text     uint64      // bytes of code, stubs left out
	frames   *frameTable // nil without .eh_frame
	badRows  int         // damaged or endless rows met in them
	goTable  *goTable    // nil unless Go code is in it
	symbols  []*symbolTable
	lines    *lineReader // nil without debug information
	untabled bool        // the code was built without call frame information
	short    error       // why it was read in part; nil when it was not
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
	// allow bounds the cost; nil is a new allowance.
	allow *allowance
	// count has the functions counted.
	count bool
	// variables are the names of those wanted.
	variables []string
}

// loadImage reads an ELF file. The parsers below it may panic on hostile
// input; that is an error like any other here.
func loadImage(r io.ReaderAt, opts imageOptions) (img *image, err error) {
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("malformed ELF file: %v", p)
		}
	}()
	a := opts.allow
	if a == nil {
		runtime.LockOSThread() // its CPU clock is read
		defer runtime.UnlockOSThread()
		a = newAllowance(threadTime)
	}
	f, err := openELF(r)
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != opts.arch.machine || f.Data != elf.ELFDATA2LSB {
		return nil, fmt.Errorf("%v %v code is not supported on this machine", f.Class, f.Machine)
	}
	img = &image{size: 4096, layout: layout{entry: f.Entry}}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && len(img.segments) < 64 {
			img.segments = append(img.segments, segment{p.Off, p.Filesz, p.Vaddr})
		}
	}
	if len(img.segments) == 0 {
		return nil, errors.New("no executable segment")
	}
	for _, s := range f.Sections {
		switch {
		case s.Flags&elf.SHF_EXECINSTR == 0:
		case s.Name == ".plt" || s.Name == ".plt.sec" || s.Name == ".plt.got" || s.Name == ".iplt":
			if len(img.stubs) < maxStubs {
				img.stubs = append(img.stubs, span{s.Addr, s.Addr + s.Size})
			}
		default:
			img.text += s.Size
		}
	}
	img.gnuID, img.goID = buildIDs(a, f)
	if img.frames, err = frameTableOf(a, f); err == nil {
		img.size += img.frames.bytes()
	}
	img.untabled = img.lacksTables()
	img.goTable = loadGoTable(a, r, f, opts.arch)
	if img.isGo = img.goTable != nil; img.isGo {
		img.size += img.goTable.bytes()
		img.goVersion = goVersion(a, f)
	}
	img.loadSymbols(a, f, opts)
	if a.late != nil {
		return nil, a.late
	}
	img.short = a.short
	if opts.count {
		img.count = img.functions(a)
	}
	if img.goTable != nil {
		img.goTable = img.goTable.in(nil) // the file is closed
	}
	return img, nil
}

// loadSymbols fills the tables in the order in which they are asked.
func (img *image) loadSymbols(a *allowance, f *elf.File, opts imageOptions) {
	add := func(t *symbolTable) bool {
		if t == nil {
			return false
		}
		if len(t.symbols) > 0 {
			img.symbols = append(img.symbols, t)
			img.size += t.bytes()
		}
		return true
	}
	code := img.goTable.span() // which names its own functions
	full := add(symbolsOf(a, f, elf.SHT_SYMTAB, selection{leave: code}))
	img.variables = map[string]uint64{}
	for _, name := range opts.variables {
		img.variables[name] = 0
	}
	add(symbolsOf(a, f, elf.SHT_DYNSYM, selection{leave: code, variables: img.variables}))
	maps.DeleteFunc(img.variables, func(_ string, at uint64) bool { return at == 0 })
	if opts.lines {
		img.lines = newLineReader(a, f)
	}
	if img.gnuID != "" && opts.debugFile != nil && (!full || (opts.lines && img.lines == nil)) {
		if r, done := opts.debugFile(img.gnuID); r != nil {
			if d, err := openELF(r); err == nil {
				if id, _ := buildIDs(a, d); id == img.gnuID {
					if !full {
						full = add(symbolsOf(a, d, elf.SHT_SYMTAB, selection{leave: code}))
					}
					if opts.lines && img.lines == nil {
						img.lines = newLineReader(a, d)
					}
				}
			}
			done()
		}
	}
	if !full {
		add(miniDebugSymbols(a, f))
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
	var covered uint64
	for i := range img.frames.entries {
		covered += uint64(img.frames.entries[i].size)
	}
	return covered < img.text/5
}

// address turns an offset in the file into the address the file was linked at.
func (l *layout) address(offset uint64) (uint64, bool) {
	for _, s := range l.segments {
		if offset >= s.offset && offset-s.offset < s.size {
			return offset - s.offset + s.vaddr, true
		}
	}
	// A segment's mapping starts at a page edge, before the segment does.
	for _, s := range l.segments {
		const page = 1 << 16
		if offset >= s.offset&^(page-1) && offset < s.offset+s.size+page {
			return offset - s.offset + s.vaddr, true
		}
	}
	return 0, false
}

// inPLT reports whether addr is in a stub that jumps into another module.
func (l *layout) inPLT(addr uint64) bool {
	for _, s := range l.stubs {
		if addr >= s.start && addr < s.end {
			return true
		}
	}
	return false
}

// functions counts the code ranges of the image, stubs left out.
func (img *image) functions(a *allowance) int {
	n := 0
	if img.goTable != nil {
		n += img.goTable.applicationFunctions(a)
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
