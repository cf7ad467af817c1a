package memory

import (
	"github.com/perfscope/perfscope/internal/frames"
)

// Bounds of what is kept of one service and build.
const (
	// MaxBytes bounds what is written.
	MaxBytes = 2 << 20
	// MaxHops bounds the hops of the past, MaxStarts the starts, MaxStartHops the hops
	// of each, MaxStates the states, MaxStateHops the hops of each, MaxTimes the
	// occasions on which one was seen. MaxOutline bounds the outline, in bytes.
	MaxHops, MaxStarts, MaxStartHops          = 720, 4, 12
	MaxStates, MaxStateHops, MaxTimes         = 16, 12, 32
	MaxOutline                                = 512 << 10
	maxText                                   = 4096
	maxEntries, maxFunctions, maxInflated int = 1 << 20, 1 << 17, 64 << 20
)

// Memory is what is kept of one service and build. Numbers of stacks and functions are
// those of Saved.
type Memory struct {
	Saved frames.Saved
	// Instance is whose past it is, Program the name of its program's file, Role what
	// tells apart instances that do different things.
	Instance, Program, Role string
	// Arch is the architecture ("amd64"), HopLength the time a hop takes, in nanoseconds.
	Arch      string
	HopLength int64
	// Hops are the past, the oldest first; Learned counts all that were ever learned.
	Hops    []Hop
	Learned int64
	// Starts are what the first minutes after a start were like, the oldest first.
	Starts []Start
	// States are those that the service was in beside its past.
	States []State
	// Outline is a memory of its own, encoded, whose hops are those of its weeks: it is
	// written anew much less often, and read when it is needed.
	Outline []byte
	// Days is for how long it was judged, Peaks and Beyond are what its excursions
	// cost; see detect.Excursions.
	Days, Peaks, Beyond float64
	// Open is the anomaly that was not over, if there was one.
	Open *Open
}

// Start is the first minutes of one process.
type Start struct {
	// Began is when it started, in nanoseconds since the Unix epoch.
	Began int64
	Hops  []Hop
}

// State is what the service was like during an anomaly.
type State struct {
	// Instance and ID are those under which it was told first.
	Instance, ID string
	// Times are when it began, in nanoseconds since the Unix epoch, the newest last;
	// Seen counts all of them, First is the first.
	Times []int64
	First int64
	Seen  int64
	// Longest is how long it lasted at the most, in nanoseconds.
	Longest int64
	// Expected is set when somebody said so.
	Expected bool
	Hops     []Hop
}

// Open is an anomaly that was told and not over.
type Open struct {
	// Instance is whose it was.
	Instance, ID, Top string
	// Onset, Until and Reported are in nanoseconds since the Unix epoch.
	Onset, Until, Reported int64
	Lost                   float64
}
