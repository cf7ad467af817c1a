package stack

import (
	"fmt"
	"time"
)

const (
	// maxImageBytes bounds the memory that the reading of one module may hold at
	// a time: sections as unpacked, tables made of them, the dictionary of xz.
	maxImageBytes = 48 << 20
	// maxImageTime bounds the CPU time it may take.
	maxImageTime = 2 * time.Second
	// checkEvery is how many steps of a loop go by between two looks at the clock.
	checkEvery = 1 << 14
)

var errTooDear = fmt.Errorf("reading its tables takes more than %v of CPU time", maxImageTime)

// allowance is what the reading of one module may cost. What there is no room for
// is left out, and short says so; once the time is up everything is, and late
// says so.
type allowance struct {
	left        int64
	until       time.Duration // of the thread's CPU clock
	clock       func() time.Duration
	steps       int
	short, late error
}

// newAllowance begins with the calling thread, which must stay the same.
func newAllowance(clock func() time.Duration) *allowance {
	return &allowance{left: maxImageBytes, clock: clock, until: clock() + maxImageTime}
}

// take reports whether so many bytes more may be held.
func (a *allowance) take(bytes uint64) bool {
	if bytes > maxImageBytes || int64(bytes) > a.left {
		a.short = fmt.Errorf("its tables take more than %d MiB: it is read in part", maxImageBytes>>20)
		return false
	}
	if !a.goOn(checkEvery) {
		return false
	}
	a.left -= int64(bytes)
	return true
}

// give takes bytes back that are held no longer.
func (a *allowance) give(bytes uint64) { a.left += int64(bytes) }

// goOn reports, after so many steps of a loop, whether there is time for more.
func (a *allowance) goOn(steps int) bool {
	if a.steps += steps; a.steps >= checkEvery {
		a.steps = 0
		if a.late == nil && a.clock() > a.until {
			a.late = errTooDear
		}
	}
	return a.late == nil
}
