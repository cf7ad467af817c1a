package stack

// maxDepth bounds the frames of one stack; deeper ones are incomplete.
const maxDepth = 512

// place is one step of a walk: a code address and what holds it.
type place struct {
	// addr is the address in the process: of the instruction that runs in
	// the innermost frame, inside the call instruction in the others.
	addr uint64
	// linked is addr as the module's file has it.
	linked uint64
	mod    *module // nil in JIT code and in unknown places
	site   *site   // nil as mod
	jit    bool
}

// walk follows the stack from regs outwards into out; complete is set when
// it came to the thread's start.
func (u *Unwinder) walk(p *process, regs *registers, mem *memory, out []place) (_ []place, complete bool) {
	exact := true // regs.ip is the instruction itself, not a return address
	for len(out) < maxDepth {
		ip := regs.value[u.arch.ip]
		if ip == 0 {
			return out, len(out) > 0 // start-up code leaves zero as return address
		}
		if !exact {
			ip--
		}
		m := u.mappingAt(p, ip)
		if u.wants() {
			return out, false
		}
		if m == nil {
			if len(out) == 0 {
				out = append(out, place{addr: ip})
			}
			return out, false
		}
		at := place{addr: ip}
		kind := stepPointer
		if !u.locate(p, m, &at) {
			return append(out, at), false
		}
		if at.site != nil {
			kind = at.site.kind
		}
		out = append(out, at)
		sp := regs.value[u.arch.sp]
		var ok bool
		switch kind {
		case stepEnd:
			return out, true
		case stepCFI:
			ok = u.stepRow(at.site.row, regs, mem)
			exact = at.site.row.signal
		case stepGo:
			if at.site.switches && len(out) > 1 {
				return out, u.isStackSwitch(&out[len(out)-1])
			}
			ok = u.stepGoFrame(at.site.size, len(out) == 1, regs, mem)
			exact = false
		case stepLeafCall:
			ok = u.stepLeaf(regs, mem)
			exact = false
		case stepScan:
			ok = u.stepScan(p, &out[len(out)-1], regs, mem)
			exact = false
		case stepPointer:
			if u.inV8(p, &out[len(out)-1]) {
				ok = u.stepV8(p, regs, mem)
			} else {
				ok = u.stepFramePointer(p, regs, mem)
			}
			exact = false
		}
		if !ok || (!exact && regs.value[u.arch.sp] < sp) ||
			(regs.value[u.arch.sp] == sp && (u.arch.lr == 0 || len(out) > 1)) {
			return out, u.isThreadStart(&out[len(out)-1])
		}
	}
	return out, false
}

// locate finds out what is known of the code address of a place in a mapping. It is false
// when the walk cannot go on: no code of the file is there, or something of it has to be
// read first, or is not read for the time being.
func (u *Unwinder) locate(p *process, m *mapping, at *place) bool {
	if mod := u.moduleFor(p, m); mod != nil && mod.read {
		linked, ok := mod.address(at.addr - m.start + m.offset)
		if !ok {
			return false
		}
		if s := u.siteAt(p, m, mod, linked); s != nil {
			at.linked, at.mod, at.site = linked, mod, s
			return true
		}
	}
	at.jit = !m.isFile() || m.isMemory()
	return !u.refused && !u.deferred && !u.wants()
}

// stepRow applies a row of call frame information.
func (u *Unwinder) stepRow(r *row, regs *registers, mem *memory) bool {
	var cfa uint64
	var ok bool
	if r.cfaExpr != nil {
		if cfa, ok = evaluate(r.cfaExpr, regs, mem); !ok {
			return false
		}
	} else {
		if cfa, ok = regs.get(r.cfaReg); !ok {
			return false
		}
		cfa += uint64(r.cfaOffset)
	}
	from := regs
	if r.snapshot {
		copied := *regs
		from = &copied
	}
	ra, raOK := u.ruleValue(&r.ra, cfa, from, mem)
	if r.ra.kind == ruleSame {
		ra, raOK = from.get(u.linkRegister())
	}
	if !raOK {
		return false
	}
	known := regs.known
	if !r.signal {
		known &= u.arch.preserved
	}
	for i := range r.saved {
		rule := &r.saved[i]
		v, ok := u.ruleValue(rule, cfa, from, mem)
		if ok {
			regs.value[rule.reg] = v
			known |= 1 << rule.reg
		} else {
			known &^= 1 << rule.reg
		}
	}
	if !u.savesSP(r) {
		regs.value[u.arch.sp] = cfa
	}
	regs.value[u.arch.ip] = ra & u.arch.addressMask
	regs.known = known | 1<<u.arch.sp | 1<<u.arch.ip
	return true
}

// linkRegister holds the return address where no rule says otherwise.
func (u *Unwinder) linkRegister() uint8 {
	if u.arch.lr != 0 {
		return u.arch.lr
	}
	return maxRegs
}

func (u *Unwinder) savesSP(r *row) bool {
	for i := range r.saved {
		if r.saved[i].reg == u.arch.sp {
			return true
		}
	}
	return false
}

func (u *Unwinder) ruleValue(rule *regRule, cfa uint64, regs *registers, mem *memory) (uint64, bool) {
	switch rule.kind {
	case ruleOffset:
		return mem.word(cfa + uint64(rule.offset))
	case ruleValue:
		return cfa + uint64(rule.offset), true
	case ruleRegister:
		return regs.get(rule.other)
	case ruleExpression:
		at, ok := evaluate(rule.expr, regs, mem, cfa)
		if !ok {
			return 0, false
		}
		return mem.word(at)
	case ruleValExpression:
		return evaluate(rule.expr, regs, mem, cfa)
	case ruleSame:
		return regs.get(rule.reg)
	default:
		return 0, false
	}
}

// stepGoFrame leaves a Go frame whose size is known (runtime.unwinder).
func (u *Unwinder) stepGoFrame(size uint64, innermost bool, regs *registers, mem *memory) bool {
	sp := regs.value[u.arch.sp]
	fp := sp + size
	var ra uint64
	var ok bool
	if u.arch.lr == 0 {
		if ra, ok = mem.word(fp); !ok {
			return false
		}
		if size >= 8 {
			if bp, ok := mem.word(fp - 8); ok {
				regs.set(u.arch.bp, bp)
			}
		}
		fp += 8
	} else if innermost && size == 0 {
		if ra, ok = regs.get(u.arch.lr); !ok {
			return false
		}
	} else if ra, ok = mem.word(sp); !ok {
		return false
	}
	regs.known = 1<<u.arch.sp | 1<<u.arch.ip | regs.known&(1<<u.arch.bp)
	regs.value[u.arch.sp], regs.value[u.arch.ip] = fp, ra&u.arch.addressMask
	return true
}

// stepLeaf leaves a stub that has pushed nothing.
func (u *Unwinder) stepLeaf(regs *registers, mem *memory) bool {
	sp := regs.value[u.arch.sp]
	if u.arch.lr != 0 {
		ra, ok := regs.get(u.arch.lr)
		regs.value[u.arch.ip] = ra & u.arch.addressMask
		return ok
	}
	ra, ok := mem.word(sp)
	regs.value[u.arch.sp], regs.value[u.arch.ip] = sp+8, ra
	return ok
}

// stepFramePointer leaves a frame by the pair (caller's frame pointer, return
// address) that the frame pointer points to. It is only as true as the code
// is compiled with frame pointers, so a pair that does not lead into code ends
// the walk.
func (u *Unwinder) stepFramePointer(p *process, regs *registers, mem *memory) bool {
	bp, ok := regs.get(u.arch.bp)
	if !ok || bp < regs.value[u.arch.sp] || bp&7 != 0 {
		return false
	}
	next, ok1 := mem.word(bp)
	ra, ok2 := mem.word(bp + 8)
	ra &= u.arch.addressMask
	if !ok1 || !ok2 || (ra != 0 && u.mappingAt(p, ra) == nil) {
		return false
	}
	regs.known = 0
	regs.set(u.arch.bp, next)
	regs.set(u.arch.sp, bp+16)
	regs.set(u.arch.ip, ra)
	return true
}

// threadStarts are the functions below which there is nothing, for code whose
// tables do not say so.
var threadStarts = map[string]bool{
	"_start": true, "_start_c": true, "__libc_start_main": true, "__libc_start_call_main": true,
	"clone": true, "__clone": true, "clone3": true, "__clone3": true, "start_thread": true,
	"_dl_start_user": true, "_dl_start": true, "thread_start": true, "__unmapself": true,
}

// isThreadStart reports whether the walk may end in this frame.
func (u *Unwinder) isThreadStart(at *place) bool {
	if at.mod == nil {
		return false
	}
	return threadStarts[at.site.frames[len(at.site.frames)-1].Function]
}

// stackSwitches are the Go functions that leave a goroutine's stack for a
// thread's own and back; the other stack is not in the copy.
var stackSwitches = map[string]bool{
	"runtime.systemstack": true, "runtime.mcall": true, "runtime.morestack": true,
	"runtime.asmcgocall": true, "runtime.cgocallback": true, "runtime.gogo": true,
	"runtime.systemstack.abi0": true, "runtime.asmcgocall.abi0": true,
	"runtime.mstart": true, "runtime.rt0_go": true, "runtime.asmcgocall_landingpad": true,
}

func (u *Unwinder) isStackSwitch(at *place) bool {
	return stackSwitches[at.site.frames[len(at.site.frames)-1].Function]
}
