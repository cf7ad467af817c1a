package stack

import (
	"encoding/binary"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// A function that ends in a jump to another one (a tail call) has left no frame, but who
// called it has: the call instruction before the return address says which function was
// called. Where that is another one than the next frame is of, it has jumped on.

// knowCalls finds out what the program's own functions on a walk called; what it lacks is
// wanted. It is known once for all processes of a module.
func (u *Unwinder) knowCalls(p *process, places []place) {
	for i := 1; i < len(places); i++ {
		at := &places[i]
		if at.mod == nil || at.mod.origin != threadtrace.OriginApplication || at.site.kind != stepCFI || at.site.callKnown {
			continue
		}
		code, ok := u.codeBefore(p, at.addr+1)
		if !ok {
			continue // it cannot be read in this process, or is read now
		}
		target, direct := u.arch.called(code, at.linked+1)
		if direct = direct && !at.mod.inPLT(target); direct && at.mod.img == nil {
			continue // until it is there again
		}
		direct = direct && !at.mod.img.goTable.covers(target)
		at.site.callKnown = true
		if direct {
			if frames, start := at.mod.framesAt(target, nil); start == target {
				at.site.called, at.site.callee = target, frames[len(frames)-1]
			}
		}
	}
}

// called is the target of the direct call whose machine code ends at a return address.
func (a *architecture) called(code [codeSize]byte, ra uint64) (target uint64, direct bool) {
	if a.lr != 0 {
		const opcode, call = 26, 0x25 // BL
		in := binary.LittleEndian.Uint32(code[codeSize-4:])
		return ra - 4 + uint64(int64(int32(in<<(32-opcode))>>(32-opcode))*4), in>>opcode == call
	}
	const call = 0xe8
	return ra + uint64(int64(int32(binary.LittleEndian.Uint32(code[2:])))), code[1] == call
}

// jumped is the function that was called at a place of a walk, if it jumped on into what
// is inside of that; no frames when it did not.
func (u *Unwinder) jumped(places []place, i int) []threadtrace.Frame {
	at := &places[i]
	if i == 0 || at.mod == nil || at.site.called == 0 {
		return nil
	}
	inner := &places[i-1]
	if inner.mod == nil || inner.site.kind == stepCFI && inner.site.row.signal {
		return nil // a signal's handler was not called
	}
	if inner.mod == at.mod {
		last := inner.site.frames[len(inner.site.frames)-1]
		if inner.site.start == at.site.called || last.Function == at.site.callee.Function {
			return nil // it is there, or in a part of its own that is elsewhere
		}
	}
	return []threadtrace.Frame{at.site.callee}
}
