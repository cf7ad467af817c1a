package inference

import (
	"github.com/perfscope/perfscope/pkg/inference/internal/detect"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
)

const (
	// maxFigures bounds the hops whose figures are kept: an hour of five seconds.
	maxFigures = 720
	// maxEpisodes bounds the episodes that are over and still known.
	maxEpisodes = 4
	// maxSamples bounds the stacks kept of an episode that is over: those with the
	// least time go first.
	maxSamples = 2048
)

// HopFigures are what one hop said of the service as a whole.
type HopFigures struct {
	// Start and End bound the hop, in nanoseconds since the Unix epoch.
	Start, End int64
	// Judged is set when there was a past to compare with: the figures of the next
	// two lines are zero without. Abnormal is set for the hops of an anomaly.
	Judged, Abnormal bool
	// Score and Confidence are those that an anomaly of this hop would have; Load is
	// the work relative to the usual.
	Score, Confidence, Load float64
	// Waiting is the time that threads waited amid work, Excess the time beyond the
	// past, in seconds per second.
	Waiting, Excess float64
	// CPU is the exact CPU time, in seconds per second.
	CPU float64
	// Traced is the share of the time in which calls were recorded, Lost the share of
	// these calls that were lost; 0 to 1.
	Traced, Lost float64

	// cpuLoad and waitLoad are by how much the load lets CPU time and waits grow.
	cpuLoad, waitLoad float64
}

// recent is what is kept of the last hops and episodes, to be shown. It is no part
// of any decision.
type recent struct {
	figures []HopFigures
	// hops are the last ones, those of episodes among them, without what is known of
	// single threads.
	hops     []*hop.Closed
	episodes []Episode
	now      HopFigures
}

// begin starts the figures of a hop.
func (r *recent) begin(c *hop.Closed) {
	r.now = HopFigures{Start: c.Start, End: c.End, CPU: c.CPUTotal / 1e9, Traced: min(1, ratio(c.CallSeconds, c.Seconds)), Lost: c.Lost, cpuLoad: 1, waitLoad: 1}
}

// judged adds what the comparison with the past says.
func (r *recent) judged(v *verdict) {
	f := &r.now
	f.Judged, f.Score, f.Confidence, f.Load = true, Round(v.Score()), Round(v.Evidence), v.byPast().Load.Work
	f.Waiting, f.Excess = max(0, v.Active-v.CPU)/1e9, (v.CPUExcess+v.WaitExcess)/1e9
	f.cpuLoad, f.waitLoad = loads(&v.byPast().Verdict)
}

func loads(v *detect.Verdict) (cpu, wait float64) { return v.Load.Work * v.Load.Slow, v.Load.Waits }

// abnormal marks the hops from an instant on, the one at hand among them.
func (r *recent) abnormal(since int64) {
	r.now.Abnormal = true
	for i := len(r.figures) - 1; i >= 0 && r.figures[i].Start >= since; i-- {
		r.figures[i].Abnormal = true
	}
}

// end keeps a hop, of which as many are kept as the past has at most.
func (r *recent) end(c *hop.Closed, limit int) {
	r.figures = appendBounded(r.figures, r.now, maxFigures)
	kept := *c
	kept.DropThreads()
	kept.Units = nil
	r.hops = appendBounded(r.hops, &kept, limit)
}

// appendBounded appends to a list of which the oldest go. Half as many again are held
// before they are moved, so that this happens seldom; who has a part of the list keeps
// it as it is.
func appendBounded[T any](list []T, x T, limit int) []T {
	if len(list) >= limit+limit/2 {
		list = append(make([]T, 0, limit+limit/2+1), list[len(list)-limit:]...)
	}
	return append(list, x)
}

// last are the last elements of a list, at most limit.
func last[T any](list []T, limit int) []T { return list[max(0, len(list)-limit):] }

// keepEpisode keeps an episode that is over, with what it was made of.
func (a *Analyzer) keepEpisode(e *episode, over Anomaly) {
	if e.reported == 0 || e.merged == nil {
		return
	}
	over.Units = nil
	whole := a.compare(e.normal, e.merged)
	cpu, wait := loads(&whole.Verdict)
	p := profiler{stacks: a.stacks.Frozen(), arch: a.arch, idle: e.normal.idling.At, may: a.habit.may}
	kept := p.profile([]*hop.Closed{e.merged}, whole.past, cpu, wait)
	kept.keep(maxSamples)
	a.recent.episodes = append(last(a.recent.episodes, maxEpisodes-1), Episode{Anomaly: over, Profile: kept})
}

// bytes estimates the memory that the past does not hold anyway.
func (r *recent) bytes(past []*hop.Closed) int64 {
	const perFigures, perCell, perSample = 96, 64, 72
	n := perFigures * int64(cap(r.figures))
	for _, c := range r.hops { // as those of the past in the order of time
		for len(past) > 0 && past[0].Start < c.Start {
			past = past[1:]
		}
		if len(past) == 0 || past[0].Start != c.Start {
			n += perCell * int64(c.CPU.Len()+len(c.Wait)+len(c.Calls)+c.Sites.Len())
		}
	}
	for i := range r.episodes {
		n += perSample * int64(len(r.episodes[i].Profile.Samples))
	}
	return n
}
