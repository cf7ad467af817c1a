package inference

import (
	"math"
	"slices"
	"time"

	"github.com/perfscope/perfscope/internal/frames"
	"github.com/perfscope/perfscope/pkg/inference/internal/baseline"
	"github.com/perfscope/perfscope/pkg/inference/internal/criteria"
	"github.com/perfscope/perfscope/pkg/inference/internal/hop"
	"github.com/perfscope/perfscope/pkg/inference/internal/memory"
	"github.com/perfscope/perfscope/pkg/inference/internal/release"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// Release is what a release changed: the cost of a unit of work with the build before
// and with the one after it, and the functions behind the difference.
type Release struct {
	release.Result
	// Verdict is what it comes to.
	Verdict Verdict
}

// ReleaseCost is what a unit of work costs before and after, in seconds.
type ReleaseCost = release.Cost

// ReleaseCall is how often a system call is made per unit of work.
type ReleaseCall = release.Call

// ReleaseFunction is a function that became dearer or cheaper.
type ReleaseFunction = release.Function

// Verdict is what a release comes to.
type Verdict string

// The verdicts. No change means none above Release.Smallest.
const (
	VerdictDearer   Verdict = "dearer"
	VerdictCheaper  Verdict = "cheaper"
	VerdictMixed    Verdict = "mixed"
	VerdictNoChange Verdict = "no_change"
)

const (
	// releaseStart is how long after its start a build is not compared: it reads its
	// configuration and fills its caches.
	releaseStart = 30 * time.Second
	// releaseMost is when it is said what is known, releaseLeast how many hops there must
	// be for it to be said that nothing changed.
	releaseMost  = 30 * time.Minute
	releaseLeast = 60
	// smallEnough is the smallest change that would have been seen, from which on it is
	// said that there is none.
	smallEnough = 0.03
	// plain is by how many standard errors a change must be one to be told when it is
	// seen first; else it must be there the next time, too.
	plain = 8.0
	// maxReleaseHops bounds the hops of a new build that are held.
	maxReleaseHops = 360
)

// succession is a build that follows another.
type succession struct {
	before, after []*hop.Closed
	// next is at how many hops it is looked at, dearer whether it was the last time.
	next int
	seen Verdict
}

// Succeed has what is recalled be that of another build: what the service costs now is
// compared with it. Call it after Recall, and Release after Advance.
func (a *Analyzer) Succeed() {
	if len(a.habit.hops) >= minPast {
		a.succession = &succession{before: slices.Clone(a.habit.hops), next: criteria.PriorHops}
	}
}

// Release is what the release changed, once: when that is certain, or no more can be
// said. It is false before, and after.
func (a *Analyzer) Release() (Release, bool) {
	s := a.succession
	if s == nil || len(s.after) < s.next {
		return Release{}, false
	}
	s.next += s.next / 2
	r, ok := a.compareBuilds(s.before, s.after)
	if !ok {
		return Release{}, false
	}
	late := s.after[len(s.after)-1].End-s.after[0].Start >= int64(releaseMost) || len(s.after) >= maxReleaseHops
	again := r.Verdict == s.seen
	s.seen = r.Verdict
	switch {
	case late:
	case r.Verdict == VerdictNoChange:
		if r.Smallest > smallEnough || len(s.after) < releaseLeast {
			return Release{}, false
		}
	case !again && r.Strength < plain:
		return Release{}, false
	}
	a.succession = nil
	return r, true
}

// note takes a hop of the new build.
func (s *succession) note(c *hop.Closed, age int64) {
	if age >= 0 && age < int64(releaseStart) {
		return
	}
	kept := *c
	kept.DropThreads()
	kept.Units = nil
	s.after = append(s.after, &kept)
}

func (a *Analyzer) compareBuilds(before, after []*hop.Closed) (Release, bool) {
	idling := baseline.NewIdling(slices.Concat(before, after), a.habit.may, a.interprets(before))
	return compared(release.Compare(a.stacks, idling.At, before, after))
}

func compared(r release.Result, ok bool) (Release, bool) {
	out := Release{Result: r, Verdict: VerdictNoChange}
	switch {
	case len(r.Dearer) > 0 && len(r.Cheaper) > 0:
		out.Verdict = VerdictMixed
	case len(r.Dearer) > 0:
		out.Verdict = VerdictDearer
	case len(r.Cheaper) > 0:
		out.Verdict = VerdictCheaper
	}
	return out, ok
}

// CompareMemories compares what is known of one build with what is known of another. It
// is false when there is too little of either, or they are of different architectures.
func CompareMemories(before, after *Memory) (Release, bool) {
	if before.of.Arch != after.of.Arch {
		return Release{}, false
	}
	stacks, classes := frames.NewTable(), threadtrace.NewClasses(before.of.Arch)
	restored := func(m *memory.Memory) (hops []*hop.Closed) {
		saved := m.Saved.Renamed(m.Program, after.of.Program)
		r := stacks.Restore(&saved)
		for i := range m.Hops {
			hops = append(hops, m.Hops[i].Restore(r))
		}
		return hops
	}
	a := &Analyzer{stacks: stacks, classes: classes}
	a.habit.may = baseline.MayIdle{Classes: classes, Stacks: stacks}
	return a.compareBuilds(restored(before.of), restored(after.of))
}

// SmallestPercent is Smallest as a percentage a person would say, rounded up.
func (r *Release) SmallestPercent() int { return int(math.Ceil(100 * r.Smallest)) }
