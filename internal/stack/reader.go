package stack

import "encoding/binary"

// reader reads little-endian DWARF data. It never panics: past the end it
// yields zeros and sets bad.
type reader struct {
	data []byte
	pos  int
	bad  bool
}

func (r *reader) left() int { return len(r.data) - r.pos }

func (r *reader) take(n int) []byte {
	if n < 0 || n > r.left() {
		r.bad = true
		r.pos = len(r.data)
		return nil
	}
	b := r.data[r.pos : r.pos+n]
	r.pos += n
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// uleb reads an unsigned LEB128; bits past 64 are lost.
func (r *reader) uleb() uint64 {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		b := r.u8()
		if r.bad {
			return 0
		}
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			return v
		}
	}
}

// sleb reads a signed LEB128; bits past 64 are lost.
func (r *reader) sleb() int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		b := r.u8()
		if r.bad {
			return 0
		}
		if shift < 64 {
			v |= int64(b&0x7f) << shift
		}
		if b&0x80 == 0 {
			if shift+7 < 64 && b&0x40 != 0 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
}

// block reads a ULEB128 length and that many bytes.
func (r *reader) block() []byte {
	n := r.uleb()
	if n > uint64(r.left()) {
		r.bad = true
		r.pos = len(r.data)
		return nil
	}
	return r.take(int(n))
}

// text reads up to and past a NUL.
func (r *reader) text() string {
	for i := r.pos; i < len(r.data); i++ {
		if r.data[i] == 0 {
			s := string(r.data[r.pos:i])
			r.pos = i + 1
			return s
		}
	}
	r.bad = true
	r.pos = len(r.data)
	return ""
}

// Pointer encodings of .eh_frame (LSB core specification 10.5.1).
const (
	encodingAbsolute = 0x00
	encodingULEB     = 0x01
	encodingU2       = 0x02
	encodingU4       = 0x03
	encodingU8       = 0x04
	encodingSLEB     = 0x09
	encodingS2       = 0x0a
	encodingS4       = 0x0b
	encodingS8       = 0x0c
	encodingPCRel    = 0x10
	encodingDataRel  = 0x30
	encodingOmit     = 0xff
)

// pointer reads an encoded pointer; here is the address of its first byte,
// data the base of data-relative ones.
func (r *reader) pointer(encoding uint8, here, data uint64) uint64 {
	if encoding == encodingOmit {
		return 0
	}
	here += uint64(r.pos)
	var v uint64
	switch encoding & 0x0f {
	case encodingAbsolute, encodingU8, encodingS8:
		v = r.u64()
	case encodingULEB:
		v = r.uleb()
	case encodingU2:
		v = uint64(r.u16())
	case encodingU4:
		v = uint64(r.u32())
	case encodingSLEB:
		v = uint64(r.sleb())
	case encodingS2:
		v = uint64(int64(int16(r.u16())))
	case encodingS4:
		v = uint64(int64(int32(r.u32())))
	default:
		r.bad = true
		return 0
	}
	switch encoding & 0x70 {
	case encodingAbsolute:
	case encodingPCRel:
		v += here
	case encodingDataRel:
		v += data
	default:
		r.bad = true
	}
	return v
}
