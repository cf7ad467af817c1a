// Package threadtrace holds what the capture side knows of one thread of a
// traced process: its system calls, the samples of it on a CPU and the
// snapshots of it blocked, each with a reference to a user stack. It is the
// language between the kernel side, which writes it, and the inference, which
// reads it; it knows neither eBPF nor the Collector.
package threadtrace

import (
	"math"
	"time"
)

// Kind tells what an Event is.
type Kind uint8

const (
	// KindCall is a system call that has returned: Time is its entry,
	// Duration how long it took, Return what it gave back.
	KindCall Kind = iota
	// KindInFlight is a system call that has not returned: Time is its
	// entry, Duration the time elapsed when it was looked at. The call
	// comes once more as a KindCall when it returns.
	KindInFlight
	// KindSample is the thread seen running on a CPU: Time is the instant,
	// Duration the CPU time the sample stands for (the sampler's period).
	// Number is the call it was in, or NoCall in user code.
	KindSample
	// KindBlocked is the thread seen off CPU inside a call: Time is the
	// instant, Duration the waiting time the snapshot stands for (the
	// snapshot's period), Elapsed how long it is known to be in this one wait.
	KindBlocked
)

// NoCall is the Number of an event outside any system call.
const NoCall int32 = -1

// Event is one thing seen of one thread.
type Event struct {
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// Duration is in nanoseconds; see Kind for what it measures.
	Duration int64
	// Elapsed is in nanoseconds; zero but for KindBlocked.
	Elapsed int64
	// Delay is how many nanoseconds of Duration the thread was runnable and had
	// no CPU, as others had it: the call did not wait for anything else meanwhile.
	// Of a KindBlocked it is that of the call so far, and Elapsed does not count
	// it. Zero is too little to be told (below 10 us) or not known: of a call
	// that is cut, and on kernels that do not count it.
	Delay int64
	// Number is the system call's number on the machine's architecture, or one of
	// the waits of goroutines.
	Number int32
	// Return is the call's return value, negative errno on failure,
	// saturated to 32 bits. Zero when the call has not returned. Of a wait of one
	// goroutine, see Followed, it is which one.
	Return int32
	// Stack indexes Batch.Stacks, counted from one; zero is no stack.
	Stack uint32
	Kind  Kind
	// Cut is set on a call of which only the part inside a burst of tracing
	// was seen. Of a KindCall it is the last part: Time is when the tracing
	// began. Of a KindInFlight it is the first: the tracing ended at its End,
	// and its return will not be seen. It is set on a wait of one goroutine
	// before which that was not seen all the time.
	Cut bool
	// Population is set on a KindBlocked that sums up the goroutines of a creator
	// which wait at one place: it is how many goroutines that creator has, saturated
	// to 16 bits. Duration is then the waiting time of all at that place together,
	// and Elapsed that of the one which has waited longest.
	Population uint16
}

// End is the instant, in nanoseconds since the epoch, at which the event was
// over or was looked at.
func (e Event) End() int64 {
	if e.Kind == KindCall || e.Kind == KindInFlight {
		return e.Time + e.Duration
	}
	return e.Time
}

// Followed reports whether the event is a wait of one goroutine that is followed from
// wait to wait, and which one of its process: a KindBlocked whose Time is when it was last
// seen in that wait, Elapsed since when. The time that goroutines wait is that of the
// sums of their creators, so Duration is zero.
func (e Event) Followed() (id int32, ok bool) {
	return e.Return, e.Kind == KindBlocked && e.Return != 0
}

// GoroutineID is a goroutine's identifier as events have it, never zero. It tells those of
// a process apart that are alive at a time.
func GoroutineID(id uint64) int32 {
	return int32(id%math.MaxInt32) + 1 //nolint:gosec // bounded
}

// Failed reports whether the call returned an errno.
func (e Event) Failed() bool { return e.Kind == KindCall && e.Return < 0 && e.Return >= -4095 }

// Origin tells whose code a frame is.
type Origin uint8

const (
	// OriginApplication is code of the program itself or of a library
	// that is not part of the system: a suspect.
	OriginApplication Origin = iota
	// OriginLibrary is a system library (libc, libz, libssl, the dynamic
	// loader, vDSO): context, never a suspect.
	OriginLibrary
	// OriginRuntime is a language runtime's own code (Go's runtime and
	// its syscall wrappers, libjvm, V8's builtins): context.
	OriginRuntime
	// OriginUnknown is an address in no module that could be read.
	OriginUnknown
)

// Frame is one function on a stack.
type Frame struct {
	// Function is the symbol's demangled name, or module+0xstart of the
	// function that holds the address when it has no name.
	Function string
	// Module is the base name of the mapped file (redis-server,
	// libc.so.6), or [vdso], [jit], [unknown].
	Module string
	// File and Line locate the source when debug information is there.
	File string
	Line int32
	// Origin tells application code from system libraries and runtimes.
	Origin Origin
	// Inlined is set on a frame that debug information shows inlined into
	// the next one.
	Inlined bool
}

// Stack is a user stack, innermost frame first.
type Stack struct {
	Frames []Frame
	// Complete is set when the stack was walked to the start of the
	// thread (_start, clone, runtime.goexit, …).
	Complete bool
}

// Context is the trace context of a request that a thread received
// (https://www.w3.org/TR/trace-context/).
type Context struct {
	// Time is when the thread had it, in nanoseconds since the Unix epoch.
	Time int64
	// TraceID is the trace, ParentID the caller's span.
	TraceID  [16]byte
	ParentID [8]byte
}

// Batch holds the events of one thread, ordered by Time, over one flush.
//
// A batch of goroutines has a negative ThreadID, which stands for their creator for
// as long as the process lives; ThreadName names it.
type Batch struct {
	ThreadID   int32
	ThreadName string
	Events     []Event
	Stacks     []Stack
	// Contexts are ordered by Time; none unless they were asked for.
	Contexts []Context
	// Wakings are ordered by Time; they are known while every call is recorded, and
	// of many only some.
	Wakings []Waking
	// Dropped counts events of this thread known to be lost.
	Dropped uint64
}

// Coverage says what was looked at of one process over one flush, so that
// counts can be turned into rates per traced time, and so that a process that
// makes no calls is known to be alive.
type Coverage struct {
	// Start and End are in nanoseconds since the Unix epoch.
	Start, End int64
	// Traced is for how much of the time between Start and End every
	// system call was recorded; zero when only the watch was on.
	Traced time.Duration
	// SamplePeriod is the CPU time one sample stands for, SnapshotPeriod
	// the waiting time one blocked snapshot stands for; zero is off.
	SamplePeriod, SnapshotPeriod time.Duration
	// CPUTime is the CPU time all threads of the process used between
	// Start and End; exact, from the scheduler.
	CPUTime time.Duration
	// RunDelay is the time that threads of the process were runnable and had no
	// CPU between Start and End, summed over all of them, from the scheduler. It
	// lacks that of threads that began and ended between two looks of which the
	// notice was lost, and of a thread that is off CPU the part since its last
	// turn; zero on kernels that do not count it.
	RunDelay time.Duration
	// Threads is the number of threads alive at End.
	Threads int
	// Functions is the number of functions in the program's own modules,
	// as far as known; the denominator of the search scope.
	Functions int
	// Dropped counts the events of this process lost in this flush, by reason.
	Dropped map[string]uint64
}
