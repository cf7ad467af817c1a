package stack

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
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
}

func (t *symbolTable) bytes() int64 { return int64(len(t.strings)) + int64(len(t.symbols))*24 }

func (t *symbolTable) name(s *symbol) string { return textAt(t.strings, s.name) }

// textAt reads the NUL-terminated string at off.
func textAt(table []byte, off uint32) string {
	if uint64(off) >= uint64(len(table)) {
		return ""
	}
	b := table[off:]
	if len(b) > maxSymbolName {
		b = b[:maxSymbolName]
	}
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
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

// parseSymbols keeps the functions of an Elf64_Sym table.
func parseSymbols(data, names []byte) *symbolTable {
	t := &symbolTable{strings: names}
	for ; len(data) >= symbolEntrySize && len(t.symbols) < maxSymbols; data = data[symbolEntrySize:] {
		info := data[4]
		kind := elf.ST_TYPE(info)
		section := elf.SectionIndex(binary.LittleEndian.Uint16(data[6:]))
		addr := binary.LittleEndian.Uint64(data[8:])
		size := binary.LittleEndian.Uint64(data[16:])
		if section == elf.SHN_UNDEF || section == elf.SHN_ABS || addr == 0 || size > 1<<32-1 {
			continue
		}
		if kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC && kind != elf.STT_NOTYPE {
			continue
		}
		name := binary.LittleEndian.Uint32(data)
		if uint64(name) >= uint64(len(names)) || names[name] == 0 || names[name] == '$' {
			continue // '$x', '$d': arm64 mapping symbols
		}
		t.symbols = append(t.symbols, symbol{addr: addr, size: uint32(size), name: name, rank: rank(info, size, names[name:])})
	}
	slices.SortStableFunc(t.symbols, func(a, b symbol) int {
		if c := cmp.Compare(a.addr, b.addr); c != 0 {
			return c
		}
		if c := cmp.Compare(b.rank, a.rank); c != 0 {
			return c
		}
		return strings.Compare(t.name(&a), t.name(&b))
	})
	t.symbols = slices.CompactFunc(t.symbols, func(a, b symbol) bool { return a.addr == b.addr })
	t.symbols = slices.Clip(t.symbols)
	return t
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
