package stack

// maxScan bounds the stack words looked at for a return address.
const maxScan = 128

// stepScan leaves a frame of native code that has no call frame information
// at all (Alpine's musl is built so) and, usually, no frame pointer: it looks
// for the first word on the stack that is a return address by the machine
// code before it, that is, follows a call that can have led to addr. amd64
// only: arm64 keeps the return address in a register.
func (u *Unwinder) stepScan(p *process, at *place, regs *registers, mem *memory) bool {
	if u.arch.lr != 0 {
		return false
	}
	sp := regs.value[u.arch.sp]
	for i := range uint64(maxScan) {
		ra, ok := mem.word(sp + 8*i)
		if !ok {
			return false
		}
		if ra < 16 || !u.calls(p, ra, at) {
			continue
		}
		// Which registers the frame saved is not known; the caller's rule
		// works from the stack pointer, or the walk ends there.
		regs.known &= 1 << u.arch.bp
		regs.set(u.arch.sp, sp+8*(i+1))
		regs.set(u.arch.ip, ra)
		return true
	}
	return false
}

// calls reports whether the instruction before ra is a call that can have
// led into the function at the place.
func (u *Unwinder) calls(p *process, ra uint64, at *place) bool {
	const farthest = 16 << 10 // the largest function believed in
	m := p.find(ra - 1)
	if m == nil || !m.isFile() {
		return false
	}
	mod := u.moduleFor(p, m)
	if mod == nil || !mod.read {
		return false
	}
	code, ok := u.codeBefore(p, ra)
	if !ok {
		return false
	}
	if code[1] == 0xe8 { // call rel32
		target := ra + uint64(int64(int32(uint32(code[2])|uint32(code[3])<<8|uint32(code[4])<<16|uint32(code[5])<<24)))
		tm := p.find(target)
		if tm == nil {
			return false
		}
		if linked, ok := mod.address(target - m.start + m.offset); ok && tm.module == mod && mod.inPLT(linked) {
			return mod != at.mod
		}
		return tm.module == at.mod && target <= at.addr && at.addr-target < farthest
	}
	// call *disp32(%rip), through the table of imported functions.
	return code[0] == 0xff && code[1] == 0x15 && mod != at.mod
}
