package stack

import "bytes"

// learn looks an address up as the unwinder does, in a module read from data; nil when
// its Go table cannot be read.
func learn(mod *module, data []byte, addr uint64) *site {
	if mod.img.goTable.covers(addr) {
		s, _ := goSite(mod.img.goTable, bytes.NewReader(data), mod.name, addr)
		return s
	}
	s := mod.img.newSite(addr)
	s.frames, s.start = mod.framesAt(addr, s)
	return s
}

// WalkedFrame is one step of a walk, for tests that check it against the
// program's machine code.
type WalkedFrame struct {
	Addr   uint64 // in the process; inside the call but for the innermost
	Start  uint64 // in the process: start of the code range that holds Addr
	End    uint64 // and its end
	Module string
	Native bool // walked by call frame information
}

// WalkForTest is Unwind without names.
func (u *Unwinder) WalkForTest(pid int32, regs Registers, stackBytes []byte) (out []WalkedFrame, err error) {
	err = u.patiently(pid, maxWork, func(p *process) {
		r := u.initial(regs)
		places, _ := u.walk(p, &r, &memory{base: regs.SP, data: stackBytes}, nil)
		out = make([]WalkedFrame, 0, len(places))
		for _, at := range places {
			w := WalkedFrame{Addr: at.addr}
			if at.mod != nil {
				w.Module, w.Native = at.mod.name, at.site.kind == stepCFI
				w.Start, w.End = u.functionRange(p, at.addr)
			}
			out = append(out, w)
		}
	})
	return out, err
}

// FunctionForTest is the range of the function that holds addr, zero when
// unknown; plt is set in stubs.
func (u *Unwinder) FunctionForTest(pid int32, addr uint64) (start, end uint64, plt bool) {
	_ = u.patiently(pid, maxWork, func(p *process) {
		if m := p.find(addr); m != nil {
			if mod := u.moduleFor(p, m); mod != nil && mod.img != nil {
				linked, _ := mod.img.address(addr - m.start + m.offset)
				plt = mod.img.inPLT(linked)
			}
		}
		start, end = u.functionRange(p, addr)
	})
	return start, end, plt
}

func (u *Unwinder) functionRange(p *process, addr uint64) (start, end uint64) {
	m := p.find(addr)
	if m == nil {
		return 0, 0
	}
	mod := u.moduleFor(p, m)
	if mod == nil || mod.img == nil || mod.img.frames == nil {
		return 0, 0
	}
	linked, ok := mod.img.address(addr - m.start + m.offset)
	if !ok {
		return 0, 0
	}
	if e, ok := mod.img.frames.find(linked); ok {
		start = addr - (linked - e.start)
		return start, start + uint64(e.size)
	}
	return 0, 0
}
