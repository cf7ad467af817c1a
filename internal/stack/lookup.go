package stack

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"io"
	"slices"
)

const (
	// maxSymbols bounds the functions taken from one symbol table.
	maxSymbols = 4 << 20
	// maxSymbolName bounds a name; longer ones are cut.
	maxSymbolName = 4096
	// symbolEntrySize is sizeof(Elf64_Sym).
	symbolEntrySize = 24
)

// symbol is a function of a symbol table.
type symbol struct {
	addr uint64
	size uint32
	name uint32 // offset into symbolTable.strings
	rank uint8  // which of several symbols at one address is shown
}

// symbolTable holds functions sorted by address, one per address.
type symbolTable struct {
	symbols []symbol
	strings []byte
	left    bool // some were left out, since another table names them
}

// selection says what of a symbol table is wanted: its functions, but for those at the
// addresses to leave out, and where the variables are, which are filled in.
type selection struct {
	leave     span
	variables map[string]uint64
}

func (t *symbolTable) bytes() int64 { return int64(len(t.strings)) + int64(len(t.symbols))*24 }

func (t *symbolTable) name(s *symbol) string { return textAt(t.strings, s.name) }

// textAt reads the NUL-terminated string at off.
func textAt(table []byte, off uint32) string { return textUpTo(table, off, maxSymbolName) }

func textUpTo(table []byte, off uint32, most int) string {
	if uint64(off) >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	b = b[:min(len(b), most)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// find returns the function that truly covers addr. A nearest-lower symbol
// that ends before addr is no answer: stripped programs export some functions
// only, and the others would get their neighbour's name. A symbol without a
// size (hand-written assembly) counts only when the code range starts at it;
// start is that range's start, or zero when there is none.
func (t *symbolTable) find(addr, start uint64) (string, uint64, bool) {
	if t == nil {
		return "", 0, false
	}
	i, _ := slices.BinarySearchFunc(t.symbols, addr, func(s symbol, a uint64) int {
		if s.addr <= a {
			return -1
		}
		return 1
	})
	// Symbols can nest; a few steps back find the one around.
	for back := 1; back <= 8 && i-back >= 0; back++ {
		s := &t.symbols[i-back]
		if addr-s.addr < uint64(s.size) || (s.size == 0 && start != 0 && s.addr == start) {
			return t.name(s), s.addr, true
		}
	}
	return "", 0, false
}

// readSymbols keeps the functions of an Elf64_Sym table, a piece at a time, as
// many as the allowance has room for.
func readSymbols(a *allowance, r io.Reader, names []byte, of selection) *symbolTable {
	t := &symbolTable{strings: names}
	piece := make([]byte, 4096*symbolEntrySize)
	for len(t.symbols) < maxSymbols {
		n, err := io.ReadFull(r, piece)
		for data := piece[:n]; len(data) >= symbolEntrySize; data = data[symbolEntrySize:] {
			if s, ok := t.entry(data); ok {
				if s.addr >= of.leave.start && s.addr < of.leave.end {
					t.left = true
					continue
				}
				if len(t.symbols) == cap(t.symbols) && !a.take(uint64(max(len(t.symbols), 1024))*symbolSize) {
					break
				}
				t.symbols = append(t.symbols, s)
			} else if len(of.variables) > 0 {
				t.variable(data, of.variables)
			}
		}
		if err != nil || !a.goOn(checkEvery) {
			break
		}
	}
	t.sort(a)
	t.pack(a)
	return t
}

// pack keeps the names of the functions only, when most of the strings are others'.
func (t *symbolTable) pack(a *allowance) {
	used := 0
	for i := range t.symbols {
		used += len(t.name(&t.symbols[i])) + 1
	}
	if 2*used > len(t.strings) || !a.take(uint64(used)) { //nolint:gosec // a sum of lengths
		return
	}
	names := make([]byte, 0, used)
	for i := range t.symbols {
		s := &t.symbols[i]
		name := t.name(s)
		s.name = uint32(len(names)) //nolint:gosec // shorter than before
		names = append(append(names, name...), 0)
	}
	a.give(uint64(len(t.strings)))
	t.strings = names
}

// symbolSize is what a symbol takes, and what it took in the slice before that
// grew (bytes).
const symbolSize = 2 * 24

// entry reads an Elf64_Sym; ok is false when it is no function.
func (t *symbolTable) entry(data []byte) (s symbol, ok bool) {
	info := data[4]
	kind := elf.ST_TYPE(info)
	section := elf.SectionIndex(binary.LittleEndian.Uint16(data[6:]))
	addr := binary.LittleEndian.Uint64(data[8:])
	size := binary.LittleEndian.Uint64(data[16:])
	if section == elf.SHN_UNDEF || section == elf.SHN_ABS || addr == 0 || size > 1<<32-1 {
		return s, false
	}
	if kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC && kind != elf.STT_NOTYPE {
		return s, false
	}
	name := binary.LittleEndian.Uint32(data)
	if uint64(name) >= uint64(len(t.strings)) || t.strings[name] == 0 || t.strings[name] == '$' {
		return s, false // '$x', '$d': arm64 mapping symbols
	}
	return symbol{addr: addr, size: uint32(size), name: name, rank: rank(info, size, t.strings[name:])}, true
}

// variable notes the address of an Elf64_Sym that is a variable wanted.
func (t *symbolTable) variable(data []byte, wanted map[string]uint64) {
	const longest = 64
	section := elf.SectionIndex(binary.LittleEndian.Uint16(data[6:]))
	if elf.ST_TYPE(data[4]) != elf.STT_OBJECT || section == elf.SHN_UNDEF || section == elf.SHN_ABS {
		return
	}
	name := textUpTo(t.strings, binary.LittleEndian.Uint32(data), longest)
	if _, ok := wanted[name]; ok {
		wanted[name] = binary.LittleEndian.Uint64(data[8:])
	}
}

const (
	// maxAliases bounds the names of one address that are compared with each
	// other, comparedName how much of each (bytes).
	maxAliases   = 64
	comparedName = 256
)

// sort orders the symbols by address and keeps one of each: that of the highest
// rank, of several the first by name. No name is looked at but those of aliases.
func (t *symbolTable) sort(a *allowance) {
	if !a.goOn(checkEvery) {
		t.symbols = nil
		return
	}
	slices.SortFunc(t.symbols, func(x, y symbol) int {
		return cmp.Or(cmp.Compare(x.addr, y.addr), cmp.Compare(y.rank, x.rank), cmp.Compare(x.name, y.name))
	})
	kept := t.symbols[:0]
	for i := 0; i < len(t.symbols) && a.goOn(1); {
		best := t.symbols[i]
		j := i + 1
		for ; j < len(t.symbols) && t.symbols[j].addr == best.addr; j++ {
			s := &t.symbols[j]
			if j-i < maxAliases && s.rank == best.rank && bytes.Compare(t.front(s), t.front(&best)) < 0 {
				best = *s
			}
		}
		kept = append(kept, best)
		i = j
	}
	t.symbols = slices.Clip(slices.Clone(kept))
}

// front is as much of a name as is compared.
func (t *symbolTable) front(s *symbol) []byte {
	b := t.strings[s.name:]
	b = b[:min(len(b), comparedName)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b
}

// rank prefers, among aliases, sized functions over labels, public spelling
// over internal (read over __read), global over weak over local.
func rank(info byte, size uint64, name []byte) uint8 {
	var r uint8
	switch elf.ST_TYPE(info) {
	case elf.STT_FUNC:
		r += 32
	case elf.STT_GNU_IFUNC:
		r += 16
	}
	if size > 0 {
		r += 64
	}
	if name[0] != '_' || (len(name) > 1 && (name[1] == 'Z' || name[1] == 'R')) {
		r += 8
	}
	switch elf.ST_BIND(info) {
	case elf.STB_GLOBAL:
		r += 2
	case elf.STB_WEAK:
		r++
	}
	return r
}
