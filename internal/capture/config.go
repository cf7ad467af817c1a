package capture

import (
	"fmt"
	"time"
)

const (
	// MaxStackBytes is the most that can be copied of one stack.
	MaxStackBytes = 32768
	// StackPage is the unit of what is copied of a stack: of its first 64 pages
	// those that hold something. It ends where more than 16 in a row hold nothing,
	// or the first such beyond the frames of the thread.
	StackPage = 4096
	// MaxThreads is the most threads followed at once, over all targets.
	MaxThreads = 16384
	// ContextBytes is how much of a request is searched for its trace context.
	ContextBytes = 1024
	// MaxGroups is the number of groups of processes that have a share of the
	// rings of their own; group 0 has no bound.
	MaxGroups = 1024
	// MaxTargets is the most processes followed at once.
	MaxTargets = 4096
	// maxRingBytes bounds all call rings together; on a machine with many
	// CPUs each ring is halved until they fit.
	maxRingBytes = 64 << 20
	// contextRingBytes holds trace contexts between two polls: five thousand,
	// a hundred thousand a second with the default PollInterval.
	contextRingBytes = 256 << 10
)

// Config says what a Tracer records. Start from [DefaultConfig]; the zero
// value of a field turns the part it rules off where that makes sense.
type Config struct {
	// Continuous attaches the syscall hooks at Start and leaves them.
	// Otherwise only the watch runs until Attach is called.
	Continuous bool
	// SampleHz is how often per second each CPU is sampled; zero is never.
	SampleHz int
	// SnapshotInterval is the time between two looks at all threads of
	// the targets; zero is never.
	SnapshotInterval time.Duration
	// MaxSnapshotStacks bounds the stacks copied in one snapshot.
	MaxSnapshotStacks int
	// StackBytes is the most copied of one stack, at most MaxStackBytes; pages
	// that hold nothing do not count. Zero copies none.
	StackBytes int
	// StackEvery copies the stack at one in StackEvery calls of a thread,
	// at random, and also at a thread's first call of each number, at slow
	// calls and at some failing ones. 1 is all, 0 is none.
	StackEvery int
	// StackRate bounds the stacks of calls per second and thread, about, and
	// four times it per CPU; zero, or StackEvery 1, is no bound. First and slow
	// calls have a budget of their own, each twice StackRate per CPU; beyond it
	// the thread's next call of the number counts as its first.
	StackRate int
	// WakingRate bounds, while the syscall hooks are attached, the wakings told per
	// second and CPU, about; zero is none. Each may cost the two stacks of who waited
	// and who woke it.
	WakingRate int
	// SlowCall is the duration from which a call gets a stack in any case,
	// at most ten times a second and thread. Calls that wait for something to
	// do (poll, futex, nanosleep and the like) get one only the first time if
	// there are snapshots, which show such waits.
	SlowCall time.Duration
	// RingRecords is how many finished calls each CPU can hold between two
	// polls, 32 bytes each; a power of two. With many CPUs they are fewer, so
	// that all rings together take at most 64 MiB; the log says so.
	RingRecords int
	// StackRingBytes holds stack copies between two polls; a power of two,
	// at least a page.
	StackRingBytes int
	// PollInterval is the time between two reads of the rings while calls are
	// recorded; without, they are read at every fourth.
	PollInterval time.Duration
	// IncludeChildren follows the processes that targets start.
	IncludeChildren bool
	// TraceContext looks, while the syscall hooks are attached, at the first
	// ContextBytes of what targets receive from sockets, for the traceparent
	// header of HTTP/1 requests; nothing but its ids leaves the kernel.
	TraceContext bool
}

// DefaultConfig returns the settings of the always-on watch: no syscall hook
// attached, 97 samples a second and CPU, five snapshots a second.
func DefaultConfig() Config {
	return Config{
		SampleHz:          97,
		SnapshotInterval:  200 * time.Millisecond,
		MaxSnapshotStacks: 128,
		StackBytes:        MaxStackBytes,
		StackEvery:        16,
		StackRate:         240,
		WakingRate:        120,
		SlowCall:          10 * time.Millisecond,
		RingRecords:       131072,
		StackRingBytes:    8 << 20,
		PollInterval:      50 * time.Millisecond,
		IncludeChildren:   true,
	}
}

// Validate returns an error that names the first field out of range.
func (c Config) Validate() error {
	switch {
	case c.SampleHz < 0 || c.SampleHz > 1000:
		return fmt.Errorf("capture: SampleHz is %d, must be 0 to 1000", c.SampleHz)
	case c.SnapshotInterval < 0 || (c.SnapshotInterval > 0 && c.SnapshotInterval < 10*time.Millisecond):
		return fmt.Errorf("capture: SnapshotInterval is %v, must be 0 or at least 10ms", c.SnapshotInterval)
	case c.MaxSnapshotStacks < 0 || c.MaxSnapshotStacks > MaxThreads:
		return fmt.Errorf("capture: MaxSnapshotStacks is %d, must be 0 to %d", c.MaxSnapshotStacks, MaxThreads)
	case c.StackBytes < 0 || c.StackBytes > MaxStackBytes:
		return fmt.Errorf("capture: StackBytes is %d, must be 0 to %d", c.StackBytes, MaxStackBytes)
	case c.StackEvery < 0 || c.StackEvery > 30000:
		return fmt.Errorf("capture: StackEvery is %d, must be 0 to 30000", c.StackEvery)
	case c.StackRate < 0:
		return fmt.Errorf("capture: StackRate is %d, must not be negative", c.StackRate)
	case c.WakingRate < 0:
		return fmt.Errorf("capture: WakingRate is %d, must not be negative", c.WakingRate)
	case c.SlowCall < 0:
		return fmt.Errorf("capture: SlowCall is %v, must not be negative", c.SlowCall)
	case !powerOfTwo(c.RingRecords) || c.RingRecords < 16 || c.RingRecords > 1<<20:
		return fmt.Errorf("capture: RingRecords is %d, must be a power of two from 16 to %d", c.RingRecords, 1<<20)
	case !powerOfTwo(c.StackRingBytes) || c.StackRingBytes < 65536 || c.StackRingBytes > 1<<28:
		return fmt.Errorf("capture: StackRingBytes is %d, must be a power of two from 65536 to %d", c.StackRingBytes, 1<<28)
	case c.PollInterval < time.Millisecond:
		return fmt.Errorf("capture: PollInterval is %v, must be at least 1ms", c.PollInterval)
	}
	return nil
}

func powerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }
