package frames

import (
	"slices"
	"strings"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// lockWaits are where threads and goroutines wait for each other, not for work.
// Condition variables are left out: that is how pools wait for work.
var lockWaits = map[string]bool{
	"pthread_mutex_lock": true, "__pthread_mutex_lock": true, "___pthread_mutex_lock": true,
	"pthread_rwlock_rdlock": true, "pthread_rwlock_wrlock": true,
	"__pthread_rwlock_rdlock": true, "__pthread_rwlock_wrlock": true,
	"___pthread_rwlock_rdlock": true, "___pthread_rwlock_wrlock": true,
	"ObjectMonitor::enter": true, "ObjectMonitor::EnterI": true, "ObjectMonitor::ReenterI": true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquire":       true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquireQueued": true,
	"java.util.concurrent.locks.AbstractQueuedSynchronizer.acquireShared": true,
	"sync.(*Mutex).lockSlow": true, "internal/sync.(*Mutex).lockSlow": true, "sync.(*Mutex).Lock": true, "internal/sync.(*Mutex).Lock": true,
	"sync.(*RWMutex).Lock": true, "sync.(*RWMutex).RLock": true,
}

// lockSpins are where a thread that is on a CPU does no more than try to get a
// lock: it waits for who holds that lock.
var lockSpins = map[string]bool{
	"pthread_spin_lock": true, "pthread_mutex_trylock": true, "__pthread_mutex_trylock": true, "___pthread_mutex_trylock": true,
	"sched_yield": true, "__sched_yield": true, "pthread_yield": true,
}

// loops are the functions that run the code of an interpreted program.
var loops = map[string]bool{
	"_PyEval_EvalFrameDefault": true, // CPython
	"execute_ex":               true, // PHP
	"rb_vm_exec":               true, // Ruby
}

// IsLoop reports whether a native frame is an interpreter's loop.
func IsLoop(f *threadtrace.Frame) bool { return loops[f.Function] && !f.Inlined }

// lockOf tells whether a function is a lock primitive, and whether it spins.
func lockOf(name string) (lock, spin bool) {
	spin = lockSpins[name]
	return spin || lockWaits[name], spin
}

// sleeps reports whether a function of a library or runtime is a sleep:
// clock_nanosleep, JavaThread::sleep, time.Sleep.
func sleeps(name string) bool {
	return strings.HasSuffix(strings.ToLower(name), "sleep")
}

// wraps reports whether a function is named for the wait it calls: my_sync for
// fdatasync, Utility::usleep for clock_nanosleep, Condition::wait for pthread_cond_wait.
func wraps(function, callee string) bool {
	function, _, _ = strings.Cut(function, "(")
	function = strings.ToLower(function[max(strings.LastIndexByte(function, ':'), strings.LastIndexByte(function, '.'))+1:])
	function = strings.ReplaceAll(function, "async", "")
	for _, wait := range []string{"sync", "sleep", "wait"} {
		if strings.Contains(callee, wait) && strings.Contains(function, wait) {
			return true
		}
	}
	return false
}

// wrapper reports whether the innermost of some functions does no more than wait in a
// callee, and who decided that can be told: its caller has a name, or the caller of that
// one. Of two without a name nobody knows which it was.
func (t *Table) wrapper(functions []int32, callee string) bool {
	if len(functions) == 0 || !wraps(t.functions[functions[0]].Name, callee) {
		return false
	}
	callers := functions[1:min(len(functions), 3)]
	return slices.ContainsFunc(callers, func(f int32) bool { return !t.functions[f].Nameless() })
}

// libraryOf is the name of the library that a function is of: a package of
// Go's, which is part of the program, or a shared one. The C library, which all
// the others call, is none, and neither is what a virtual machine brings.
func libraryOf(f *threadtrace.Frame) string {
	switch {
	case isCLibrary(f.Module), strings.HasPrefix(f.Module, "["):
		return ""
	case strings.Contains(f.Module, ".so"):
		return f.Module
	}
	slash := strings.LastIndexByte(f.Function, '/') + 1
	dot := strings.IndexByte(f.Function[slash:], '.')
	if dot <= 0 {
		return ""
	}
	return f.Function[:slash+dot]
}

func isCLibrary(module string) bool {
	for _, prefix := range []string{"[vdso]", "ld-", "libc.", "libc-", "libpthread", "libstdc++", "libgcc_s"} {
		if strings.HasPrefix(module, prefix) {
			return true
		}
	}
	return false
}

// speaks reports whether a function of the platform says what a thread does: all
// but those of the C library, and what has no name.
func speaks(f *threadtrace.Frame) bool {
	return f.Origin != threadtrace.OriginUnknown && !isCLibrary(f.Module) && !interpreted(f)
}

// Package is the part of the program that a function is of, as the names of its
// language tell: a package of Go's or Java's, a class or namespace of C++'s, else the
// module.
func (f Function) Package() string {
	name := f.Name
	if i := strings.IndexAny(name, "(<["); i > 0 {
		name = name[:i]
	}
	if i := strings.LastIndex(name, "::"); i > 0 {
		return f.Module + " " + name[:i]
	}
	slash := strings.LastIndexByte(name, '/') + 1
	if slash > 0 {
		if dot := strings.IndexByte(name[slash:], '.'); dot > 0 {
			return name[:slash+dot]
		}
		return f.Module
	}
	if f.Module == jitModule { // package, class and method
		for range 2 {
			name = name[:max(0, strings.LastIndexByte(name, '.'))]
		}
		return f.Module + " " + name
	}
	return f.Module
}

// Compiled reports whether a JIT compiler made the code of a function: it has a frame
// on a stack only while it is compiled, and not as a part of its caller.
func (f Function) Compiled() bool { return f.Module == jitModule }

// Maker is the function in which a closure was written, as Go and Rust name closures; empty
// for what is none.
func (f Function) Maker() string {
	if i := strings.LastIndex(f.Name, "::{{closure}}"); i > 0 {
		return f.Name[:i]
	}
	name := f.Name
	for {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			break
		}
		kind := strings.TrimRight(name[dot+1:], "0123456789")
		if kind == name[dot+1:] || kind != "" && kind != "func" && kind != "gowrap" {
			break
		}
		name = name[:dot]
	}
	if name == f.Name {
		return ""
	}
	return name
}
