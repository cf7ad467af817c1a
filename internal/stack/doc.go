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
// Nothing read from a target is trusted: sections have size limits, parsers
// return errors, and a module that cannot be read is remembered as such. All
// caches are bounded (see Options). The package reads /proc and files only;
// it never stops a thread and never keeps the copied stack bytes.
package stack
