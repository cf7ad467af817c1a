//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Where the kernel counts what interrupts a thread: PREEMPT_COUNT_* of bpf/waking.h.
const (
	preemptCountUnknown = iota
	preemptCountVariable
	preemptCountHot
	preemptCountTask
)

// preemptCountPlace is PREEMPT_COUNT_PLACE of bpf/waking.h, pseudoVariable what marks an
// instruction that loads the address of a variable of the kernel (BPF_PSEUDO_BTF_ID).
const (
	preemptCountPlace = 0x7072656d70740001
	pseudoVariable    = asm.R3
)

// placePreemptCount has the program for wakings look where the running kernel counts
// interrupts. Where programs cannot look there they go by the registers.
func placePreemptCount(spec *ebpf.CollectionSpec, kernel typesOf) error {
	in := uint32(preemptCountUnknown)
	switch {
	case runtime.GOARCH == "arm64":
		in = preemptCountTask
	case kernel.preemptCount != 0 && addressable(kernel.preemptCount):
		if in = preemptCountVariable; kernel.hot {
			in = preemptCountHot
		}
		places := 0
		for i := range spec.Programs[captureProgSchedWaking].Instructions {
			if at := &spec.Programs[captureProgSchedWaking].Instructions[i]; at.OpCode.IsDWordLoad() && at.Constant == preemptCountPlace {
				at.Src, at.Constant = pseudoVariable, int64(kernel.preemptCount)
				places++
			}
		}
		if places == 0 {
			return errors.New("capture: the embedded eBPF object does not look for interrupts: run make generate")
		}
	}
	if err := spec.Variables[captureVarPreemptCountIn].Set(in); err != nil {
		return fmt.Errorf("capture: cannot set %s: %w", captureVarPreemptCountIn, err)
	}
	return nil
}

// addressable reports whether programs can have the address of a variable of the kernel:
// not where only functions have a name (a kernel without CONFIG_KALLSYMS_ALL).
func addressable(variable btf.TypeID) bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R1, Src: pseudoVariable, Constant: int64(variable)},
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		return false
	}
	return p.Close() == nil
}

// loadWaking loads the program for wakings.
func (o *objects) loadWaking(spec *ebpf.CollectionSpec, cfg Config) {
	if cfg.WakingRate == 0 {
		return
	}
	p, err := o.tryLoad(spec, captureProgSchedWaking)
	if err != nil {
		o.degrade("wakings", err)
		return
	}
	o.waking = p
}
