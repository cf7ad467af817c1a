package goroutine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Adder is the function of the runtime that refers to all that says where the
// goroutines are: runtime.allgs, a slice, runtime.allgptr, its first word, and
// runtime.allglen, its length. No symbol table is needed to find them.
const Adder = "runtime.allgadd"

const (
	// MaxCode bounds the machine code of Adder that is looked at.
	MaxCode = 4096
	// maxCandidates bounds the addresses in it that may be those of variables.
	maxCandidates = 512
	// maxGoroutines is how many there may be.
	maxGoroutines = 1 << 24
	// locateTries is how often it is tried: the program may add one meanwhile.
	locateTries = 3
)

// Range is a piece of memory.
type Range struct {
	Addr uint64
	Size int
}

// Memory is that of a process. What is not there is nil. It may read a thousand
// pieces at once.
type Memory interface {
	Read(ranges []Range) ([][]byte, error)
}

// ErrNotFound is that the goroutines of a program are not where they should be.
var ErrNotFound = errors.New("the goroutines are not where this Go version has them")

// Table is where the goroutines of a process are.
type Table struct {
	layout layout
	// first and length are the addresses of runtime.allgptr and runtime.allglen.
	first, length uint64
}

// Locate finds the goroutines of a program of a Go version, by the code of Adder,
// which is at an address. arch is "amd64" or "arm64".
func Locate(mem Memory, version, arch string, code []byte, at uint64) (*Table, error) {
	l, ok := layoutOf(version)
	if !ok {
		return nil, fmt.Errorf("goroutines of %q are not known (go1.23 or newer is)", version)
	}
	candidates := references(arch, code[:min(len(code), MaxCode)], at)
	for range locateTries {
		t, err := locate(mem, candidates)
		switch {
		case err != nil:
			return nil, err
		case t == nil:
			continue
		}
		t.layout = l
		if err := t.check(mem); err != nil {
			return nil, err
		}
		return t, nil
	}
	return nil, ErrNotFound
}

// locate looks among the candidates for a slice, with two more that are equal to
// its first word and its length; nil when there is none.
func locate(mem Memory, candidates []uint64) (*Table, error) {
	const slice = 24
	ranges := make([]Range, len(candidates))
	for i, addr := range candidates {
		ranges[i] = Range{addr, slice}
	}
	read, err := mem.Read(ranges)
	if err != nil {
		return nil, err
	}
	find := func(value uint64, but uint64) uint64 {
		for i, data := range read {
			if len(data) == slice && binary.LittleEndian.Uint64(data) == value && (candidates[i] < but || candidates[i] >= but+slice) {
				return candidates[i]
			}
		}
		return 0
	}
	for i, data := range read {
		if len(data) != slice {
			continue
		}
		first, length, room := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
		if first == 0 || first%8 != 0 || length == 0 || length > room || room > maxGoroutines {
			continue
		}
		if p, n := find(first, candidates[i]), find(length, candidates[i]); p != 0 && n != 0 && p != n {
			return &Table{first: p, length: n}, nil
		}
	}
	return nil, nil //nolint:nilnil // it is not an error yet
}

// check compares the first goroutines with the layout: of those, which are the
// runtime's own, some always wait.
func (t *Table) check(mem Memory) error {
	const first = 16
	array, n, err := t.bounds(mem)
	if err != nil {
		return err
	}
	all, err := t.read(mem, array, sequence(min(n, first)))
	if err != nil {
		return err
	}
	good, bad := 0, 0
	for _, g := range all {
		switch {
		case g.bad:
			bad++
		case g.status == statusWaiting:
			good++
		}
	}
	if good == 0 || bad > good {
		return ErrNotFound
	}
	return nil
}

// references are the addresses that code refers to relative to itself.
func references(arch string, code []byte, at uint64) []uint64 {
	var out []uint64
	add := func(addr uint64) {
		if addr%8 == 0 && len(out) < maxCandidates && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	if arch == "arm64" {
		pagesARM64(code, at, add)
		return out
	}
	// Any four bytes may be a displacement from the end of their instruction: what
	// is found there decides.
	const near = 1 << 30
	for i := 0; i+4 <= len(code); i++ {
		d := int32(binary.LittleEndian.Uint32(code[i:])) //nolint:gosec // a signed displacement
		if d < near && d > MaxCode {                     // data lies behind code
			add(at + uint64(i) + 4 + uint64(d)) //nolint:gosec // positive
		}
	}
	return out
}

// pagesARM64 follows ADRP with the ADD, LDR or STR that uses its page.
func pagesARM64(code []byte, at uint64, add func(uint64)) {
	pages := map[uint32]uint64{}
	for i := 0; i+4 <= len(code); i += 4 {
		op := binary.LittleEndian.Uint32(code[i:])
		base, offset := op>>5&31, uint64(op>>10&0xfff)
		switch {
		case op&0x9f000000 == 0x90000000: // ADRP
			imm := int64(int32((op>>5&0x7ffff)<<13|(op>>29&3)<<11)) >> 11 //nolint:gosec // sign extension
			pages[op&31] = (at+uint64(i))&^0xfff + uint64(imm<<12)        //nolint:gosec // wraps as the instruction does
		case op&0xffc00000 == 0x91000000: // ADD, immediate
			if page, ok := pages[base]; ok {
				add(page + offset)
			}
		case op&0xffc00000 == 0xf9400000, op&0xffc00000 == 0xf9000000: // LDR, STR
			if page, ok := pages[base]; ok {
				add(page + offset*8)
			}
		}
	}
}
