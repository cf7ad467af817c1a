package inference

import (
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/memory"
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
	// outlineEvery is how often an outline is encoded.
	outlineEvery = 10 * time.Minute
)

// outline is what the service did in its weeks: of each hour of the week the busiest hop
// that was normal, of the last week that had one.
type outline struct {
	hours [week]*hop.Closed
	// hour is the present one, since the Unix epoch; best is its hop so far, busy how busy.
	hour int64
	best *hop.Closed
	busy float64
	// encoded is what was written last, of what was known at an instant; nanoseconds since
	// the Unix epoch. unread is set while it is of a memory and not in hours.
	encoded []byte
	at      int64
	unread  bool
}

func hourOf(at int64) int64 { return at / int64(time.Hour) }

// slot is the hour of the week of an hour since the Unix epoch.
func slot(hour int64) int {
	return int((hour%week + week) % week)
}

// note takes a normal hop; idle tells where threads may wait for work.
func (o *outline) note(c *hop.Closed, idle func(hop.Place) bool) {
	if o.at == 0 {
		o.at = c.Start // who goes on from many memories at once reads them later
	}
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

// encodeOutline is the outline as a memory of its own, nil when there is none.
func (a *Analyzer) encodeOutline() []byte {
	o := &a.outline
	if o.encoded != nil && a.lastClosed-o.at < int64(outlineEvery) {
		return o.encoded
	}
	a.readOutline()
	hops := o.all()
	if len(hops) == 0 {
		return nil
	}
	s := frames.NewSaver(a.stacks)
	m := memory.Memory{Program: a.inherited.program, Arch: a.arch, HopLength: int64(a.cfg.Hop)}
	for _, c := range hops {
		m.Hops = append(m.Hops, memory.Save(s, c))
	}
	m.Saved = s.Saved
	data, err := m.EncodeWithin(memory.MaxOutline)
	if err != nil {
		return o.encoded // a single hop takes more than there is room for
	}
	o.encoded, o.at = data, a.lastClosed
	return data
}

// recallOutline takes an outline, which is read when it is needed; if there is one already,
// what it lacks.
func (a *Analyzer) recallOutline(data []byte) {
	o := &a.outline
	if len(data) == 0 {
		return
	}
	if o.encoded == nil && len(o.all()) == 0 {
		o.encoded, o.at, o.unread = data, 0, true
		return
	}
	a.readOutline()
	a.addOutline(data)
}

// readOutline reads what was recalled.
func (a *Analyzer) readOutline() {
	if a.outline.unread {
		a.outline.unread = false
		a.addOutline(a.outline.encoded)
	}
}

func (a *Analyzer) addOutline(data []byte) {
	m, err := memory.Decode(data)
	if err != nil {
		return // damaged: the weeks are learned anew
	}
	r := a.restore(&Memory{m})
	for i := range m.Hops {
		a.outline.add(m.Hops[i].Restore(r))
	}
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
	kept.DropThreads()
	kept.Units = nil
	kept.ThreadCPU, kept.Homes, kept.Spinning = nil, nil, nil
	least := trifle * c.CPUTotal
	enough := func(_ uint32, t float64) bool { return t >= least }
	kept.CPU, kept.FreshCPU = c.CPU.Those(enough), c.FreshCPU.Those(enough)
	return &kept
}

// tryOutline returns the trial of a hop of the weeks that explains one, nil when none does.
func (a *Analyzer) tryOutline(e *episode, v *verdict, c *hop.Closed) *trial {
	a.readOutline()
	for _, h := range slices.Backward(a.outline.alike(c, e.normal.hops())) {
		if t := a.newTrial(e.normal, []*hop.Closed{h}); a.explains(t, v, c) {
			return t
		}
	}
	return nil
}

// isOfItsWeeks reports whether an abnormal hop is what the service did at such times
// before. After a while of that it is learned: the service is as it is then.
func (a *Analyzer) isOfItsWeeks(e *episode, v *verdict, c *hop.Closed) bool {
	r := &e.seen
	if r.trial == nil || hourOf(c.Start) != r.hour || !a.explains(r.trial, v, c) {
		r.trial, r.hour = a.tryOutline(e, v, c), hourOf(c.Start)
	}
	r.known = r.trial != nil
	if !r.known {
		return false
	}
	e.until = c.End
	a.outline.note(c, a.habit.may.At)
	if r.hops = append(r.hops, c); len(r.hops) >= criteria.PriorHops {
		for _, h := range r.hops {
			a.remember(h)
		}
		a.episode = nil
		a.detector.Reset()
		a.machine.Reset()
	}
	return true
}
