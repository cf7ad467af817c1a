package stack

import (
	"debug/elf"
	"encoding/binary"
	"io"
	"sort"
)

// Magic numbers of Go's pclntab, by the Go release that introduced them
// (internal/abi/symtab.go). Older ones (before 1.18) are not read.
const (
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1
)

// Flags of a Go function (internal/abi.FuncFlag).
const (
	goTopFrame = 1 << 0 // the outermost frame of a stack
	goSPWrite  = 1 << 1 // switches stacks: cannot be walked through
)

const (
	// maxGoFunctions bounds the functions of one program: those of a large one
	// are 200,000.
	maxGoFunctions = 1 << 20
	// maxGoValues bounds the steps through one table of values by address.
	maxGoValues = 1 << 18
	// maxGoPackage is how much of a name is looked at for its package (bytes).
	maxGoPackage = 256
)

// goTable is Go's own table of functions: names, lines, inlining and, what
// matters most, the size of the frame at every instruction, which holds in
// prologues and frameless leaves where a frame pointer does not. Where the functions are
// is held; what else it says of one is read from the file when it is asked for, since
// the tables of a large program are 20 MB.
type goTable struct {
	text    uint64 // address of runtime.text
	quantum uint32
	nfunc   int
	// index has the address of each function and where the rest of it is.
	index []byte
	// held is the whole section where the file has it packed, and heldInline that of the
	// inline trees.
	held, heldInline []byte
	functab          piece
	funcnames        piece
	cutab            piece
	filetab          piece
	pctab            piece
	inline           piece // go:func.* data that holds the inline trees, or nothing
	v120             bool
	usesLR           bool
}

// goFunc is one function of the table.
type goFunc struct {
	entry, end uint64
	name       string
	flag       uint8
	info       []byte // _func
}

func (t *goTable) bytes() int64 { return int64(len(t.index) + len(t.held) + len(t.heldInline)) }

// covers reports whether addr is in a function of the table.
func (t *goTable) covers(addr uint64) bool {
	s := t.span()
	return addr >= s.start && addr < s.end
}

// span is where the functions of the table are; empty without one.
func (t *goTable) span() span {
	if t == nil {
		return span{}
	}
	return span{t.entry(0), t.entry(t.nfunc)}
}

// in is the table with what is not held to be read from r, the file that it is of.
func (t *goTable) in(r io.ReaderAt) *goTable {
	out := *t
	if t.held == nil {
		for _, p := range []*piece{&out.functab, &out.funcnames, &out.cutab, &out.filetab, &out.pctab} {
			p.r = r
		}
	}
	if t.heldInline == nil && t.inline.size > 0 {
		out.inline.r = r
	}
	return &out
}

// loadGoTable finds and checks the pclntab; nil when there is none.
func loadGoTable(a *allowance, r io.ReaderAt, f *elf.File, arch *architecture) *goTable {
	s := goSection(f)
	if s == nil {
		return nil
	}
	data, held := pieceOf(a, r, s)
	t := parseGoTable(a, data)
	if t == nil {
		return nil
	}
	t.held, t.usesLR = held, arch.lr != 0
	t.locate(a, r, f, s.Addr, arch)
	if t.text == 0 {
		return nil
	}
	return t
}

func goSection(f *elf.File) *elf.Section {
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		if s := f.Section(name); s != nil {
			return s
		}
	}
	return nil
}

// parseGoTable reads the header and where the functions are; nil when it is no table.
func parseGoTable(a *allowance, data piece) *goTable {
	const header = 8 + 8*8
	head := data.read(0, header)
	if len(head) < header || head[4] != 0 || head[5] != 0 || head[7] != 8 {
		return nil
	}
	magic := binary.LittleEndian.Uint32(head)
	if magic != goMagic118 && magic != goMagic120 {
		return nil
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(head[8+8*i:]) }
	// part is one of the tables in it: up to the next, as linkers put them.
	part := func(i int) piece {
		p := data.from(word(i))
		if next := word(i + 1); i < 7 && next > word(i) {
			p.size = min(p.size, next-word(i))
		}
		return p
	}
	n := word(0)
	t := &goTable{
		quantum: uint32(head[6]), v120: magic == goMagic120,
		text:      word(2), // zero since Go 1.26 and in position-independent files
		funcnames: part(3), cutab: part(4), filetab: part(5), pctab: part(6), functab: data.from(word(7)),
	}
	if n == 0 || n > maxGoFunctions || t.functab.size < n*8+4 || t.quantum == 0 || !a.take(n*8+4) {
		return nil
	}
	t.nfunc, t.index = int(n), t.functab.read(0, int(n)*8+4) //nolint:gosec // bounded
	if len(t.index) < t.nfunc*8+4 {
		return nil
	}
	return t
}

// locate finds runtime.text and the inline trees through the module data,
// the linker's record of where everything is. Its fields may be filled in by
// relocations only.
func (t *goTable) locate(a *allowance, r io.ReaderAt, f *elf.File, tableAddr uint64, arch *architecture) {
	const textField, gofuncField, oldGofuncField = 176, 320, 304
	for _, name := range []string{".go.module", ".noptrdata", ".data.rel.ro", ".data"} {
		s := f.Section(name)
		data := sectionData(a, s, 16<<20)
		if data == nil {
			continue
		}
		a.give(uint64(len(data)))
		relocate(a, f, s.Addr, data, arch)
		for off := 0; off+oldGofuncField+8 <= len(data); off += 8 {
			if binary.LittleEndian.Uint64(data[off:]) != tableAddr {
				continue
			}
			text := binary.LittleEndian.Uint64(data[off+textField:])
			minpc := binary.LittleEndian.Uint64(data[off+160:])
			if text == 0 || minpc < text || minpc-text > 1<<32 {
				continue // some other pointer to the table
			}
			t.text = text
			if t.v120 && off+gofuncField+8 <= len(data) {
				gofunc := binary.LittleEndian.Uint64(data[off+gofuncField:])
				t.inline, t.heldInline = pieceFrom(a, r, f, gofunc)
			}
			return
		}
	}
	if t.text == 0 {
		// Without cgo, runtime.text is where .text starts.
		if s := f.Section(".text"); s != nil {
			t.text = s.Addr
		}
	}
}

// pieceFrom is the section around addr, from addr on.
func pieceFrom(a *allowance, r io.ReaderAt, f *elf.File, addr uint64) (p piece, held []byte) {
	for _, s := range f.Sections {
		if s.Addr == 0 || addr < s.Addr || addr-s.Addr >= s.Size {
			continue
		}
		p, held = pieceOf(a, r, s)
		return p.from(addr - s.Addr), held
	}
	return p, nil
}

// relocate applies the load-address relocations of .rela.dyn that fall into
// data, for a load address of zero.
func relocate(a *allowance, f *elf.File, addr uint64, data []byte, arch *architecture) {
	for _, name := range []string{".rela.dyn", ".rela"} {
		rela := section(a, f, name, maxSection)
		a.give(uint64(len(rela)))
		for ; len(rela) >= 24; rela = rela[24:] {
			off := binary.LittleEndian.Uint64(rela)
			if uint32(binary.LittleEndian.Uint64(rela[8:])) != arch.relative ||
				off < addr || off-addr+8 > uint64(len(data)) {
				continue
			}
			copy(data[off-addr:off-addr+8], rela[16:24])
		}
	}
}

// entry is the address of the i-th function; i may be nfunc.
func (t *goTable) entry(i int) uint64 {
	return t.text + uint64(binary.LittleEndian.Uint32(t.index[i*8:]))
}

// find returns the Go function that covers addr.
func (t *goTable) find(addr uint64) (goFunc, bool) {
	if t == nil || addr < t.entry(0) || addr >= t.entry(t.nfunc) {
		return goFunc{}, false
	}
	i := sort.Search(t.nfunc, func(i int) bool { return t.entry(i) > addr }) - 1
	return t.function(i)
}

const (
	// goFuncSize is the fixed part of _func since Go 1.20, goFuncSize118 before.
	goFuncSize, goFuncSize118 = 44, 40
	// maxGoFuncData bounds the tables of one function that are read (a few dozen).
	maxGoFuncData = 64 + 256
)

func (t *goTable) function(i int) (goFunc, bool) {
	fixed := goFuncSize118
	if t.v120 {
		fixed = goFuncSize
	}
	info := t.functab.read(uint64(binary.LittleEndian.Uint32(t.index[i*8+4:])), goFuncSize+4*maxGoFuncData)
	if len(info) < fixed {
		return goFunc{}, false
	}
	fn := goFunc{entry: t.entry(i), end: t.entry(i + 1), info: info}
	fn.name = t.funcnames.text(binary.LittleEndian.Uint32(info[4:]))
	fn.flag = info[fixed-3]
	return fn, fn.name != ""
}

// field reads a 32-bit field of _func.
func (f *goFunc) field(off int) uint32 { return binary.LittleEndian.Uint32(f.info[off:]) }

// frameSize is how far sp is below its value at the function's entry.
func (t *goTable) frameSize(f *goFunc, addr uint64) (uint64, bool) {
	v, ok := t.pcValue(f, f.field(16), addr)
	if !ok || v < 0 {
		return 0, false
	}
	return uint64(v), true
}

// pcValue decodes a table of values by address (runtime.pcvalue).
func (t *goTable) pcValue(f *goFunc, off uint32, addr uint64) (int32, bool) {
	const mostly, most = 1 << 10, 4 * maxGoValues
	for n := mostly; off != 0; n = min(8*n, most) {
		data := t.pctab.read(uint64(off), n)
		value, found, cut := t.decode(f, data, addr)
		if !cut || len(data) < n || n == most {
			return value, found
		}
	}
	return 0, false
}

// decode is pcValue in the first bytes of a table; cut is set when they are not enough.
func (t *goTable) decode(f *goFunc, data []byte, addr uint64) (value int32, found, cut bool) {
	r := reader{data: data}
	value, pc := int32(-1), f.entry
	for step := 0; step < maxGoValues; step++ {
		delta := uint32(r.uleb())
		if delta == 0 && step > 0 && !r.bad {
			return 0, false, false
		}
		value += int32(-(delta & 1) ^ (delta >> 1))
		pc += r.uleb() * uint64(t.quantum)
		if r.bad || pc > f.end+1<<20 {
			return 0, false, r.bad
		}
		if addr < pc {
			return value, true, false
		}
	}
	return 0, false, false
}

// line is the source position of addr, of the innermost inlined function.
func (t *goTable) line(f *goFunc, addr uint64) (string, int32) {
	line, ok := t.pcValue(f, f.field(24), addr)
	if !ok {
		return "", 0
	}
	file, ok := t.pcValue(f, f.field(20), addr)
	if !ok || file < 0 {
		return "", 0
	}
	cu := uint64(f.field(32)) + uint64(file)
	off, ok := t.cutab.u32(cu * 4)
	if !ok || off == ^uint32(0) {
		return "", 0
	}
	return t.filetab.text(off), line
}

// goInlined is a function inlined at an address, innermost first.
type goInlined struct {
	name string
	file string
	line int32
}

// maxInlined bounds the inlining depth shown.
const maxInlined = 32

// position gives the source position of addr and the functions inlined there;
// the last element is the function that holds the code.
func (t *goTable) position(f *goFunc, addr uint64) []goInlined {
	var out []goInlined
	file, line := t.line(f, addr)
	if t.inline.r == nil || !t.v120 {
		// What is inlined is not known, and may be of another file.
		if own, first := t.line(f, f.entry); own != file {
			file, line = own, first
		}
	}
	for pc := addr; len(out) < maxInlined; {
		name, parent, ok := t.inlinedAt(f, pc)
		if !ok {
			break
		}
		out = append(out, goInlined{name, file, line})
		if parent >= f.end-f.entry {
			break
		}
		pc = f.entry + parent
		file, line = t.line(f, pc)
	}
	return append(out, goInlined{f.name, file, line})
}

// inlinedAt looks up the inline tree of f (runtime.inlineUnwinder).
func (t *goTable) inlinedAt(f *goFunc, addr uint64) (string, uint64, bool) {
	const pcdataInlineIndex, funcdataInlineTree, entrySize = 2, 3, 16
	if t.inline.r == nil || !t.v120 {
		return "", 0, false
	}
	npcdata, nfuncdata := uint64(f.field(28)), uint64(f.info[43])
	if npcdata <= pcdataInlineIndex || npcdata > 64 || nfuncdata <= funcdataInlineTree ||
		uint64(len(f.info)) < 44+4*(npcdata+nfuncdata) {
		return "", 0, false
	}
	index, ok := t.pcValue(f, f.field(44+4*pcdataInlineIndex), addr)
	if !ok || index < 0 {
		return "", 0, false
	}
	tree := f.field(44 + 4*(int(npcdata)+funcdataInlineTree))
	at := uint64(tree) + uint64(index)*entrySize
	if tree == ^uint32(0) {
		return "", 0, false
	}
	e := t.inline.read(at, entrySize)
	if len(e) < entrySize {
		return "", 0, false
	}
	name := t.funcnames.text(binary.LittleEndian.Uint32(e[4:]))
	return name, uint64(binary.LittleEndian.Uint32(e[8:])), name != ""
}

// applicationFunctions counts the functions that are neither the runtime's
// nor the standard library's.
func (t *goTable) applicationFunctions(a *allowance) (n int) {
	t.each(a, func(_ int, names []byte) bool {
		if name := textUpTo(names, 0, maxGoPackage); name != "" && goOrigin(name) == 0 {
			n++
		}
		return true
	})
	return n
}

// each calls f with the functions and the bytes that begin with their names, until it is
// false. For that, both tables are read at once.
func (t *goTable) each(a *allowance, f func(i int, names []byte) bool) {
	if !a.take(t.functab.size) {
		return
	}
	defer a.give(t.functab.size)
	if !a.take(t.funcnames.size) {
		return
	}
	defer a.give(t.funcnames.size)
	functab := t.functab.read(0, int(t.functab.size))   //nolint:gosec // there is room for it
	names := t.funcnames.read(0, int(t.funcnames.size)) //nolint:gosec // there is room for it
	for i := range t.nfunc {
		off := uint64(binary.LittleEndian.Uint32(t.index[i*8+4:]))
		if off+8 > uint64(len(functab)) || !a.goOn(1) {
			continue
		}
		if at := binary.LittleEndian.Uint32(functab[off+4:]); uint64(at) < uint64(len(names)) && !f(i, names[at:]) {
			break
		}
	}
}
