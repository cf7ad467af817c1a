package perfscopeprocessor

import (
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/usual"
)

// quantiles of the healthy times that the times within an anomaly are held
// against: the lower tell that many spans take a little longer, the upper that
// some take much longer. Half of the spans are above the median: it tells little.
var quantiles = [...]float64{0.75, 0.9, 0.98}

const (
	// slow is the index of the quantile that a span is slow above.
	slow = 1
	// So many standard deviations beyond what chance puts above a quantile
	// happen once in a thousand times.
	significant = 3
	// leastSlowed is which part of the spans an anomaly must slow down: the
	// quantiles are known from 64 samples, and off by half of it.
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
	// maxTimes bounds the latest times of a kind within an episode: the healthy
	// ones that they are held against are a quarter as many.
	maxTimes = 256
	// maxSlowing bounds the episodes of which it is known, maxKinds the kinds
	// of spans of each.
	maxSlowing = 256
	maxKinds   = 64
	// peekEvery is how often the spans held are looked at to learn whether an
	// anomaly slows any, peekSpans about how many at most: milliseconds.
	peekEvery = time.Second
	peekSpans = 4096
)

// slower knows how long the spans of the services usually take, and which
// anomalies make them take longer. Such an anomaly is appended only to spans
// that lost time: not to those of another kind, to those that slipped through,
// or from before it began. One that slows none (a loop in the background) is
// appended to all that ran meanwhile.
type slower struct {
	mu       sync.Mutex
	habits   *usual.Times
	episodes map[string]map[string]*tally
	peeked   time.Time
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

func newSlower() *slower {
	return &slower{habits: usual.New(maxHabits), episodes: map[string]map[string]*tally{}}
}

// timed are spans, what their times are compared within, and the matches found.
type timed struct {
	kinds   []string
	spans   []correlate.Span
	matches []correlate.Match[pcommon.Map]
}

func (t *timed) of(m *correlate.Match[pcommon.Map]) (episode, kind string, ns int64) {
	return m.Verdict.Episode, t.kinds[m.Span], lasts(&t.spans[m.Span])
}

func lasts(s *correlate.Span) int64 { return s.End - s.Start }

// count enters the times of spans within anomalies.
func (s *slower) count(t *timed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t.matches {
		s.enter(t.of(&t.matches[i]))
	}
}

func (s *slower) enter(episode, kind string, ns int64) {
	if _, known := s.habits.Usual(kind, quantiles[slow]); !known {
		return
	}
	kinds := s.episodes[episode]
	if kinds == nil {
		if len(s.episodes) >= maxSlowing {
			clear(s.episodes) // learned anew within seconds
		}
		kinds = map[string]*tally{}
		s.episodes[episode] = kinds
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
		if limit, _ := s.habits.Usual(kind, q); ns > limit {
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
// of those slowed: the one below which there are most of the healthy spans and
// fewest of the others (Youden's index), but for those that lost next to nothing.
func (s *slower) separate(kind string, t *tally) int64 {
	if t.limit != 0 {
		return t.limit
	}
	times := slices.Clone(t.times)
	slices.Sort(times)
	best := -1.0
	for i, ns := range times {
		healthy, _ := s.habits.Below(kind, ns)
		if apart := healthy - float64(i)/float64(len(times)); apart > best {
			best, t.limit = apart, max(1, ns)
		}
	}
	if usual, known := s.habits.Usual(kind, 0.5); known {
		t.limit = max(t.limit, leastLost(times, usual))
	}
	return t.limit
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
func (s *slower) slows(episode string) bool {
	for _, t := range s.episodes[episode] {
		if t.slowed() {
			return true
		}
	}
	return false
}

// undecided reports whether any of the anomalies matched is not known to slow
// spans down, and it is time to look at those held.
func (s *slower) undecided(t *timed, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.peeked) < peekEvery {
		return false
	}
	for i := range t.matches {
		if !s.slows(t.matches[i].Verdict.Episode) {
			s.peeked = now
			return true
		}
	}
	return false
}

// sift returns the matches with spans that their anomalies slowed down, and
// learns from the spans that have none.
func (s *slower) sift(t *timed) []correlate.Match[pcommon.Map] {
	s.mu.Lock()
	defer s.mu.Unlock()
	matched := make(map[int]bool, len(t.matches))
	for i := range t.matches {
		matched[t.matches[i].Span] = true
	}
	for i := range t.spans {
		if !matched[i] {
			s.habits.Note(t.kinds[i], time.Unix(0, t.spans[i].End), lasts(&t.spans[i]))
		}
	}
	kept := t.matches[:0]
	for _, m := range t.matches {
		if s.keeps(t.of(&m)) {
			kept = append(kept, m)
		}
	}
	return kept
}

// keeps reports whether a span within an episode is one of those slowed down,
// as far as is known.
func (s *slower) keeps(episode, kind string, ns int64) bool {
	limit, known := s.habits.Usual(kind, quantiles[slow])
	if !known || !s.slows(episode) {
		return true
	}
	switch t := s.episodes[episode][kind]; {
	case t == nil || t.all < fewSpans:
		return ns > limit
	case t.slowed():
		limit := s.separate(kind, t)
		return ns >= limit && limit >= s.longest(episode)/negligible
	}
	return false
}

// longest is the longest of the times that separate the slowed spans of an
// episode's kinds.
func (s *slower) longest(episode string) (most int64) {
	for kind, t := range s.episodes[episode] {
		if t.slowed() {
			most = max(most, s.separate(kind, t))
		}
	}
	return most
}

// isSlow reports whether a span took longer than most of its kind do.
func (s *slower) isSlow(kind string, of *correlate.Span) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, known := s.habits.Usual(kind, quantiles[slow])
	return known && lasts(of) > limit
}

// kinds appends what the time of each span of a lot is compared within: those
// of the same name and kind of the same service.
func (l *lot) kinds(dst []string) []string {
	for _, span := range l.spans {
		dst = append(dst, l.kind(span))
	}
	return dst
}

func (l *lot) kind(span ptrace.Span) string {
	return l.from + "\x00" + strconv.Itoa(int(span.Kind())) + "\x00" + span.Name()
}
