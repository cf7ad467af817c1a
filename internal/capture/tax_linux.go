//go:build linux && (amd64 || arm64)

package capture

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// taxCalls and taxRounds: a round takes some ten microseconds, so that most
	// fit between two interruptions, and all of them less than attaching does.
	taxCalls, taxRounds = 128, 8
	// taxEvery is how long a measurement holds: clock frequencies and neighbours
	// of a virtual machine change.
	taxEvery = time.Minute
	// fromLoop is what the hooks add to a call of a server at work, in units of
	// what they add to one in a loop, which has their code and data in the
	// caches and loses nothing that they push out. Five saturated servers and
	// their clients lost one to four times what the loop said, three on average;
	// `make bench-capture` compares the two ("While attached").
	fromLoop = 3
)

// tax is what the hooks add to a call that is not recorded. It is measured on
// calls of this process, which is never a target, right before and right after
// the hooks are attached.
type tax struct {
	bare, hooked time.Duration // of taxCalls calls
	at           time.Time     // of the last measurement
}

// measure takes one side of a pair of measurements, unless the last is new
// enough. The fastest round is what the calls cost when nobody is in the way.
func (t *tax) measure(attached bool) {
	if !attached {
		if t.hooked > 0 && time.Since(t.at) < taxEvery {
			return
		}
		t.bare, t.hooked = fastestRound(), 0
	} else if t.hooked == 0 {
		t.hooked, t.at = fastestRound(), time.Now()
	}
}

func fastestRound() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(1 << 62)
	for range taxRounds {
		start := time.Now()
		for range taxCalls {
			// Not raw would tell the Go scheduler of each.
			_, _, _ = unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		best = min(best, time.Since(start))
	}
	return best
}

// perCall is what a call of a server at work pays: zero until both sides are
// measured, and never negative.
func (t *tax) perCall() time.Duration {
	if t.hooked == 0 {
		return 0
	}
	return fromLoop * max(0, t.hooked-t.bare) / taxCalls
}
