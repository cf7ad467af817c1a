package syscallreceiver

import (
	"context"
	"time"

	"github.com/perfscope/perfscope/internal/stack"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// tracer is what the receiver needs of the kernel side.
type tracer interface {
	// Start attaches everything; what it sees goes to the handler that its
	// maker was given, from one goroutine.
	Start(ctx context.Context) error
	// Close reads what is left, detaches everything and returns when the
	// handler will not be called again.
	Close() error
	// AddProcesses and RemoveProcess say whose threads are recorded; both
	// may be repeated. Neither is called from the handler. The former gives
	// an error, or nil, for each. Processes of a group have a share of the
	// rings together.
	AddProcesses(pids []int32, groups []uint16) []error
	RemoveProcess(pid int32) error
	// DeliverAtOnce has the samples of a process given to the handler as they are
	// taken.
	DeliverAtOnce(pid int32) error
	// Trace attaches or detaches the hooks on system calls; what that cuts off
	// is told to the handler before it returns.
	Trace(on bool) error
	// SetStackRate bounds the stacks of calls to a part of what is configured.
	SetStackRate(part float64) error
	// InFlight are the calls that entered at least age ago and have not
	// returned.
	InFlight(age time.Duration) []event
	// Sockets is machine.Elsewhere; it runs on the caller's goroutine.
	Sockets(take func(process int32, namespace, protocol uint32, message []byte) (more bool)) error
	// Stats counts since the start.
	Stats() tracerStats
	// LastRead is when the rings were last read; it waits for nobody.
	LastRead() time.Time
	// Degraded says what the host denies, one sentence each.
	Degraded() []string
}

// tracerStats is what the kernel side says of itself.
type tracerStats struct {
	// Dropped are the events lost, by reason.
	Dropped map[string]uint64
	// Skipped are the calls left out because their group had used up its
	// share of the rings; they are in Dropped, too.
	Skipped map[uint16]uint64
	// Attached is for how long every call was recorded.
	Attached time.Duration
	// Recorded and Passed are the calls that went through the hooks, those
	// recorded and those of other processes; Tax is what the hooks add to one
	// of the latter. Woken are the threads, of any process, that were woken while it
	// was watched who wakes whom. Stacks is the number of stacks copied.
	Recorded, Passed, Woken, Stacks uint64
	Tax                             time.Duration
	// Groups are those recorded, by group.
	Groups map[uint16]uint64
	// Memory is what is shared with the kernel, in bytes.
	Memory int64
	// SamplePeriod and SnapshotPeriod are zero when the part is off or denied.
	SamplePeriod, SnapshotPeriod time.Duration
}

// event is an event before its stack is known.
type event struct {
	PID, TID int32
	// Stack of it is the id of a rawStack, not yet an index.
	threadtrace.Event
}

// rawStack is a piece of a user stack as the kernel copied it.
type rawStack struct {
	ID       uint32
	PID, TID int32
	// Time is in nanoseconds since the epoch.
	Time int64
	// Blocked is set on that of a wait, which comes before the snapshot that
	// shows the wait, and once for all snapshots of it.
	Blocked bool
	// Sampled is set on that of a sample of a thread on a CPU.
	Sampled bool
	Regs    stack.Registers
	// Copy begins at SP; valid during the call only, unless buf, which is what its
	// bytes are kept in, is set.
	stack.Copy
	buf *[]byte
}

// unwinder makes frames of raw stacks; *stack.Unwinder is one. Only Unwind, Facts,
// Variables and GoFunction may take as long as the reading of files takes.
type unwinder interface {
	Try(pid int32, regs stack.Registers, copied stack.Copy) (threadtrace.Stack, error)
	Unwind(pid int32, regs stack.Registers, copied stack.Copy) (threadtrace.Stack, error)
	Facts(pid int32) (stack.Facts, error)
	Variables(pid int32) (module string, at map[string]uint64, err error)
	GoFunction(pid int32, name string) (stack.GoFunction, error)
	Inherit(parent, child int32)
	Forget(pid int32)
	Stats() stack.Stats
}
