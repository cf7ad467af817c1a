package thin

import (
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

const (
	// Parts is into how many parts of equal length an interval is divided, to say
	// when something was seen.
	Parts = 64
	// LongestCall is how much of the time of a single call is counted in the interval
	// in which it returned; what it took before belongs to the hops before.
	LongestCall = 5 * time.Second
)

// Service is whose intervals follow.
type Service struct {
	// Name is the service's name, Arch its machine's architecture ("amd64", "arm64").
	Name, Arch string
}

// Interval is what was seen of a service instance between two instants. All times
// are in nanoseconds, all instants in nanoseconds since the epoch.
type Interval struct {
	Start, End int64
	// Delivered is the newest instant that the records had when those of the
	// interval were complete: when an analysis could have known it.
	Delivered int64
	Coverage
	// Stacks is the service's dictionary up to here; the stacks of cells and sites
	// index it, counted from one. Their frames have neither file nor line.
	Stacks []threadtrace.Stack
	// Threads are those that were seen, in ascending order.
	Threads []int32
	// Cells are ordered by thread, and then by when they were first seen.
	Cells    []Cell
	Calls    []Calls
	TimedOut []TimedOut
	Sites    []Site
	Refused  []Refused
	Machine  Machine
	Flows    []Flow
}

// Coverage sums up what was looked at.
type Coverage struct {
	// From and To bound it, zero when nothing was looked at.
	From, To int64
	// Looked is for how long processes were looked at, summed over them, Traced the
	// part of it in which all their calls were recorded.
	Looked, Traced int64
	// CPUTime and RunDelay are the scheduler's.
	CPUTime, RunDelay int64
	// SamplePeriod is the CPU time one sample stands for, SnapshotPeriod the waiting
	// time one look at a blocked thread stands for; zero is off.
	SamplePeriod, SnapshotPeriod int64
	// CPUOutside is the sampled CPU time in user code, Gaps the waiting time that was
	// seen, in so many Looks.
	CPUOutside, Gaps, Looks int64
	// Functions is the number of functions of the program, as far as known.
	Functions int
	// Dropped counts the calls that are known to be lost.
	Dropped uint64
}

// Cell is one stack of one thread, on CPU or waiting in a call.
type Cell struct {
	Thread int32
	Stack  uint32
	// Number is the call in which it waits, zero on CPU.
	Number  int32
	Waiting bool
	Time    int64
	// Longest is for how long the longest single wait had lasted.
	Longest int64
	// Moments has a bit for each of the Parts of the interval in which it was seen.
	Moments uint64
	// Population is how many goroutines the thread stands for, of a wait of those.
	Population uint16
}

// Calls are the system calls with one number and one outcome that returned.
type Calls struct {
	Number int32
	// Errno is positive, zero for success.
	Errno int32
	N     uint64
	// Time is what they took, without the time that their thread was runnable and had
	// no CPU, and what others took whose end was not traced. Bytes is what they moved.
	Time, Bytes int64
}

// TimedOut is the time in calls that waited until their time was over.
type TimedOut struct {
	Number int32
	Time   int64
}

// Site is how often calls were made at a stack, of those of which a stack was taken.
type Site struct {
	Number, Errno int32
	Stack         uint32
	N             uint32
}

// Refused is when a thread was refused calls.
type Refused struct {
	Number, Errno int32
	Thread        int32
	First, Last   int64
}

// Machine sums up what the service lacked of the machine it runs on.
type Machine struct {
	// Known is for how much of the interval that is known, zero when nothing is.
	Known    int64
	Readings []Reading
	Users    []User
}

// Reading is one figure: what was added, or the level.
type Reading struct {
	Measure threadtrace.Measure
	// Resource is the number of its resource, zero is the service itself or the host.
	Resource uint32
	Value    int64
}

// User is a neighbour and what it used, of all its processes.
type User struct {
	Of threadtrace.Measure
	// Who is the neighbour's number.
	Who   uint32
	Value int64
}

// Flow is a wait, and what it was spent on by who ended it. What that one did before the
// interval is not in it.
type Flow struct {
	From, To Node
	// Time is that of such waits, MilliWaits a thousand times their number.
	Time       int64
	MilliWaits uint64
}

// Node is an end of a flow.
type Node struct {
	// Kind is a number that never changes its meaning: 0 waits in a call, 1 computes, 2
	// is not known, 3 storage, 4 an interrupt, 5 a thread of the kernel, 6 one of others.
	Kind  uint8
	Stack uint32
	// Number is the call, of kind 0; Name the number of a kind of thread, zero of none.
	Number int32
	Name   uint32
}

// Shift moves all instants.
func (i *Interval) Shift(by time.Duration) {
	for _, at := range []*int64{&i.Start, &i.End, &i.Delivered} {
		*at += int64(by)
	}
	if i.To > 0 {
		i.From += int64(by)
		i.To += int64(by)
	}
	for j := range i.Refused {
		i.Refused[j].First += int64(by)
		i.Refused[j].Last += int64(by)
	}
}
