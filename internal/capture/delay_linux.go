//go:build linux && (amd64 || arm64)

package capture

import "github.com/cilium/ebpf/btf"

// typesOf is what is asked of the kernel's types.
type typesOf struct {
	// runDelay: the scheduler counts how long threads wait for a CPU.
	runDelay bool
	// ownTask: programs may look at the task they run in.
	ownTask bool
	// preemptCount is the number of the variable in which, or in a structure of which,
	// each CPU counts what interrupts its thread; hot is set of the structure.
	preemptCount btf.TypeID
	hot          bool
}

// kernelTypes asks the running kernel. Its types can be read: the programs were
// loaded with them.
func kernelTypes() (t typesOf) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return t
	}
	var info *btf.Struct
	if spec.TypeByName("sched_info", &info) == nil {
		for _, m := range info.Members {
			t.runDelay = t.runDelay || m.Name == "run_delay"
		}
	}
	var helpers *btf.Enum
	if spec.TypeByName("bpf_func_id", &helpers) == nil {
		for _, v := range helpers.Values {
			t.ownTask = t.ownTask || v.Name == "BPF_FUNC_get_current_task_btf"
		}
	}
	for _, name := range []string{"__preempt_count", "pcpu_hot"} {
		var v *btf.Var
		if t.preemptCount == 0 && spec.TypeByName(name, &v) == nil {
			if id, err := spec.TypeID(v); err == nil {
				t.preemptCount, t.hot = id, name == "pcpu_hot"
			}
		}
	}
	return t
}

// missingDelay says what is not known of the time that threads were runnable
// and had no CPU; nil is nothing.
func missingDelay(t typesOf) *Degraded {
	switch {
	case !t.runDelay:
		return &Degraded{"run delay", "the kernel does not count how long threads wait for a CPU (it is built without CONFIG_SCHED_INFO): " +
			"calls during which others had the CPU look as if they had waited; use a kernel with CONFIG_SCHEDSTATS=y or CONFIG_TASK_DELAY_ACCT=y"}
	case !t.ownTask:
		return &Degraded{"run delay of calls", "kernel " + kernelRelease() + " does not hand programs the task they run in (5.11 does): " +
			"calls during which others had the CPU look as if they had waited; the delay of whole processes is known"}
	}
	return nil
}
