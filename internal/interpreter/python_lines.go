package interpreter

// line is the line of the instruction at an offset (bytes) into a function;
// zero when it is not known.
func (c *pythonCode) line(minor int, offset int64) int32 {
	switch {
	case offset < 0:
		return max(c.first, 0) // it has just been called
	case minor < 10:
		return c.lineByIncrements(offset)
	case minor == 10:
		return c.lineByRanges(offset)
	default:
		return c.lineByLocations(offset)
	}
}

// lineByIncrements reads co_lnotab: pairs of how far the address and the line go on
// (Objects/lnotab_notes.txt up to 3.9).
func (c *pythonCode) lineByIncrements(offset int64) int32 {
	line, at := c.first, int64(0)
	for b := c.lines; len(b) >= 2; b = b[2:] {
		if at += int64(b[0]); at > offset {
			break
		}
		line += int32(int8(b[1])) //nolint:gosec // signed by definition
	}
	return max(line, 0)
}

// lineByRanges reads the co_linetable of 3.10: pairs of the length of a range and
// by how much its line differs; -128 has none (PEP 626).
func (c *pythonCode) lineByRanges(offset int64) int32 {
	line, at := c.first, int64(0)
	for b := c.lines; len(b) >= 2; b = b[2:] {
		delta := int8(b[1]) //nolint:gosec // signed by definition
		if delta != -128 {
			line += int32(delta)
		}
		if at += int64(b[0]); offset < at {
			if delta == -128 {
				return 0
			}
			return max(line, 0)
		}
	}
	return 0
}

// lineByLocations reads the co_linetable of 3.11 and later: entries of a kind, a
// length in units of two bytes, and differences of lines and columns as variable
// length numbers (Objects/locations.md).
func (c *pythonCode) lineByLocations(offset int64) int32 {
	const (
		long, noColumns, none = 14, 13, 15
		oneLine               = 10 // to 12
	)
	line, at := c.first, int64(0)
	b := c.lines
	for len(b) > 0 {
		head := b[0]
		b = b[1:]
		kind, length := head>>3&15, int64(head&7)+1
		switch {
		case kind == none:
		case kind == long:
			line += signed(number(&b))
			number(&b)
			number(&b)
			number(&b)
		case kind == noColumns:
			line += signed(number(&b))
		case kind >= oneLine:
			line += int32(kind) - oneLine
			b = b[min(2, len(b)):]
		default:
			b = b[min(1, len(b)):]
		}
		if at += 2 * length; offset < at {
			if kind == none {
				return 0
			}
			return max(line, 0)
		}
	}
	return 0
}

// number reads six bits a byte, the lowest first, with a bit that says that more
// follow.
func number(b *[]byte) uint32 {
	var v uint32
	for shift := uint(0); len(*b) > 0; shift += 6 {
		c := (*b)[0]
		*b = (*b)[1:]
		if shift < 32 {
			v |= uint32(c&0x3f) << shift
		}
		if c&0x40 == 0 {
			break
		}
	}
	return v
}

// signed has the sign in the lowest bit.
func signed(v uint32) int32 {
	if v&1 == 1 {
		return -int32(v >> 1) //nolint:gosec // 31 bits
	}
	return int32(v >> 1) //nolint:gosec // 31 bits
}
