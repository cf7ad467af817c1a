// Package capture sees what the threads of chosen processes do: every system
// call while the syscall hooks are attached, samples of them on a CPU, and
// snapshots of them blocked, each with a copy of the user stack.
//
// It loads its own eBPF programs (bpf/, relocated to the running kernel), so
// it needs Linux with BTF and the capabilities CAP_BPF and CAP_PERFMON. A
// [Tracer] calls one [Handler] from one goroutine. Nothing is pinned: when the
// process ends, however it ends, the kernel drops every program.
//
// Every system call a followed thread makes while the hooks are attached, and
// that returns while they are, is either delivered or counted in
// [Stats.Dropped].
package capture

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3" capture bpf/capture.bpf.c
