package stacktest

import (
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
)

// DirectCall decodes the instruction before the return address ra: the target
// of a direct call, or false for an indirect one (or none).
func DirectCall(pid int, ra uint64) (uint64, bool) {
	mem, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil {
		return 0, false
	}
	defer func() { _ = mem.Close() }()
	var b [5]byte
	if runtime.GOARCH == "arm64" {
		if _, err := mem.ReadAt(b[:4], int64(ra-4)); err != nil {
			return 0, false
		}
		in := binary.LittleEndian.Uint32(b[:])
		if in>>26 != 0x25 { // BL
			return 0, false
		}
		return ra - 4 + uint64(int64(int32(in<<6)>>6)*4), true
	}
	if _, err := mem.ReadAt(b[:], int64(ra-5)); err != nil || b[0] != 0xe8 {
		return 0, false
	}
	return ra + uint64(int64(int32(binary.LittleEndian.Uint32(b[1:])))), true
}

// JumpsInto reports whether the code at start-end holds a direct jump into
// from-to (a tail call, or the way to a function's cold part), and whether it
// holds an indirect jump, which may lead anywhere.
func JumpsInto(pid int, start, end, from, to uint64) (direct, indirect bool) {
	const maxFunction = 1 << 20
	mem, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mem")
	if err != nil || end <= start || end-start > maxFunction {
		return false, false
	}
	defer func() { _ = mem.Close() }()
	code := make([]byte, end-start)
	if _, err := mem.ReadAt(code, int64(start)); err != nil {
		return false, false
	}
	inside := func(target uint64) bool { return target >= from && target < to }
	if runtime.GOARCH == "arm64" {
		for i := 0; i+4 <= len(code); i += 4 {
			in := binary.LittleEndian.Uint32(code[i:])
			if in>>26 == 5 && inside(start+uint64(i)+uint64(int64(int32(in<<6)>>6)*4)) { // B
				direct = true
			}
			indirect = indirect || in&0xfffffc1f == 0xd61f0000 // BR
		}
		return direct, indirect
	}
	for i := 0; i+5 <= len(code); i++ { // jmp rel32, and jcc rel32 one byte later
		if code[i] == 0xff && code[i+1]>>3&7 == 4 {
			indirect = true
		}
		if code[i] != 0xe9 && code[i]&0xf0 != 0x80 {
			continue
		}
		if inside(start + uint64(i) + 5 + uint64(int64(int32(binary.LittleEndian.Uint32(code[i+1:]))))) {
			direct = true
		}
	}
	return direct, indirect
}
