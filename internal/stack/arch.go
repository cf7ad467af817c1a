package stack

import (
	"debug/elf"
	"runtime"
)

// maxRegs holds DWARF registers 0-31 of arm64 and 0-16 of amd64, plus one
// for the instruction pointer where it has no number of its own.
const maxRegs = 33

// architecture is what the walk must know of a machine: DWARF register
// numbers (System V ABI, AMD64 supplement 3.6.2; AArch64 DWARF ABI 4.1) and
// which registers a call preserves.
type architecture struct {
	machine elf.Machine
	sp, bp  uint8
	// lr is the link register, or zero when calls push their return address.
	lr uint8
	// ip is where the walk keeps the instruction pointer.
	ip uint8
	// preserved has one bit per register a called function gives back.
	preserved uint64
	// addressMask strips pointer authentication codes from return addresses.
	addressMask uint64
	// relative is the relocation that adds the load address to its addend.
	relative uint32
}

var (
	amd64 = architecture{
		machine: elf.EM_X86_64, sp: 7, bp: 6, ip: 16,
		// rbx, rbp, rsp, r12-r15.
		preserved:   1<<3 | 1<<6 | 1<<7 | 1<<12 | 1<<13 | 1<<14 | 1<<15,
		addressMask: ^uint64(0),
		relative:    uint32(elf.R_X86_64_RELATIVE),
	}
	arm64 = architecture{
		machine: elf.EM_AARCH64, sp: 31, bp: 29, lr: 30, ip: 32,
		// x19-x30 and sp; x30 is the caller's once the callee's rule restored it.
		preserved:   0xfff<<19 | 1<<31,
		addressMask: 1<<48 - 1,
		relative:    uint32(elf.R_AARCH64_RELATIVE),
	}
)

// hostArchitecture is the machine's own; others walk nothing.
func hostArchitecture() *architecture {
	if runtime.GOARCH == "arm64" {
		return &arm64
	}
	return &amd64
}

// registers is the register file as far as it is known.
type registers struct {
	value [maxRegs]uint64
	// known has one bit per register with a true value.
	known uint64
}

func (r *registers) set(reg uint8, v uint64) {
	r.value[reg] = v
	r.known |= 1 << reg
}

func (r *registers) get(reg uint8) (uint64, bool) {
	if reg >= maxRegs || r.known&(1<<reg) == 0 {
		return 0, false
	}
	return r.value[reg], true
}
