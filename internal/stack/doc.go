// Package stack turns a thread's registers and a copied piece of its stack
// into named frames.
//
// It needs neither frame pointers nor a .symtab: each frame is walked by the
// rule its own code gives (.eh_frame call frame information, Go's pcsp table,
// frame pointers only for JIT code and for code that has no table), and named
// from .symtab, .dynsym, debug files found by build id, .gnu_debugdata, Go's
// pclntab or a perf map. A function without a name is shown as module+0xstart,
// since a wrong name is worse than none.
//
// Nothing read from a target is trusted. Everything is opened through one door
// (package rootfs). What one module may take is bounded in memory and CPU time,
// and so is what one process may cost; who is beyond is left alone for a while,
// and named (see Quarantine). All caches are bounded (see Options). The package
// never stops a thread and never keeps the copied stack bytes.
//
// Reading and walking are apart: a walk runs under the lock, in memory and in
// bounded time, and what it lacks is read without the lock before it begins anew.
// So a target whose files are slow, or that hang, holds up nobody else.
package stack
