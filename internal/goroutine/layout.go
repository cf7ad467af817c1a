package goroutine

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// layout is where the fields of runtime.g are, in bytes from its start. The first
// two words are the bounds of the stack in every version.
type layout struct {
	sp, pc, self, bp                       int
	status, goid, waitSince, creator, size int
	// turns is a counter of one byte.
	turns int
}

// layouts are those of the Go releases from a minor version on, the newest first;
// a test holds them to the debug information of what each release builds.
var layouts = []struct {
	minor int
	layout
}{
	{26, layout{sp: 56, pc: 64, self: 72, bp: 96, status: 144, goid: 152, waitSince: 168, creator: 288, size: 296, turns: 191}},
	{25, layout{sp: 56, pc: 64, self: 72, bp: 96, status: 144, goid: 152, waitSince: 168, creator: 280, size: 288, turns: 191}},
	{23, layout{sp: 56, pc: 64, self: 72, bp: 104, status: 152, goid: 160, waitSince: 176, creator: 288, size: 296, turns: 199}},
}

// layoutOf is that of a Go version ("go1.24.3", "go1.26rc1", "devel go1.27-…"). A
// release newer than the table is read as the newest one: if its layout is another
// one, its goroutines contradict themselves and are refused.
func layoutOf(version string) (layout, bool) {
	_, rest, ok := strings.Cut(version, "go1.")
	if !ok {
		return layout{}, false
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	minor, err := strconv.Atoi(rest[:end])
	if err != nil {
		return layout{}, false
	}
	for _, l := range layouts {
		if minor >= l.minor {
			return l.layout, true
		}
	}
	return layout{}, false
}

// Statuses of a goroutine (runtime/runtime2.go).
const (
	statusRunnable  = 1
	statusRunning   = 2
	statusSyscall   = 3
	statusWaiting   = 4
	statusDead      = 6
	statusCopystack = 8
	statusPreempted = 9
	statusScan      = 0x1000 // beside others, while its stack is scanned
	newestStatus    = 11
)

// Goroutine is one that waits.
type Goroutine struct {
	// ID is unique in the process for as long as that lives.
	ID uint64
	// PC, SP and BP are where it was parked.
	PC, SP, BP uint64
	// Creator is the address behind the go statement that made it.
	Creator uint64
	// Turns counts, modulo 256, how often it gave up its CPU: two looks that find the same
	// number find it in the same wait.
	Turns uint8
	// Since is when the runtime noticed that it waits, in nanoseconds of
	// CLOCK_MONOTONIC; zero when it has not noticed yet.
	Since int64
	// Stack is what lies from SP on, at most maxStack bytes of it.
	Stack []byte

	at, high uint64
	status   uint32
}

// parse reads one runtime.g, which was found at an address; false is that it
// contradicts itself.
func (l *layout) parse(data []byte, at uint64) (Goroutine, bool) {
	if len(data) < l.size {
		return Goroutine{}, false
	}
	word := func(off int) uint64 { return binary.LittleEndian.Uint64(data[off:]) }
	low, high := word(0), word(8)
	g := Goroutine{
		ID: word(l.goid), PC: word(l.pc), SP: word(l.sp), BP: word(l.bp), Creator: word(l.creator), Since: int64(word(l.waitSince)), //nolint:gosec // as it is
		Turns: data[l.turns], at: at, high: high, status: binary.LittleEndian.Uint32(data[l.status:]) &^ statusScan,
	}
	switch {
	case g.status > newestStatus:
		return g, false
	case g.status != statusWaiting:
		return g, true
	}
	return g, low < high && high-low <= maxStackSize && g.SP >= low && g.SP < high && g.SP%8 == 0 && word(l.self) == at && g.ID != 0 && g.PC != 0
}

// maxStackSize is the largest stack that the runtime allows.
const maxStackSize = 1 << 30
