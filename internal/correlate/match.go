package correlate

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// MaxMatches bounds the verdicts one span is given, the worst first: a
	// span that stays open for hours would collect them without end.
	MaxMatches = 4
	// leastCover is the part of the shorter of the two, a span's time and an
	// abnormal stretch, that must lie in the other. Below a half, most of it
	// speaks against the match.
	leastCover = 0.5
	// receiveSlack is by how much the clocks of the kernel and of an SDK, and the
	// start of a span and the receipt of its request, may differ: a server span
	// starts once the headers are read.
	receiveSlack = int64(20 * time.Millisecond)
)

// Way is how, beyond the service, a span was found to be the one.
type Way string

const (
	// WayThread is by the thread that the span says it ran on.
	WayThread Way = "thread"
	// WayTraceContext is by a thread that was seen to receive the request.
	WayTraceContext Way = "trace_context"
	// WayTime is by time alone.
	WayTime Way = "time"
)

// Span is what matching needs of a span. Times are nanoseconds since the Unix
// epoch.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte
	Start, End int64
	// ThreadID is its thread.id, zero if it has none.
	ThreadID int64
	// Waits is set on spans that wait for another service (client and
	// producer): their time is not the service's own.
	Waits bool
	// Services are those it can come from, Peers those without spans of
	// their own that it can call.
	Services, Peers []Candidate
}

// bounds is when the span ran; one that ends before it starts is an instant.
func (s *Span) bounds() interval { return interval{s.Start, max(s.Start, s.End)} }

// Match is a verdict on a span.
type Match[T any] struct {
	// Span is the index of the span.
	Span    int
	Verdict Verdict[T]
	// At is when within the span the abnormal stretch begins.
	At int64
	// Overlap is for how many nanoseconds the two coincide, Cover which
	// part that is of the shorter of the two.
	Overlap int64
	Cover   float64
	// Service is the service that the verdict is on, and how it was found;
	// Called tells that the span calls it.
	Service Candidate
	Called  bool
	Way     Way
}

// Confidence is how sure the match is, 0 to 1: how sure the service is meant,
// times the part of the time that coincides.
func (m *Match[T]) Confidence() float64 { return m.Service.Certainty * m.Cover }

// Match finds the spans that the verdicts known belong to. Of the spans of one
// request in a service (those below one that has no parent among them), a
// verdict gets the one whose own time, without that of its children, it covers
// most of; a client span only when there is no other, since what it waits for
// is not the service's doing. Verdicts on a server without spans of its own go
// to all the spans that call it. A request and a span get at most one verdict
// of an episode, a span MaxMatches in all. The matches are in order of span
// and time.
func (l *Ledger[T]) Match(spans []Span) []Match[T] {
	l.mu.RLock()
	defer l.mu.RUnlock()
	bounds, keys := extent(spans)
	var f *forest
	best := newChoice[T]()
	for _, key := range keys {
		a := l.services[key]
		if a == nil {
			continue
		}
		for i := range a.verdicts {
			v := &a.verdicts[i]
			if !v.reaches(bounds) {
				continue // most spans are healthy
			}
			if f == nil {
				f = newForest(spans)
			}
			l.own(a, f, v, best)
			a.called(f, v, best)
		}
	}
	return best.matches()
}

// MatchVerdict is Match for one verdict on a service, which need not be known
// to the ledger.
func (l *Ledger[T]) MatchVerdict(key string, v Verdict[T], spans []Span) []Match[T] {
	v.measure()
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := l.services[key]
	if a == nil {
		return nil
	}
	f := newForest(spans)
	best := newChoice[T]()
	l.own(a, f, &v, best)
	a.called(f, &v, best)
	return best.matches()
}

// extent is the time that spans take together, and the services they name.
func extent(spans []Span) (bounds interval, keys []string) {
	seen := map[string]struct{}{}
	for i := range spans {
		s := &spans[i]
		if i == 0 {
			bounds = interval{s.Start, s.End}
		}
		bounds.start, bounds.end = min(bounds.start, s.Start), max(bounds.end, s.End)
		for _, list := range [][]Candidate{s.Services, s.Peers} {
			for _, c := range list {
				seen[c.Service] = struct{}{}
			}
		}
	}
	return bounds, slices.Sorted(maps.Keys(seen))
}

// measure prepares a verdict for being compared with spans.
func (v *Verdict[T]) measure() {
	v.whole = interval{v.Start, v.End}
	for i, u := range v.Units {
		if i == 0 {
			v.whole = interval{u.Start, u.End}
		}
		v.whole.start, v.whole.end = min(v.whole.start, u.Start), max(v.whole.end, u.End)
	}
}

// follow lets a verdict begin where the last one of its episode ended: what
// was abnormal before and after the end of a hop was so meanwhile, seen or not.
func (v *Verdict[T]) follow(last *Verdict[T]) {
	if last.Episode == v.Episode && last.whole.end <= v.whole.start && last.End >= v.Start {
		v.whole.start = last.whole.end
	}
}

func (v *Verdict[T]) reaches(bounds interval) bool {
	return v.whole.start <= bounds.end && v.whole.end >= bounds.start
}

// stretches are when the thread of a span is abnormal, when that is one of the
// service's, else when any is (runtimes have thread ids of their own).
func (a *account[T]) stretches(v *Verdict[T], s *Span) ([]interval, Way) {
	tid := int32(s.ThreadID) //nolint:gosec // compared below
	_, known := a.facts.Threads[tid]
	if !known || tid == 0 || int64(tid) != s.ThreadID || len(v.Units) == 0 {
		return []interval{v.whole}, WayTime
	}
	var list []interval
	for _, u := range v.Units {
		if u.ThreadID == tid {
			list = append(list, interval{u.Start, u.End})
		}
	}
	return merged(list), WayThread
}

func (a *account[T]) is(c Candidate) bool { return c.Service == a.key }

// received are when the threads are abnormal that received requests of a span's
// trace while it ran. Elsewhere the request may have gone on on another thread.
func (l *Ledger[T]) received(a *account[T], v *Verdict[T], s *Span) []interval {
	var list []interval
	l.requests.of(s.Trace, func(e *received) {
		if e.service != a.key || e.Time < s.Start-receiveSlack || e.Time > max(s.Start, s.End)+receiveSlack {
			return
		}
		for _, u := range v.Units {
			if u.ThreadID == e.Thread {
				list = append(list, interval{u.Start, u.End})
			}
		}
	})
	return merged(list)
}

// own compares a verdict with the spans of its service.
func (l *Ledger[T]) own(a *account[T], f *forest, v *Verdict[T], best *choice[T]) {
	requests := map[int]pick[T]{}
	for i := range f.spans {
		s := &f.spans[i]
		at := slices.IndexFunc(s.Services, a.is)
		if at < 0 {
			continue
		}
		stretches, way := a.stretches(v, s)
		exact := l.received(a, v, s)
		consider := func(times []interval, class int) {
			m, ok := v.held(times, exact)
			by := WayTraceContext
			if !ok || way == WayThread {
				m, ok = v.held(times, stretches)
				by = way
			}
			if !ok {
				return
			}
			m.Span, m.Verdict, m.Service, m.Way = i, *v, s.Services[at], by
			p := pick[T]{match: m, class: class, depth: f.depth[i]}
			root := f.root[i]
			if there, known := requests[root]; !known || p.better(&there) {
				requests[root] = p
			}
		}
		switch {
		case s.Waits:
			consider(f.own[i], classWaits)
		default:
			consider(f.own[i], classOwn)
			if f.root[i] == i {
				consider([]interval{s.bounds()}, classWhole)
			}
		}
	}
	for root, p := range requests {
		best.offer(choiceKey{root: root, episode: a.key + "\x00" + v.Episode}, p.match)
	}
}

// called compares a verdict on a server without spans with those that call it.
func (a *account[T]) called(f *forest, v *Verdict[T], best *choice[T]) {
	for i := range f.spans {
		s := &f.spans[i]
		at := slices.IndexFunc(s.Peers, a.is)
		if at < 0 {
			continue
		}
		m, ok := v.held([]interval{s.bounds()}, []interval{v.whole})
		if !ok {
			continue
		}
		m.Span, m.Verdict, m.Service, m.Called, m.Way = i, *v, s.Peers[at], true, WayTime
		best.offer(choiceKey{root: i, episode: a.key + "\x00" + v.Episode, called: true}, m)
	}
}

// The order in which the spans of a request are preferred.
const (
	classOwn   = iota // work of its own
	classWhole        // the whole request, its waiting for others included
	classWaits        // a wait for another service
)

// pick is a span that may be given a verdict.
type pick[T any] struct {
	match Match[T]
	class int
	depth int
}

func (p *pick[T]) better(o *pick[T]) bool {
	return cmp.Or(cmp.Compare(o.class, p.class), cmp.Compare(p.match.Overlap, o.match.Overlap), cmp.Compare(p.depth, o.depth)) > 0
}

// held compares the time of a span with abnormal stretches; false when too
// little of it coincides.
func (v *Verdict[T]) held(times, stretches []interval) (m Match[T], ok bool) {
	overlap, at, touch := common(times, stretches)
	if !touch {
		return m, false
	}
	m.At, m.Overlap, m.Cover = at, overlap, 1
	if shorter := min(length(times), length(stretches)); shorter > 0 {
		m.Cover = float64(overlap) / float64(shorter)
	}
	return m, m.Cover >= leastCover
}

// choice keeps the worst verdict per request and episode.
type choice[T any] struct{ best map[choiceKey]Match[T] }

type choiceKey struct {
	root    int
	episode string
	called  bool
}

func newChoice[T any]() *choice[T] { return &choice[T]{best: map[choiceKey]Match[T]{}} }

func (c *choice[T]) offer(k choiceKey, m Match[T]) {
	if there, known := c.best[k]; !known || m.Verdict.Score > there.Verdict.Score {
		c.best[k] = m
	}
}

// matches are the worst of each span, in order of span and time.
func (c *choice[T]) matches() []Match[T] {
	if len(c.best) == 0 {
		return nil
	}
	found := slices.SortedFunc(maps.Values(c.best), func(a, b Match[T]) int {
		return cmp.Or(cmp.Compare(a.Span, b.Span), cmp.Compare(b.Verdict.Score, a.Verdict.Score),
			cmp.Compare(a.At, b.At), cmp.Compare(a.Verdict.Episode, b.Verdict.Episode))
	})
	var kept []Match[T]
	n := 0
	for i := range found {
		if i > 0 && found[i].Span != found[i-1].Span {
			n = 0
		}
		if n++; n <= MaxMatches {
			kept = append(kept, found[i])
		}
	}
	slices.SortStableFunc(kept, func(a, b Match[T]) int {
		return cmp.Or(cmp.Compare(a.Span, b.Span), cmp.Compare(a.At, b.At))
	})
	return kept
}
