package stacktest

import (
	"syscall"

	"github.com/perfscope/perfscope/internal/stack"
)

func registersOf(r *syscall.PtraceRegs) stack.Registers {
	return stack.Registers{IP: r.Rip, SP: r.Rsp, BP: r.Rbp}
}
