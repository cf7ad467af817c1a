package capture

import "time"

// NoCall is the Number of something seen outside any system call.
const NoCall int32 = -1

// CallFlags says why a call has a stack, and what is special about it.
type CallFlags uint8

// The reasons for a stack can be several at once. Only those of FlagSampled
// are a fair sample of a thread's calls.
const (
	// FlagSampled: it was this call's turn, one in Config.StackEvery.
	FlagSampled CallFlags = 1 << iota
	// FlagFirst: the thread's first call of this number, or the first that
	// Config.StackRate left room for.
	FlagFirst
	// FlagSlow: it took Config.SlowCall or longer.
	FlagSlow
	// FlagFailed: it failed, one in Config.StackEvery/4.
	FlagFailed
	// FlagUnreturned: the thread ended inside the call (exit, exit_group);
	// Duration is up to its end, Return means nothing.
	FlagUnreturned
	// FlagStackLost: a stack was due for one of the reasons above, but
	// could not be had (see Stats.Dropped), so StackID is zero.
	FlagStackLost
	// FlagCut: it was entered before the hooks were attached or the thread was
	// followed: Start is when they were attached, Duration from then on.
	FlagCut
)

// Call is one finished system call.
type Call struct {
	PID, TID int32
	// Number is the call's number on this machine's architecture.
	Number int32
	// Return is the value returned, saturated to 32 bits, negative errno on
	// failure. The kernel's own restart codes (-512 to -516) show as they
	// are: the call was interrupted by a signal and is made again. Of
	// rt_sigreturn it is whatever the interrupted code had in the register.
	Return int32
	// Start is in nanoseconds since the Unix epoch.
	Start    int64
	Duration time.Duration
	// Delay is how much of Duration the thread was runnable and had no CPU, to
	// half a percent, but for what is below 10 us, which counts as zero. Of a
	// call with FlagCut and one in flight it is not known: zero.
	Delay time.Duration
	// StackID is the RawStack.ID of its stack, delivered before; 0 is none.
	StackID uint32
	Flags   CallFlags
}

// StackKind says what a stack was copied at.
type StackKind uint8

const (
	// StackAtCall is the stack of a system call, copied as it returned.
	StackAtCall StackKind = 1
	// StackAtSample is the stack of a thread running on a CPU.
	StackAtSample StackKind = 2
	// StackBlocked is the stack of a thread off CPU.
	StackBlocked StackKind = 3
)

// Registers are the user registers an unwinder starts from. LR is the link
// register of arm64, zero elsewhere.
type Registers struct{ IP, SP, BP, LR uint64 }

// RawStack is a copy of a user stack, from SP upward, with gaps where the thread
// has never written.
type RawStack struct {
	ID       uint32
	PID, TID int32
	Kind     StackKind
	// Number is the call the thread was in, or NoCall.
	Number int32
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	Regs Registers
	// Bytes holds user data: it is zeroed as soon as the Handler returns
	// and must be neither kept nor exported.
	Bytes []byte
	// Pages says where Bytes are from: it has a bit for each page of StackPage
	// bytes from that of SP on, set when its bytes are there.
	Pages uint64
}

// Sample is a thread seen running on a CPU.
type Sample struct {
	PID, TID int32
	// Number is the call it was in, or NoCall in user code.
	Number int32
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// Period is the CPU time it stands for, Tracer.SamplePeriod.
	Period time.Duration
	// StackID is the RawStack.ID of its stack, delivered before; 0 is none.
	StackID uint32
}

// ThreadFlags describe a thread in a snapshot.
type ThreadFlags uint32

const (
	// ThreadOnCPU says that it was running.
	ThreadOnCPU ThreadFlags = 1 << iota
	// ThreadBlocked says that it waited for something. Neither this nor ThreadOnCPU
	// is a thread ready to run that waits for a CPU, which on a busy machine
	// can be one that the snapshot itself displaced.
	ThreadBlocked
	// ThreadSinceExact says that Since is the entry of the call; otherwise it is when the
	// thread gave its CPU up, by the scheduler, or where the kernel does not tell that
	// (before 5.11) the first snapshot that saw this wait.
	ThreadSinceExact
	// ThreadSameWait says that it has not run since the snapshot before.
	ThreadSameWait
	// ThreadNewStack says that StackID was copied by this snapshot, not by an earlier one.
	ThreadNewStack
)

// Thread is one thread of a target in a snapshot.
type Thread struct {
	PID, TID int32
	// Number is the call it is in, or NoCall; always NoCall of a thread on
	// a CPU, whose registers are not to be had.
	Number int32
	// State is the kernel's task state: 0 is runnable, 1 interruptible,
	// 2 uninterruptible (disk), higher bits are rarer.
	State uint32
	Flags ThreadFlags
	// CPUTime is all CPU time the thread has used, by the scheduler, and RunDelay
	// all the time it was runnable and had no CPU.
	CPUTime, RunDelay time.Duration
	// Delay is how much of the time since Since it was runnable and had no CPU;
	// known with ThreadSinceExact, else it has not run since.
	Delay time.Duration
	// Since is when its wait began, in nanoseconds since the epoch; zero if
	// it is not blocked. See ThreadSinceExact.
	Since int64
	// Voluntary and Involuntary count its context switches.
	Voluntary, Involuntary uint64
	// StackID is the stack of this wait: it stays the same over snapshots
	// of one wait, and its RawStack came with the first. 0 is none.
	StackID uint32
}

// Snapshot is one look at all threads of all targets.
type Snapshot struct {
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// Interval is the time since the snapshot before (or, for the first,
	// the configured one): what each thread in it stands for.
	Interval time.Duration
	Threads  []Thread
	// Missed is the number of threads left out for lack of room.
	Missed int
}

// Fork is a new thread or process of a target, followed from its first call on.
type Fork struct {
	// ParentPID equals PID for a new thread.
	ParentPID, PID, TID int32
	// Time is in nanoseconds since the Unix epoch.
	Time int64
}

// Context is the trace context (W3C, version 1 of the recommendation) of a
// request that a thread has received.
type Context struct {
	PID, TID int32
	// Time is when the thread had it, in nanoseconds since the Unix epoch.
	Time int64
	// TraceID is never all zero, nor is ParentID, the id of the caller's span.
	TraceID  [16]byte
	ParentID [8]byte
}

// WakingFlags describe who woke a thread.
type WakingFlags uint16

const (
	// WakingInterrupt says that an interrupt did: a device, the network, a timer.
	WakingInterrupt WakingFlags = 1 << iota
	// WakingKernel says that a thread of the kernel did.
	WakingKernel
	// WakingUninterruptible says that no signal would have ended the wait: it was for
	// storage, memory or a lock in the kernel.
	WakingUninterruptible
)

// Waking is the end of a wait of a target's thread in a call that it had been in for a
// millisecond or longer, and who brought it about. Of more than Config.WakingRate a
// part is told that is drawn by chance.
type Waking struct {
	PID, TID int32
	// Number is the call it waited in, Start when it entered it, Time when it was
	// woken; in nanoseconds since the Unix epoch.
	Number      int32
	Start, Time int64
	Flags       WakingFlags
	// WakerPID, WakerTID and Waker, the thread's name, are zero for an interrupt.
	WakerPID, WakerTID int32
	Waker              string
	// StackID is the stack of the call that waited, WakerStackID that of the call in
	// which the waker was, each taken as the call returned: they are delivered later,
	// or never. 0 is none.
	StackID, WakerStackID uint32
}

// Exec is a target that has replaced its program: what was known of its
// mappings is void.
type Exec struct {
	PID  int32
	Time int64
}

// Exit is a thread that has ended. It comes after all its calls.
type Exit struct {
	PID, TID int32
	// ProcessOver is set when it was the process's last thread; the process
	// is then no target any more. It can be set twice when two threads end at
	// the same instant.
	ProcessOver bool
	Time        int64
	// CPUTime is all CPU time the thread has used, by the scheduler and up
	// to its last clock tick: Thread.CPUTime of a snapshot at its end. RunDelay
	// is that of the same.
	CPUTime, RunDelay time.Duration
}

// Handler receives what a Tracer sees, from one goroutine. Slices and pointers
// are valid during the call only. While a Handler works the rings fill, so it
// must not block. Events of a process just removed may still arrive.
type Handler interface {
	// Calls gets finished calls: those of one thread in the order they
	// returned in, and after the stacks they refer to.
	Calls(batch []Call)
	Stack(s *RawStack)
	Sample(s Sample)
	Snapshot(s *Snapshot)
	Fork(f Fork)
	Exec(e Exec)
	Exit(e Exit)
	// Context gets trace contexts, about in the order of their time, and
	// before the calls that returned later.
	Context(c Context)
	// Waking gets wakings, about in the order of their time, and before the calls
	// that returned later; only while the syscall hooks are attached.
	Waking(w Waking)
	// Tracing tells that the syscall hooks have been attached or detached,
	// before the calls made since, and after those made until then.
	Tracing(t Tracing)
}

// Tracing is an edge of the time in which every call is recorded.
type Tracing struct {
	On bool
	// Time is in nanoseconds since the Unix epoch.
	Time int64
	// InFlight are, at the end, the calls entered while the hooks were attached
	// and not returned when they were detached; their return will not be
	// delivered. Duration is up to Time.
	InFlight []Call
}

// Reasons for loss, the keys of Stats.Dropped.
const (
	// DropRingOverwrite: calls overwritten before they were read; the rings
	// are too small or the Handler too slow.
	DropRingOverwrite = "ring_overwrite"
	// DropShare: calls of a group beyond its share of the rings; Shares tells
	// whose they were.
	DropShare = "share_exceeded"
	// DropTornRead: calls overwritten while they were read.
	DropTornRead = "torn_read"
	// DropSlotCollision: calls of threads that found no place in the table.
	DropSlotCollision = "slot_collision"
	// DropStackRing: stacks of calls for which the stack ring had no room.
	DropStackRing = "stack_ring_full"
	// DropStackUnreadable: stacks of calls in memory that was not there.
	DropStackUnreadable = "stack_unreadable"
	// DropSampleRing: samples for which the stack ring had no room.
	DropSampleRing = "sample_ring_full"
	// DropBlockedRing, DropBlockedUnreadable and DropBlockedMoved: snapshot
	// stacks without room, unreadable, or of a thread that woke meanwhile.
	DropBlockedRing       = "blocked_ring_full"
	DropBlockedUnreadable = "blocked_unreadable"
	DropBlockedMoved      = "blocked_moved"
	// DropBlockedBusy: snapshot stacks not copied as the process was changing
	// its memory map just then, which the copy would have had to wait for.
	DropBlockedBusy = "blocked_mm_busy"
	// DropNotice: fork, exec and exit notices without room.
	DropNotice = "notice_ring_full"
	// DropContext: trace contexts without room.
	DropContext = "context_ring_full"
	// DropWaking: wakings beyond Config.WakingRate; DropWakingRing: those without room.
	DropWaking     = "waking_rate"
	DropWakingRing = "waking_ring_full"
	// DropThread: threads that are not followed as the table is full.
	DropThread = "thread_unslotted"
	// DropSnapshotRow: threads left out of snapshots.
	DropSnapshotRow = "snapshot_full"
	// DropMalformed: records that could not be decoded.
	DropMalformed = "malformed"
)

// Stats counts since New.
type Stats struct {
	// Passed is the number of calls made by threads that are nobody's target
	// while the hooks were attached: they pay for the hooks as well.
	Passed uint64
	// Woken is the number of threads, of anybody, that were woken while it was watched
	// who wakes whom: whoever wakes one pays for that.
	Woken uint64
	// Produced is the number of calls recorded in the kernel. Once the rings
	// are drained and the hooks detached, Produced = Calls +
	// Dropped[DropRingOverwrite] + Dropped[DropTornRead], exactly; and the
	// calls made by the targets are those and Dropped[DropSlotCollision].
	Produced uint64
	// Calls, Stacks, Samples, Snapshots, Notices, Contexts and Wakings were delivered.
	Calls, Stacks, Samples, Snapshots, Notices, Contexts, Wakings uint64
	// Late is the number of calls delivered after one that returned later,
	// as their CPU was held up between the clock and the ring.
	Late uint64
	// Dropped counts losses by reason; only reasons that occurred.
	Dropped map[string]uint64
	// Threads and Processes are followed now.
	Threads, Processes int
	// Attached is the time the syscall hooks have been attached in all.
	Attached time.Duration
	// Tax is what the hooks add to a call that is not recorded, as measured on
	// calls of this process when they were attached; zero is not known yet.
	Tax time.Duration
	// Memory is what the kernel says the eBPF maps take, in bytes; zero
	// after Close.
	Memory int64
}

// Share is what a group of processes did.
type Share struct {
	// Recorded calls were written to the rings, Skipped ones left out because
	// the group had filled its share.
	Recorded, Skipped uint64
}

// Socket is one of a target, in another network namespace than this process.
type Socket struct {
	// PID is a process that has it: it is told once for each file that it is.
	PID int32
	// Namespace is the inode of the network namespace, Protocol IPPROTO_UDP
	// or one of TCP.
	Namespace, Protocol uint32
	// Message is what sock_diag would tell there: struct inet_diag_msg and, of a
	// connection of TCP, the attribute INET_DIAG_INFO with the fields that Sockets names.
	// It is valid during the call only.
	Message []byte
}

// Degraded is a feature the running kernel, or a missing privilege, denies.
type Degraded struct {
	// Feature is "syscall stacks", "sample stacks", "samples",
	// "snapshot stacks", "snapshots", "trace context", "wakings",
	// "run delay", "run delay of calls" or "sockets of other network namespaces".
	Feature string
	// Reason says why and, where something can be done, what.
	Reason string
}
