package stack

import (
	"cmp"
	"errors"
	"slices"
)

// maxFDEs bounds the functions of one module (a browser has a million).
const maxFDEs = 4 << 20

// maxCommons bounds the CIEs of one module: linkers merge equal ones, and leave a
// few hundred.
const maxCommons = 1 << 16

const (
	// entrySize and commonSize are what an FDE and a CIE take, and what they took
	// in the slice before that grew (bytes).
	entrySize  = 2 * 24
	commonSize = 256
)

// commonInfo is a CIE: what the FDEs of one compiler setting share.
type commonInfo struct {
	codeAlign    uint64
	dataAlign    int64
	raRegister   uint8
	encoding     uint8 // of FDE addresses
	augmented    bool  // FDEs carry an augmentation block
	signal       bool  // the frame was interrupted, not called
	instructions []byte
}

// frameEntry is an FDE: the code range of one function (or of its cold part).
type frameEntry struct {
	start        uint64
	size         uint32
	common       uint32 // index into frameTable.commons
	instructions uint32 // offset into frameTable.data
	length       uint32
}

// frameTable is a parsed .eh_frame, sorted by address.
type frameTable struct {
	data    []byte
	commons []commonInfo
	entries []frameEntry
}

// find returns the entry whose range holds addr.
func (t *frameTable) find(addr uint64) (*frameEntry, bool) {
	lo, hi := 0, len(t.entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if t.entries[mid].start <= addr {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return nil, false
	}
	e := &t.entries[lo-1]
	if addr-e.start >= uint64(e.size) {
		return nil, false
	}
	return e, true
}

// bytes is the memory the table holds.
func (t *frameTable) bytes() int64 {
	return int64(len(t.data)) + int64(len(t.entries))*24 + int64(len(t.commons))*64
}

// parseFrames reads .eh_frame data that is mapped at addr. What comes before
// a malformed record is kept; an error means that nothing could be read.
func parseFrames(a *allowance, data []byte, addr uint64) (*frameTable, error) {
	t := &frameTable{data: data}
	commons := map[int]int{}
	r := reader{data: data}
	for r.left() >= 4 && a.goOn(1) {
		record := r.pos
		length := uint64(r.u32())
		if length == 0 {
			continue // a terminator; linkers leave some in the middle
		}
		if length == 0xffffffff {
			length = r.u64()
		}
		if length < 4 || length > uint64(r.left()) {
			break
		}
		body := r.pos
		end := body + int(length)
		entry := reader{data: data[:end], pos: body}
		id := entry.u32()
		if id == 0 {
			if len(t.commons) == maxCommons || !a.take(commonSize) {
				break
			}
			if c, err := parseCommon(&entry, addr); err == nil {
				commons[record] = len(t.commons)
				t.commons = append(t.commons, c)
			}
		} else if ci, ok := commons[body-int(id)]; ok && len(t.entries) < maxFDEs {
			if len(t.entries) == cap(t.entries) && !a.take(uint64(max(len(t.entries), 64))*entrySize) {
				break
			}
			t.addEntry(&entry, ci, addr, end)
		}
		r.pos = end
	}
	if len(t.entries) == 0 && len(data) > 4 {
		return nil, errors.New(".eh_frame holds no readable function")
	}
	slices.SortStableFunc(t.entries, func(a, b frameEntry) int { return cmp.Compare(a.start, b.start) })
	return t, nil
}

func (t *frameTable) addEntry(r *reader, common int, addr uint64, end int) {
	c := &t.commons[common]
	start := r.pointer(c.encoding, addr, 0)
	size := r.pointer(c.encoding&0x0f, 0, 0)
	if c.augmented {
		r.block()
	}
	// Discarded functions keep an FDE at zero; a range past 4 GiB is damage.
	if r.bad || start == 0 || size == 0 || size > 1<<32-1 || end > 1<<32-1 {
		return
	}
	t.entries = append(t.entries, frameEntry{
		start: start, size: uint32(size), common: uint32(common),
		instructions: uint32(r.pos), length: uint32(end - r.pos),
	})
}

func parseCommon(r *reader, addr uint64) (commonInfo, error) {
	var c commonInfo
	version := r.u8()
	augmentation := r.text()
	if version == 4 {
		r.take(2) // address and segment selector sizes
	}
	c.codeAlign = r.uleb()
	c.dataAlign = r.sleb()
	ra := uint64(0)
	if version == 1 {
		ra = uint64(r.u8())
	} else {
		ra = r.uleb()
	}
	if ra >= maxRegs {
		return c, errors.New("return address register out of range")
	}
	c.raRegister = uint8(ra)
	if augmentation != "" {
		if augmentation[0] != 'z' {
			return c, errors.New("unknown augmentation")
		}
		c.augmented = true
		block := r.block()
		// Same backing data, so that positions stay addresses.
		a := reader{data: r.data[:r.pos], pos: r.pos - len(block)}
		for _, ch := range augmentation[1:] {
			switch ch {
			case 'L':
				a.u8()
			case 'R':
				c.encoding = a.u8()
			case 'P':
				a.pointer(a.u8()&0x7f, addr, 0)
			case 'S':
				c.signal = true
			case 'B', 'G': // arm64: return addresses are signed, memory tagged
			default:
				// The block's length lets unknown letters be skipped.
			}
		}
	}
	if r.bad {
		return c, errors.New("truncated CIE")
	}
	c.instructions = r.data[r.pos:]
	return c, nil
}
