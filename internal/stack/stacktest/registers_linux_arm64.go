package stacktest

import (
	"syscall"

	"github.com/perfscope/perfscope/internal/stack"
)

func registersOf(r *syscall.PtraceRegs) stack.Registers {
	return stack.Registers{IP: r.Pc, SP: r.Sp, BP: r.Regs[29], LR: r.Regs[30]}
}
