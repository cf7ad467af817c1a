package stack

import (
	"debug/elf"
	"encoding/binary"
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
// prologues and frameless leaves where a frame pointer does not.
type goTable struct {
	data       []byte // .gopclntab
	text       uint64 // address of runtime.text
	quantum    uint32
	nfunc      int
	functab    []byte
	funcnames  []byte
	cutab      []byte
	filetab    []byte
	pctab      []byte
	v120       bool
	inline     []byte // go:func.* data that holds the inline trees, or nil
	appFuncs   int    // cached by applicationFunctions, -1 unknown
	usesLR     bool
	moduleHint bool // text came from the module data
	version    string
}

// goFunc is one function of the table.
type goFunc struct {
	entry, end uint64
	name       string
	flag       uint8
	info       []byte // _func, to the end of the table
}

// span is where the functions of the table are; empty without one.
func (t *goTable) span() span {
	if t == nil {
		return span{}
	}
	return span{t.entry(0), t.entry(t.nfunc)}
}

func (t *goTable) bytes() int64 { return int64(len(t.data) + len(t.inline)) }

// loadGoTable finds and checks the pclntab; nil when there is none.
func loadGoTable(a *allowance, f *elf.File, arch *architecture) *goTable {
	var s *elf.Section
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		if s = f.Section(name); s != nil {
			break
		}
	}
	data := sectionData(a, s, maxSection)
	if data == nil {
		return nil
	}
	t := parseGoTable(data)
	if t == nil {
		return nil
	}
	t.usesLR = arch.lr != 0
	t.locate(a, f, s.Addr, arch)
	if t.text == 0 {
		return nil
	}
	t.version = goVersion(a, f)
	return t
}

// parseGoTable reads the header; nil when it is not one.
func parseGoTable(data []byte) *goTable {
	const header = 8 + 8*8
	if len(data) < header || data[4] != 0 || data[5] != 0 || data[7] != 8 {
		return nil
	}
	magic := binary.LittleEndian.Uint32(data)
	if magic != goMagic118 && magic != goMagic120 {
		return nil
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(data[8+8*i:]) }
	from := func(off uint64) []byte {
		if off > uint64(len(data)) {
			return nil
		}
		return data[off:]
	}
	n := word(0)
	t := &goTable{
		data: data, quantum: uint32(data[6]), v120: magic == goMagic120, appFuncs: -1,
		text:      word(2), // zero since Go 1.26 and in position-independent files
		funcnames: from(word(3)), cutab: from(word(4)), filetab: from(word(5)),
		pctab: from(word(6)), functab: from(word(7)),
	}
	if n == 0 || n > maxGoFunctions || uint64(len(t.functab)) < n*8+4 || t.quantum == 0 {
		return nil
	}
	t.nfunc = int(n)
	return t
}

// locate finds runtime.text and the inline trees through the module data,
// the linker's record of where everything is. Its fields may be filled in by
// relocations only.
func (t *goTable) locate(a *allowance, f *elf.File, tableAddr uint64, arch *architecture) {
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
			t.text, t.moduleHint = text, true
			if t.v120 && off+gofuncField+8 <= len(data) {
				gofunc := binary.LittleEndian.Uint64(data[off+gofuncField:])
				t.inline = sectionFrom(a, f, gofunc)
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

// sectionFrom reads the section around addr, from addr on.
func sectionFrom(a *allowance, f *elf.File, addr uint64) []byte {
	for _, s := range f.Sections {
		if s.Addr == 0 || addr < s.Addr || addr-s.Addr >= s.Size {
			continue
		}
		data := sectionData(a, s, maxSection)
		if data == nil {
			return nil
		}
		data = data[addr-s.Addr:]
		return append(make([]byte, 0, len(data)), data...)
	}
	return nil
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
	return t.text + uint64(binary.LittleEndian.Uint32(t.functab[i*8:]))
}

// find returns the Go function that covers addr.
func (t *goTable) find(addr uint64) (goFunc, bool) {
	if t == nil || addr < t.entry(0) || addr >= t.entry(t.nfunc) {
		return goFunc{}, false
	}
	i := sort.Search(t.nfunc, func(i int) bool { return t.entry(i) > addr }) - 1
	return t.function(i)
}

func (t *goTable) function(i int) (goFunc, bool) {
	off := binary.LittleEndian.Uint32(t.functab[i*8+4:])
	fixed := 40
	if t.v120 {
		fixed = 44
	}
	if uint64(off)+uint64(fixed) > uint64(len(t.functab)) {
		return goFunc{}, false
	}
	info := t.functab[off:]
	fn := goFunc{entry: t.entry(i), end: t.entry(i + 1), info: info}
	fn.name = textAt(t.funcnames, binary.LittleEndian.Uint32(info[4:]))
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
	if off == 0 || uint64(off) >= uint64(len(t.pctab)) {
		return 0, false
	}
	r := reader{data: t.pctab, pos: int(off)}
	value, pc := int32(-1), f.entry
	for step := 0; step < maxGoValues; step++ {
		delta := uint32(r.uleb())
		if delta == 0 && step > 0 {
			return 0, false
		}
		value += int32(-(delta & 1) ^ (delta >> 1))
		pc += r.uleb() * uint64(t.quantum)
		if r.bad || pc > f.end+1<<20 {
			return 0, false
		}
		if addr < pc {
			return value, true
		}
	}
	return 0, false
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
	if cu*4+4 > uint64(len(t.cutab)) {
		return "", 0
	}
	off := binary.LittleEndian.Uint32(t.cutab[cu*4:])
	if off == ^uint32(0) {
		return "", 0
	}
	return textAt(t.filetab, off), line
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
	if t.inline == nil || !t.v120 {
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
	if t.inline == nil || !t.v120 {
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
	if tree == ^uint32(0) || at+entrySize > uint64(len(t.inline)) {
		return "", 0, false
	}
	e := t.inline[at:]
	name := textAt(t.funcnames, binary.LittleEndian.Uint32(e[4:]))
	return name, uint64(binary.LittleEndian.Uint32(e[8:])), name != ""
}

// applicationFunctions counts the functions that are neither the runtime's
// nor the standard library's.
func (t *goTable) applicationFunctions() int {
	if t.appFuncs >= 0 {
		return t.appFuncs
	}
	t.appFuncs = 0
	for i := range t.nfunc {
		off := binary.LittleEndian.Uint32(t.functab[i*8+4:])
		if uint64(off)+8 > uint64(len(t.functab)) {
			continue
		}
		name := textUpTo(t.funcnames, binary.LittleEndian.Uint32(t.functab[off+4:]), maxGoPackage)
		if name != "" && goOrigin(name) == 0 {
			t.appFuncs++
		}
	}
	return t.appFuncs
}
