package stack

import "math/bits"

// pageBits: a page is 4096 bytes.
const pageBits, pageSize = 12, 1 << 12

// Copy is what was copied of a stack, from the stack pointer upwards.
type Copy struct {
	// Bytes are the pages copied, one after the other; the first begins at
	// the stack pointer, and the last may be cut short.
	Bytes []byte
	// Pages has a bit for each page of 4096 bytes from that of the stack
	// pointer on, set when it is in Bytes: of the others nothing is known.
	// Zero stands for a Copy without gaps.
	Pages uint64
}

// memory is the part of a stack that was copied.
type memory struct {
	// base is the address of the first byte of data.
	base  uint64
	data  []byte
	pages uint64
}

func (c Copy) at(base uint64) memory {
	m := memory{base: base, data: c.Bytes, pages: c.Pages}
	if m.pages&(m.pages+1) == 0 {
		m.pages = 0 // none is left out before the last
	}
	return m
}

// offset is where in data the byte at addr is.
func (m *memory) offset(addr uint64) (uint64, bool) {
	if m.pages == 0 {
		return addr - m.base, true
	}
	page := addr>>pageBits - m.base>>pageBits
	if addr < m.base || page > 63 || m.pages>>page&1 == 0 {
		return 0, false
	}
	left := uint64(bits.OnesCount64(^m.pages & (1<<page - 1))) // out, before it
	return addr - m.base - left<<pageBits, true
}

// word reads the eight bytes at addr.
func (m *memory) word(addr uint64) (uint64, bool) {
	off, ok := m.offset(addr)
	if !ok || off > uint64(len(m.data)) || uint64(len(m.data))-off < 8 {
		return 0, false
	}
	if addr&(pageSize-1) > pageSize-8 { // it goes on in the next page
		if last, ok := m.offset(addr + 7); !ok || last != off+7 {
			return 0, false
		}
	}
	b := m.data[off : off+8 : off+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56, true
}
