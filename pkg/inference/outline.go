package inference

import (
	"maps"
	"slices"
	"time"

	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

const (
	// trifle is the part of a hop's time below which a stack is left out of the outline.
	trifle = 0.002
	// busier is how many times as much work as ever in its past a hop must have to be
	// compared with hops of the weeks that had as much, asMuch by what factor these may
	// differ.
	busier, asMuch = 1.5, 1.25
	// week is in hours.
	week = 7 * 24
	// accepted is for how many hops a service must be as its weeks are to be learned.
	accepted = 2 * minPast
)

// outline is what the service did in its weeks: of each hour of the week the busiest hop
// that was normal, of the last week that had one.
type outline struct {
	hours [week]*hop.Closed
	// hour is the present one, since the Unix epoch; best is its hop so far, busy how busy.
	hour int64
	best *hop.Closed
	busy float64
}

func hourOf(at int64) int64 { return at / int64(time.Hour) }

// slot is the hour of the week of an hour since the Unix epoch.
func slot(hour int64) int {
	return int((hour%week + week) % week)
}

// note takes a normal hop; idle tells where threads may wait for work.
func (o *outline) note(c *hop.Closed, idle func(hop.Place) bool) {
	busy := c.CPUTotal
	for at, w := range c.Wait {
		if !idle(at) {
			busy += w.Time
		}
	}
	if hour := hourOf(c.Start); o.best == nil || hour != o.hour {
		o.close()
		o.hour = hour
	} else if busy <= o.busy {
		return
	}
	o.best, o.busy = sketchOf(c), busy
}

// close ends the present hour. What is known of it already, by a memory, may be busier.
func (o *outline) close() {
	if o.best == nil {
		return
	}
	at := &o.hours[slot(o.hour)]
	if *at == nil || hourOf((*at).Start) != o.hour || (*at).CPUTotal < o.best.CPUTotal {
		*at = o.best
	}
	o.best = nil
}

// add takes a hop of a memory. The second of an hour of the week is that of the hour in
// which the memory was written.
func (o *outline) add(c *hop.Closed) {
	hour := hourOf(c.Start)
	switch at := &o.hours[slot(hour)]; {
	case *at == nil:
		*at = c
	case (*at).Start < c.Start && o.best == nil:
		o.best, o.hour, o.busy = c, hour, c.CPUTotal
	}
}

// all are the hops, the oldest first.
func (o *outline) all() (hops []*hop.Closed) {
	for _, c := range o.hours {
		if c != nil {
			hops = append(hops, c)
		}
	}
	if o.best != nil {
		hops = append(hops, o.best)
	}
	slices.SortFunc(hops, func(a, b *hop.Closed) int { return int(min(1, max(-1, a.Start-b.Start))) })
	return hops
}

// alike are hops of another day that are of about the hour of a hop, whatever the day; and
// when it has more work than its past those that had as much at any hour.
func (o *outline) alike(c *hop.Closed, past []*hop.Closed) (hops []*hop.Closed) {
	const day = int64(24 * time.Hour)
	unusual := workOf(c) > busier*mostWork(past)
	for _, h := range o.hours {
		if h == nil || c.Start-h.Start < apart {
			continue
		}
		by := (c.Start - h.Start) % day
		near := min(by, day-by) <= sameHour
		if w := workOf(h) / max(1e-9, workOf(c)); near || unusual && w >= 1/asMuch && w <= asMuch {
			hops = append(hops, h)
		}
	}
	return hops
}

// workOf is what a hop was asked for, per second.
func workOf(c *hop.Closed) (most float64) {
	for _, m := range hop.WorkMeasures {
		most = max(most, c.Measures[m.Count])
	}
	return most
}

func mostWork(hops []*hop.Closed) (most float64) {
	for _, h := range hops {
		most = max(most, workOf(h))
	}
	return most
}

// sketchOf is a hop without single threads, and without what took next to no time.
func sketchOf(c *hop.Closed) *hop.Closed {
	kept := *c
	kept.Cells, kept.Refused, kept.Orders, kept.Units = nil, nil, nil, nil
	kept.ThreadCPU, kept.Homes, kept.Spinning = nil, nil, nil
	least := trifle * c.CPUTotal
	few := func(_ uint32, t float64) bool { return t < least }
	kept.CPU, kept.FreshCPU = maps.Clone(c.CPU), maps.Clone(c.FreshCPU)
	maps.DeleteFunc(kept.CPU, few)
	maps.DeleteFunc(kept.FreshCPU, few)
	return &kept
}

// tryOutline returns the trial of what the service did at such times, nil when nothing is
// known of them.
func (a *Analyzer) tryOutline(e *episode, c *hop.Closed) *trial {
	past := e.normal.hops()
	if hops := a.outline.alike(c, past); len(hops) > 0 {
		return a.newTrial(e, past, hops)
	}
	return nil
}

// isOfItsWeeks reports whether an abnormal hop is what the service did at such times
// before. After a while of that it is learned: the service is as it is then.
func (a *Analyzer) isOfItsWeeks(e *episode, c *hop.Closed) bool {
	r := &e.seen
	if r.trial == nil || hourOf(c.Start) != r.hour {
		r.trial, r.hour = a.tryOutline(e, c), hourOf(c.Start)
	}
	r.known = r.trial != nil && a.explains(r.trial, c)
	if !r.known {
		return false
	}
	e.until = c.End
	a.outline.note(c, a.habit.may.At)
	if r.hops = append(r.hops, c); len(r.hops) >= accepted {
		for _, h := range r.hops {
			a.remember(h)
		}
		a.episode = nil
		a.detector.Reset()
		a.machine.Reset()
	}
	return true
}
