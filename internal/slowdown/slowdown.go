// Package slowdown learns how long the spans of services usually take, and
// which anomalies make them take longer.
package slowdown

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/usual"
)

// quantiles of the healthy times that the times within an anomaly are compared
// with: the lower tell that many spans take a little longer, the upper that
// some take much longer. Half of the spans are above the median: it tells little.
var quantiles = [...]float64{0.75, 0.9, 0.98}

const (
	// slow is the index of the quantile that a span is slow above.
	slow = 1
	// So many standard deviations beyond what chance puts above a quantile
	// happen once in a thousand times.
	significant = 3
	// leastSlowed is which part of the spans an anomaly must slow down: the
	// quantiles are known from 256 samples, and off by a fifth of it.
	leastSlowed = 0.1
	// A kind whose slow spans take less than a hundredth of the time of those of
	// the most slowed kind is not what the anomaly slows: processors that are
	// busier cost microseconds everywhere.
	negligible = 100
	// littleLost is the part of the time that a kind of spans lost which does not
	// count: those that lost least, and together no more than it, were not slowed.
	// Of spans that all lose as much these are as few.
	littleLost = 0.01
	// fewSpans of a kind say nothing of all.
	fewSpans = 10
	// maxHabits bounds the kinds of span whose usual time is held: 2 kB each.
	maxHabits = 8192
	// maxTimes bounds the latest times of a kind within an episode: as many as the
	// healthy ones that they are compared with.
	maxTimes = 256
	// maxSlowing bounds the episodes of which it is known, maxKinds the kinds
	// of spans of each.
	maxSlowing = 256
	maxKinds   = 64
	// decideEvery is how often the spans held are looked at to learn whether an
	// anomaly slows any.
	decideEvery = time.Second
)

// Detector tells the spans that an anomaly slowed down from the others that ran
// meanwhile: those of another kind, those that slipped through, or those from
// before it began. An anomaly that slows none (a loop in the background) is that
// of all. It is bounded and safe for concurrent use; T is the value of verdicts.
type Detector[T any] struct {
	mu       sync.Mutex
	habits   *usual.Times
	episodes map[string]map[string]*tally
	decided  time.Time
}

// tally counts the spans of a kind within an episode: all, and those above
// each of the quantiles, and keeps the latest times, in nanoseconds.
type tally struct {
	all   int
	above [len(quantiles)]int
	times []int64
	// limit is what separates the slowed ones, zero when it has to be found.
	limit int64
}

// New knows nothing yet.
func New[T any]() *Detector[T] {
	return &Detector[T]{habits: usual.New(maxHabits), episodes: map[string]map[string]*tally{}}
}

// Spans are spans with the kind that the time of each is compared within, and
// the anomalies that were matched with them.
type Spans[T any] struct {
	Kinds   []string
	Spans   []correlate.Span
	Matches []correlate.Match[T]
}

func (t *Spans[T]) of(m *correlate.Match[T]) (episode, kind string, ns int64) {
	return m.Verdict.Episode, t.Kinds[m.Span], lasts(&t.Spans[m.Span])
}

func lasts(s *correlate.Span) int64 { return s.End - s.Start }

// Count enters the times of spans within anomalies.
func (d *Detector[T]) Count(t *Spans[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range t.Matches {
		d.enter(t.of(&t.Matches[i]))
	}
}

func (d *Detector[T]) enter(episode, kind string, ns int64) {
	if _, known := d.habits.Usual(kind, quantiles[slow]); !known {
		return
	}
	kinds := d.episodes[episode]
	if kinds == nil {
		if len(d.episodes) >= maxSlowing {
			clear(d.episodes) // learned anew within seconds
		}
		kinds = map[string]*tally{}
		d.episodes[episode] = kinds
	}
	t := kinds[kind]
	if t == nil {
		if len(kinds) >= maxKinds {
			return
		}
		t = &tally{}
		kinds[kind] = t
	}
	for i, q := range quantiles {
		if limit, _ := d.habits.Usual(kind, q); ns > limit {
			t.above[i]++
		}
	}
	if len(t.times) < maxTimes {
		t.times = append(t.times, ns)
	} else {
		t.times[t.all%maxTimes] = ns
	}
	t.all++
	t.limit = 0
}

// slowed reports whether more of the spans take long than healthy ones do.
func (t *tally) slowed() bool {
	n := float64(t.all)
	for i, q := range quantiles {
		beyond := float64(t.above[i])/n - (1 - q)
		if t.all >= fewSpans && beyond >= significant*math.Sqrt(q*(1-q)/n) && beyond/q >= leastSlowed {
			return true
		}
	}
	return false
}

// separate is the time from which on a span of a kind within an episode is one
// of those slowed: the one that tells most of them right, but for those that lost
// next to nothing.
func (d *Detector[T]) separate(kind string, t *tally) int64 {
	if t.limit != 0 {
		return t.limit
	}
	times := slices.Clone(t.times)
	slices.Sort(times)
	// The others are as many as there are below the time that sets both apart best
	// (Youden's index).
	at := d.apart(kind, times, 1)
	others, below := 1.0, float64(at)/float64(len(times))
	if healthy, _ := d.habits.Below(kind, times[at]); healthy > 0 {
		others = min(1, below/healthy)
	}
	// Each slowed span above counts as much as each of the others below (Bayes).
	t.limit = max(1, times[d.apart(kind, times, 2*others)])
	if usual, known := d.habits.Usual(kind, 0.5); known {
		t.limit = max(t.limit, leastLost(times, usual))
	}
	return t.limit
}

// apart is the index of the time, of those in order, below which there are most of the
// healthy spans, which count so much, and fewest of the others.
func (d *Detector[T]) apart(kind string, times []int64, healthyCount float64) (at int) {
	best := math.Inf(-1)
	for i, ns := range times {
		healthy, _ := d.habits.Below(kind, ns)
		if apart := healthyCount*healthy - float64(i)/float64(len(times)); apart > best {
			best, at = apart, i
		}
	}
	return at
}

// leastLost is the shortest of the times, which are in order, that is no part of
// littleLost.
func leastLost(times []int64, usual int64) int64 {
	lost := func(ns int64) float64 { return float64(max(0, ns-usual)) }
	all, sum := 0.0, 0.0
	for _, ns := range times {
		all += lost(ns)
	}
	for _, ns := range times {
		if sum += lost(ns); sum > littleLost*all {
			return ns
		}
	}
	return 0
}

// slows reports whether an episode slows any kind of spans, as far as is known.
func (d *Detector[T]) slows(episode string) bool {
	for _, t := range d.episodes[episode] {
		if t.slowed() {
			return true
		}
	}
	return false
}

// Undecided reports whether any of the anomalies matched is not known to slow
// spans down, and it is time to look at those held.
func (d *Detector[T]) Undecided(t *Spans[T], now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.decided) < decideEvery {
		return false
	}
	for i := range t.Matches {
		if !d.slows(t.Matches[i].Verdict.Episode) {
			d.decided = now
			return true
		}
	}
	return false
}

// Sift returns the matches with spans that their anomalies slowed down, and
// learns from the spans that have none.
func (d *Detector[T]) Sift(t *Spans[T]) []correlate.Match[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	matched := make(map[int]bool, len(t.Matches))
	for i := range t.Matches {
		matched[t.Matches[i].Span] = true
	}
	for i := range t.Spans {
		if !matched[i] {
			d.habits.Note(t.Kinds[i], time.Unix(0, t.Spans[i].End), lasts(&t.Spans[i]))
		}
	}
	kept := t.Matches[:0]
	for _, m := range t.Matches {
		if d.keeps(t.of(&m)) {
			kept = append(kept, m)
		}
	}
	return kept
}

// keeps reports whether a span within an episode is one of those slowed down,
// as far as is known.
func (d *Detector[T]) keeps(episode, kind string, ns int64) bool {
	limit, known := d.habits.Usual(kind, quantiles[slow])
	if !known || !d.slows(episode) {
		return true
	}
	switch t := d.episodes[episode][kind]; {
	case t == nil || t.all < fewSpans:
		return ns > limit
	case t.slowed():
		limit := d.separate(kind, t)
		return ns >= limit && limit >= d.longest(episode)/negligible
	}
	return false
}

// longest is the longest of the times that separate the slowed spans of an
// episode's kinds.
func (d *Detector[T]) longest(episode string) (most int64) {
	for kind, t := range d.episodes[episode] {
		if t.slowed() {
			most = max(most, d.separate(kind, t))
		}
	}
	return most
}

// IsSlow reports whether a span took longer than most of its kind do.
func (d *Detector[T]) IsSlow(kind string, of *correlate.Span) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	limit, known := d.habits.Usual(kind, quantiles[slow])
	return known && lasts(of) > limit
}
