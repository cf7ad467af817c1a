package stack

// maxExpressionSteps bounds a DWARF expression with branches.
const maxExpressionSteps = 512

// evaluate runs a DWARF location expression (DWARF 5, 2.5) over the known
// registers and the copied stack; push starts its stack when present. It
// covers what call frame tables use: PLT entries, signal frames, realigned
// stacks.
func evaluate(expr []byte, regs *registers, mem *memory, push ...uint64) (uint64, bool) {
	var values [32]uint64
	n := copy(values[:], push)
	r := reader{data: expr}
	for steps := 0; r.left() > 0; steps++ {
		if steps == maxExpressionSteps || n > len(values)-2 {
			return 0, false
		}
		op := r.u8()
		switch {
		case op >= 0x30 && op <= 0x4f: // lit0-31
			values[n] = uint64(op - 0x30)
			n++
		case op >= 0x70 && op <= 0x8f: // breg0-31
			v, ok := regs.get(op - 0x70)
			if !ok {
				return 0, false
			}
			values[n] = v + uint64(r.sleb())
			n++
		case op == 0x92: // bregx
			reg := r.uleb()
			if reg >= maxRegs {
				return 0, false
			}
			v, ok := regs.get(uint8(reg))
			if !ok {
				return 0, false
			}
			values[n] = v + uint64(r.sleb())
			n++
		case op >= 0x08 && op <= 0x11: // const*
			values[n] = constant(&r, op)
			n++
		default:
			var ok bool
			if n, ok = operate(&r, op, &values, n, mem); !ok {
				return 0, false
			}
		}
		if r.bad {
			return 0, false
		}
	}
	if n == 0 {
		return 0, false
	}
	return values[n-1], true
}

func constant(r *reader, op uint8) uint64 {
	switch op {
	case 0x08:
		return uint64(r.u8())
	case 0x09:
		return uint64(int64(int8(r.u8())))
	case 0x0a:
		return uint64(r.u16())
	case 0x0b:
		return uint64(int64(int16(r.u16())))
	case 0x0c:
		return uint64(r.u32())
	case 0x0d:
		return uint64(int64(int32(r.u32())))
	case 0x10:
		return r.uleb()
	case 0x11:
		return uint64(r.sleb())
	default: // 0x0e, 0x0f
		return r.u64()
	}
}

// operate executes an operator on the value stack of depth n.
func operate(r *reader, op uint8, values *[32]uint64, n int, mem *memory) (int, bool) {
	need := 2
	switch op {
	case 0x96, 0x2f: // nop, skip
		need = 0
	case 0x06, 0x12, 0x13, 0x19, 0x1f, 0x20, 0x23, 0x28:
		need = 1
	}
	if n < need {
		return n, false
	}
	top := func(i int) *uint64 { return &values[n-1-i] }
	switch op {
	case 0x96:
	case 0x06: // deref
		v, ok := mem.word(*top(0))
		if !ok {
			return n, false
		}
		*top(0) = v
	case 0x12: // dup
		values[n] = *top(0)
		n++
	case 0x13: // drop
		n--
	case 0x14: // over
		values[n] = *top(1)
		n++
	case 0x16: // swap
		*top(0), *top(1) = *top(1), *top(0)
	case 0x19: // abs
		if int64(*top(0)) < 0 {
			*top(0) = -*top(0)
		}
	case 0x1f: // neg
		*top(0) = -*top(0)
	case 0x20: // not
		*top(0) = ^*top(0)
	case 0x23: // plus_uconst
		*top(0) += r.uleb()
	case 0x28: // bra
		by := int(int16(r.u16()))
		n--
		if values[n] != 0 {
			return n, jump(r, by)
		}
	case 0x2f: // skip
		return n, jump(r, int(int16(r.u16())))
	default:
		a, b := *top(1), *top(0)
		v, ok := binaryOperator(op, a, b)
		if !ok {
			return n, false
		}
		n--
		values[n-1] = v
	}
	return n, true
}

func jump(r *reader, by int) bool {
	to := r.pos + by
	if to < 0 || to > len(r.data) {
		return false
	}
	r.pos = to
	return true
}

func binaryOperator(op uint8, a, b uint64) (uint64, bool) {
	truth := func(t bool) (uint64, bool) {
		if t {
			return 1, true
		}
		return 0, true
	}
	switch op {
	case 0x1a:
		return a & b, true
	case 0x1c:
		return a - b, true
	case 0x1e:
		return a * b, true
	case 0x21:
		return a | b, true
	case 0x22:
		return a + b, true
	case 0x24:
		return a << min(b, 64), true
	case 0x25:
		return a >> min(b, 64), true
	case 0x26:
		return uint64(int64(a) >> min(b, 63)), true
	case 0x27:
		return a ^ b, true
	case 0x29:
		return truth(a == b)
	case 0x2a:
		return truth(int64(a) >= int64(b))
	case 0x2b:
		return truth(int64(a) > int64(b))
	case 0x2c:
		return truth(int64(a) <= int64(b))
	case 0x2d:
		return truth(int64(a) < int64(b))
	case 0x2e:
		return truth(a != b)
	}
	return 0, false
}
