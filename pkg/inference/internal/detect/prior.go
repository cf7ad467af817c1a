package detect

import (
	"github.com/perfscope/perfscope/internal/unit"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Prior is what is known of the cells of a class before a service has a past.
type Prior struct {
	// Dispersion is the squared coefficient of variation of a figure at one load.
	Dispersion float64
	// Margin is how much more than expected is nothing.
	Margin float64
}

// varying is the prior of a class of which clients that ask for something else, or others who
// use the same, change figures without a load that shows it: by so much is nothing, and by the
// same the squares of figures vary.
func varying(by float64) Prior { return Prior{Dispersion: by, Margin: by} }

var (
	// onCPU is that of computing, whose standard deviation at one load is what matters.
	onCPU = Prior{Dispersion: criteria.Matters * criteria.Matters, Margin: criteria.Matters}
	// Waiting is that of waits for peers and threads, and of what a machine lacks.
	Waiting = varying(0.25)
	// Storing is that of waits for storage: a disk has other users, and clients that write
	// more do not show in a load of reads and writes. It is that of refusals, too, which some
	// programs live with.
	Storing = varying(1)
)

// independent is how far apart two looks at a wait must be to be independent
// evidence, in nanoseconds: closer ones meet the same wait.
const independent = 0.4e9

func priorOf(c baseline.Cell, classes *threadtrace.Classes) Prior {
	switch {
	case c.State == baseline.OnCPU:
		return onCPU
	case c.State == baseline.Refused, stores(c, classes):
		return Storing
	}
	return Waiting
}

// stores reports whether a wait is for storage: in a sync, or in a call that waits
// neither for a peer nor for another thread.
func stores(c baseline.Cell, classes *threadtrace.Classes) bool {
	return c.State == baseline.Waiting && !c.Lock && !c.Inclusive && !classes.Is(c.Number, threadtrace.ClassIdle|threadtrace.ClassReadLike|
		threadtrace.ClassConnect|threadtrace.ClassFutex|threadtrace.ClassFileLock|threadtrace.ClassSleep)
}

// slowDisk is by how much longer than usual the syncs with a number take, as far as others
// that use the disk may be to blame.
func slowDisk(p *baseline.Past, c *hop.Closed, number int32) float64 {
	t, usual := c.Calls[unit.Key{Number: number}], p.UsualLength(number)
	if t.N*c.CallSeconds < 1 || usual <= 0 {
		return 1
	}
	return min(criteria.ManyTimes, max(1, t.Time/t.N/usual))
}

// onlyTheDisk reports whether a wait for storage that is no sync says nothing of the
// service: a call that is answered from memory takes a thousand times as long when it
// is not. It says something when it hangs, or when it is made many times as often.
func (d *Detector) onlyTheDisk(p *baseline.Past, c *hop.Closed, cell baseline.Cell, w baseline.Waited) bool {
	if !stores(cell, d.classes) || d.classes.Is(cell.Number, threadtrace.ClassSync) || w.Longest >= hop.StuckAfter {
		return false
	}
	return c.Calls[unit.Key{Number: cell.Number}].N <= criteria.ManyTimes*p.CallRate(cell.Number)
}
