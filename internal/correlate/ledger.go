package correlate

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/perfscope/perfscope/internal/suspect"
)

const (
	// MaxVerdicts bounds the verdicts kept per service; the oldest go first.
	MaxVerdicts = 64
	// MaxMatches bounds the verdicts one span is given, the worst first: a
	// span that stays open for hours would collect them without end.
	MaxMatches = 4
)

// Verdict is one abnormal stretch of a service.
type Verdict[T any] struct {
	// Episode groups the verdicts of one cause: a span gets the worst of them.
	Episode string
	// Start and End bound the stretch, in nanoseconds since the Unix epoch.
	Start, End int64
	Score      float64
	// Units are the abnormal stretches of single threads; without any the
	// whole service is abnormal from Start to End.
	Units []suspect.Span
	// Value is what the caller wants back with a match.
	Value T
}

// Span is what matching needs of a span: its bounds in nanoseconds since the
// Unix epoch and its thread.id, zero if it has none.
type Span struct {
	Start, End int64
	ThreadID   int64
}

// Match is a verdict on a span.
type Match[T any] struct {
	Verdict Verdict[T]
	// At is when within the span the abnormal stretch begins.
	At int64
	// Overlap is for how many nanoseconds the two coincide.
	Overlap int64
}

// Ledger holds, per service, up to when it is judged and the latest verdicts.
// It is safe for concurrent use. Whoever opens services bounds their number.
type Ledger[T any] struct {
	mu       sync.RWMutex
	services map[string]*account[T]
	byName   map[string][]*account[T]
}

type account[T any] struct {
	key      string
	identity Identity
	pids     map[int64]struct{}
	threads  map[int32]struct{}
	judged   int64
	verdicts []Verdict[T]
}

// Open enters a service under its key, so that its spans are known to be
// worth holding. A service that is there keeps its verdicts.
func (l *Ledger[T]) Open(key string, identity Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.services[key]; there {
		return
	}
	if l.services == nil {
		l.services, l.byName = map[string]*account[T]{}, map[string][]*account[T]{}
	}
	a := &account[T]{key: key, identity: identity}
	l.services[key] = a
	l.byName[identity.Name] = append(l.byName[identity.Name], a)
}

// Judge enters that a service is judged up to an instant of its events' time
// and which threads and processes it is known to have. It takes over the maps.
func (l *Ledger[T]) Judge(key string, until int64, threads map[int32]struct{}, pids map[int64]struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.services[key]; a != nil {
		a.judged = max(a.judged, until)
		a.threads, a.pids = threads, pids
	}
}

// Add enters a verdict on a service.
func (l *Ledger[T]) Add(key string, v Verdict[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.services[key]
	if a == nil {
		return
	}
	if len(a.verdicts) >= MaxVerdicts {
		a.verdicts = slices.Delete(a.verdicts, 0, len(a.verdicts)-MaxVerdicts+1)
	}
	a.verdicts = append(a.verdicts, v)
}

// Forget drops a service with all that is known of it.
func (l *Ledger[T]) Forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.services[key]
	if a == nil {
		return
	}
	delete(l.services, key)
	rest := slices.DeleteFunc(l.byName[a.identity.Name], func(o *account[T]) bool { return o == a })
	if len(rest) == 0 {
		delete(l.byName, a.identity.Name)
	} else {
		l.byName[a.identity.Name] = rest
	}
}

// Find returns the keys of the services that the spans of a resource can come
// from. When the process is known, the services that have it win over those
// that only have the name.
func (l *Ledger[T]) Find(spans Identity) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var keys, exact []string
	for _, a := range l.byName[spans.Name] {
		if !a.identity.Matches(spans) {
			continue
		}
		keys = append(keys, a.key)
		if _, there := a.pids[spans.PID]; there && spans.PID != 0 {
			exact = append(exact, a.key)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return keys
}

// Judged is the instant up to which a service is judged; false when the
// service is not, or no longer, known.
func (l *Ledger[T]) Judged(key string) (int64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := l.services[key]
	if a == nil {
		return 0, false
	}
	return a.judged, true
}

// Match returns the verdicts on a span of the services with the given keys, at
// most one per episode and MaxMatches in all, in order of time.
func (l *Ledger[T]) Match(keys []string, s Span) []Match[T] {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var worst map[string]Match[T]
	for _, key := range keys {
		a := l.services[key]
		if a == nil {
			continue
		}
		for i := range a.verdicts {
			m, ok := a.match(&a.verdicts[i], s)
			if !ok {
				continue
			}
			episode := key + "\x00" + m.Verdict.Episode
			if there, known := worst[episode]; known && there.Verdict.Score >= m.Verdict.Score {
				continue
			}
			if worst == nil {
				worst = map[string]Match[T]{}
			}
			worst[episode] = m
		}
	}
	if worst == nil {
		return nil
	}
	found := slices.Collect(maps.Values(worst))
	slices.SortFunc(found, func(a, b Match[T]) int {
		return cmp.Or(cmp.Compare(b.Verdict.Score, a.Verdict.Score), cmp.Compare(a.At, b.At), cmp.Compare(a.Verdict.Episode, b.Verdict.Episode))
	})
	found = found[:min(len(found), MaxMatches)]
	slices.SortStableFunc(found, func(a, b Match[T]) int { return cmp.Compare(a.At, b.At) })
	return found
}

// match holds one verdict against a span: by thread when the span's is one of
// the service's, else by time alone (runtimes have thread ids of their own).
func (a *account[T]) match(v *Verdict[T], s Span) (Match[T], bool) {
	tid := int32(s.ThreadID)
	_, known := a.threads[tid]
	known = known && int64(tid) == s.ThreadID && tid != 0
	best := Match[T]{Verdict: *v, Overlap: -1}
	consider := func(start, end int64) {
		from, to := max(start, s.Start), min(end, s.End)
		if to >= from && to-from > best.Overlap {
			best.At, best.Overlap = from, to-from
		}
	}
	for _, u := range v.Units {
		if !known || u.ThreadID == tid {
			consider(u.Start, u.End)
		}
	}
	if len(v.Units) == 0 {
		consider(v.Start, v.End)
	}
	return best, best.Overlap >= 0
}

// MatchOne holds one verdict on a service against a span.
func (l *Ledger[T]) MatchOne(key string, v *Verdict[T], s Span) (Match[T], bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := l.services[key]
	if a == nil {
		return Match[T]{}, false
	}
	return a.match(v, s)
}
