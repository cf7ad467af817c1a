package cause

import (
	"cmp"

	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// storage is the time in which threads waited in the kernel without being able to be
// interrupted, for storage and for memory that has to be read back.
func (f *finder) storage() {
	if f.Hop.Machine.Of(threadtrace.MeasureUninterruptible) == 0 && f.Syncs(f.Hop) == 0 {
		return // the past need not be looked at
	}
	// Snapshots see all such waits, but few of those that are short.
	seen := f.storing(uninterruptible, func(h *hop.Closed) float64 { return h.Machine.Of(threadtrace.MeasureUninterruptible) }, f.grain())
	timed := f.storing(syncing, f.Syncs, f.grain())
	c := seen
	if timed.Evidence > seen.Evidence {
		c = timed
	}
	if c.Lost <= 0 {
		return
	}
	if f.Storage() >= criteria.ManyTimes {
		return // it asks for more
	}
	// Who waits for what it wrote to be on the device does not wait for memory.
	syncs := timed.Evidence >= f.certain && 2*timed.Lost >= seen.Lost
	device := syncs && f.slowDevice(&c)
	short, dropped := false, false
	if !device {
		short, dropped = f.shortOfMemory(&c)
	}
	switch {
	case short:
		// What it reads for the first time has not been dropped before.
		c.External = dropped && f.Moved() < criteria.ManyTimes && !f.holdsMore()
	case device || f.slowDevice(&c):
		c.External = f.Moved() < criteria.ManyTimes
	default:
		return
	}
	f.add(c)
}

// storing is the time in excess of waits for storage.
func (f *finder) storing(a aspect, time func(*hop.Closed) float64, grain float64) Cause {
	x := f.aspect(a, time)
	expected := (1 + detect.Storing.Margin) * x.mean * max(1, f.Work)
	return Cause{Lost: x.now - expected, Evidence: x.evidenceWith(expected, grain, detect.Storing.Dispersion), Waits: true}
}

// shortOfMemory reports whether the control group's limit, or pages read back or for the
// first time, are beyond their past; dropped whether pages had to be given up before.
func (f *finder) shortOfMemory(c *Cause) (short, dropped bool) {
	best := 0.0
	for _, m := range []threadtrace.Measure{threadtrace.MeasureLimitHits, threadtrace.MeasureRefaults, threadtrace.MeasureMajorFaults} {
		for _, name := range f.names(m) {
			x := f.resource(hop.Resource{Measure: m, Name: name})
			e := x.evidence(x.mean*max(1, f.Work), criteria.Seldom)
			if e < f.certain {
				continue
			}
			short, dropped = true, dropped || m != threadtrace.MeasureMajorFaults
			if e > best {
				best, c.Kind, c.Resource = e, Memory, cmp.Or(name, c.Resource)
			}
		}
	}
	return short, dropped
}

// holdsMore reports whether the service itself holds more memory than it did: then it may
// be why it is short of it.
func (f *finder) holdsMore() bool {
	x := f.measure(threadtrace.MeasureResident)
	return x.mean > 0 && x.grown() > criteria.Little*x.mean
}

// slowDevice finds the device whose operations take longer than in the past, or that the
// control group may use less of.
func (f *finder) slowDevice(c *Cause) bool {
	most, share := 0.0, 0.0
	for _, name := range f.names(threadtrace.MeasureDiskTime) {
		time := f.resource(hop.Resource{Measure: threadtrace.MeasureDiskTime, Name: name})
		moved := f.resource(hop.Resource{Measure: threadtrace.MeasureDiskBytes, Name: name})
		if grown := time.grown(); grown > most && time.evidence(time.mean, f.grain()) >= f.certain {
			most, c.Kind, c.Resource = grown, Disk, name
			own := f.measure(threadtrace.MeasureOwnDiskBytes)
			share = 0
			if moved.grown() > 0 {
				share = own.grown() / moved.grown()
			}
		}
	}
	if c.Kind == Disk && 2*share < 1 {
		c.Users = f.users(threadtrace.MeasureDiskBytes)
		return true
	}
	// A limit of the control group that is new keeps operations from the device at all.
	for _, name := range f.names(threadtrace.MeasureDiskLimit) {
		if f.lowered(hop.Resource{Measure: threadtrace.MeasureDiskLimit, Name: name}) {
			c.Kind, c.Resource = Disk, name
			return true
		}
	}
	return false
}

// lowered reports whether a limit is new, or lower than in the past.
func (f *finder) lowered(limit hop.Resource) bool {
	now := f.Hop.Machine.Figures[limit]
	for _, h := range f.past {
		if was, known := h.Machine.Figures[limit]; known && now >= criteria.NearlyAll*was {
			return false
		}
	}
	return true
}
