package stack

import "errors"

// ruleKind says where a register's caller value is (DWARF 5, 6.4.1).
type ruleKind uint8

const (
	ruleSame ruleKind = iota
	ruleUndefined
	ruleOffset        // at CFA+offset
	ruleValue         // is CFA+offset
	ruleRegister      // in another register
	ruleExpression    // at the address an expression gives
	ruleValExpression // is what an expression gives
)

// regRule is the rule of one register.
type regRule struct {
	kind   ruleKind
	reg    uint8 // the register the rule is for, in row.saved
	other  uint8 // ruleRegister: where the value is
	offset int64
	expr   []byte
}

// row is one line of the call frame table: how to get from the registers at
// an address to the caller's.
type row struct {
	cfaReg    uint8
	cfaOffset int64
	cfaExpr   []byte
	ra        regRule
	// saved holds the other registers' rules, ruleSame left out.
	saved []regRule
	// signal marks a frame that was interrupted: the caller's address is
	// exact and all its registers are to be had.
	signal bool
	// snapshot: some rule reads other registers.
	snapshot bool
}

// interpreter executes call frame instructions.
type interpreter struct {
	common  *commonInfo
	cfaReg  uint8
	cfaOff  int64
	cfaExpr []byte
	regs    [maxRegs]regRule
	initial [maxRegs]regRule
	stack   []interpreterState
	steps   int
}

type interpreterState struct {
	cfaReg  uint8
	cfaOff  int64
	cfaExpr []byte
	regs    [maxRegs]regRule
}

var errInstructions = errors.New("malformed call frame instructions")

// maxRemembered bounds DW_CFA_remember_state nesting; compilers use one or two.
const maxRemembered = 16

// maxInstructions bounds the call frame instructions executed for one row: the
// longest functions known have a few thousand.
const maxInstructions = 1 << 16

// rowAt evaluates the table of the function that holds addr.
func (t *frameTable) rowAt(e *frameEntry, addr uint64) (*row, error) {
	c := &t.commons[e.common]
	in := interpreter{common: c}
	if err := in.run(c.instructions, e.start, ^uint64(0)); err != nil {
		return nil, err
	}
	in.initial = in.regs
	code := t.data[e.instructions : e.instructions+e.length]
	if err := in.run(code, e.start, addr); err != nil {
		return nil, err
	}
	out := &row{cfaReg: in.cfaReg, cfaOffset: in.cfaOff, cfaExpr: in.cfaExpr, signal: c.signal}
	for i := range in.regs {
		rule := in.regs[i]
		rule.reg = uint8(i)
		switch rule.kind {
		case ruleRegister, ruleExpression, ruleValExpression:
			out.snapshot = true
		}
		if uint8(i) == c.raRegister {
			out.ra = rule
		}
		if rule.kind != ruleSame && (uint8(i) != c.raRegister || rule.kind != ruleUndefined) {
			out.saved = append(out.saved, rule)
		}
	}
	return out, nil
}

// run executes code until the location passes target.
func (in *interpreter) run(code []byte, loc, target uint64) error {
	r := reader{data: code}
	for r.left() > 0 {
		if in.steps++; in.steps > maxInstructions {
			return errInstructions
		}
		op := r.u8()
		low := op & 0x3f
		switch op >> 6 {
		case 1: // advance_loc
			loc += uint64(low) * in.common.codeAlign
			if loc > target {
				return nil
			}
			continue
		case 2: // offset
			in.set(uint64(low), regRule{kind: ruleOffset, offset: int64(r.uleb()) * in.common.dataAlign})
			continue
		case 3: // restore
			in.restore(uint64(low))
			continue
		}
		advance, err := in.extended(&r, op)
		if err != nil {
			return err
		}
		if r.bad {
			return errInstructions
		}
		loc += advance * in.common.codeAlign
		if loc > target {
			return nil
		}
	}
	return nil
}

// extended executes an instruction whose operands follow it; it returns how
// far the location advances, in code alignment units.
func (in *interpreter) extended(r *reader, op uint8) (uint64, error) {
	align := in.common.dataAlign
	switch op {
	case 0x00: // nop
	case 0x02:
		return uint64(r.u8()), nil
	case 0x03:
		return uint64(r.u16()), nil
	case 0x04:
		return uint64(r.u32()), nil
	case 0x05: // offset_extended
		in.set(r.uleb(), regRule{kind: ruleOffset, offset: int64(r.uleb()) * align})
	case 0x06:
		in.restore(r.uleb())
	case 0x07:
		in.set(r.uleb(), regRule{kind: ruleUndefined})
	case 0x08:
		in.set(r.uleb(), regRule{kind: ruleSame})
	case 0x09: // register
		reg, other := r.uleb(), r.uleb()
		if other >= maxRegs {
			return 0, errInstructions
		}
		in.set(reg, regRule{kind: ruleRegister, other: uint8(other)})
	case 0x0a: // remember_state
		if len(in.stack) == maxRemembered {
			return 0, errInstructions
		}
		in.stack = append(in.stack, interpreterState{in.cfaReg, in.cfaOff, in.cfaExpr, in.regs})
	case 0x0b: // restore_state
		if len(in.stack) == 0 {
			return 0, errInstructions
		}
		s := &in.stack[len(in.stack)-1]
		in.cfaReg, in.cfaOff, in.cfaExpr, in.regs = s.cfaReg, s.cfaOff, s.cfaExpr, s.regs
		in.stack = in.stack[:len(in.stack)-1]
	case 0x0c: // def_cfa
		return 0, in.defCFA(r.uleb(), int64(r.uleb()))
	case 0x0d: // def_cfa_register
		return 0, in.defCFA(r.uleb(), in.cfaOff)
	case 0x0e: // def_cfa_offset
		in.cfaOff = int64(r.uleb())
	case 0x0f: // def_cfa_expression
		in.cfaExpr = r.block()
	case 0x10:
		in.set(r.uleb(), regRule{kind: ruleExpression, expr: r.block()})
	case 0x11: // offset_extended_sf
		in.set(r.uleb(), regRule{kind: ruleOffset, offset: r.sleb() * align})
	case 0x12: // def_cfa_sf
		return 0, in.defCFA(r.uleb(), r.sleb()*align)
	case 0x13:
		in.cfaOff = r.sleb() * align
	case 0x14: // val_offset
		in.set(r.uleb(), regRule{kind: ruleValue, offset: int64(r.uleb()) * align})
	case 0x15:
		in.set(r.uleb(), regRule{kind: ruleValue, offset: r.sleb() * align})
	case 0x16:
		in.set(r.uleb(), regRule{kind: ruleValExpression, expr: r.block()})
	case 0x2d: // AARCH64_negate_ra_state: signatures are stripped anyway
	case 0x2e: // GNU_args_size
		r.uleb()
	case 0x2f: // GNU_negative_offset_extended
		in.set(r.uleb(), regRule{kind: ruleOffset, offset: -int64(r.uleb()) * align})
	default: // set_loc (0x01) does not occur in linked .eh_frame
		return 0, errInstructions
	}
	return 0, nil
}

func (in *interpreter) defCFA(reg uint64, offset int64) error {
	if reg >= maxRegs {
		return errInstructions
	}
	in.cfaReg, in.cfaOff, in.cfaExpr = uint8(reg), offset, nil
	return nil
}

// set ignores registers the walk does not follow (vector registers).
func (in *interpreter) set(reg uint64, rule regRule) {
	if reg < maxRegs {
		in.regs[reg] = rule
	}
}

func (in *interpreter) restore(reg uint64) {
	if reg < maxRegs {
		in.regs[reg] = in.initial[reg]
	}
}
