package correlate

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
)

const (
	// MaxVerdicts bounds the verdicts kept per service; the oldest go first.
	MaxVerdicts = 64
	// spansLast is for how long a service counts as one that sends spans of
	// its own, after the last of them. Exporters that fail try again for five
	// minutes by default.
	spansLast = 5 * time.Minute
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
	Units []inference.Span
	// Value is what the caller wants back with a match.
	Value T

	// whole is from when the first thread is abnormal to when the last is.
	whole interval
}

// Facts are what is known of a service beside its identity.
type Facts struct {
	// Until is the instant of its events' time up to which it is judged.
	Until int64
	// Threads and PIDs are those it is known to have.
	Threads map[int32]struct{}
	PIDs    map[int64]struct{}
	// Sockets are where it listens, Addresses those of its host.
	Sockets   []Socket
	Addresses []netip.Addr
}

// Candidate is a service that a span can come from, or call.
type Candidate struct {
	// Service is its key.
	Service string
	Tie     Tie
	// Certainty is how sure it is that this one is meant: 0 to 1.
	Certainty float64
}

// Ledger holds, per service, up to when it is judged and the latest verdicts.
// It is safe for concurrent use. Whoever opens services bounds their number.
type Ledger[T any] struct {
	mu          sync.RWMutex
	services    map[string]*account[T]
	byName      map[string]accounts[T]
	byPID       map[int64]accounts[T]
	byContainer map[string]accounts[T]
	byPort      map[uint16]accounts[T]
	requests    requests
	// callable is set when a service is known to listen.
	callable atomic.Bool
}

type accounts[T any] []*account[T]

type account[T any] struct {
	key      string
	identity Identity
	facts    Facts
	// spans is when spans of its own came last, zero if none ever did.
	spans    time.Time
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
		l.services, l.byName = map[string]*account[T]{}, map[string]accounts[T]{}
		l.byPID, l.byContainer, l.byPort = map[int64]accounts[T]{}, map[string]accounts[T]{}, map[uint16]accounts[T]{}
	}
	a := &account[T]{key: key, identity: identity}
	l.services[key] = a
	enter(l.byName, identity.Name, a)
	if identity.Container != "" {
		enter(l.byContainer, identity.Container, a)
	}
}

// Judge enters what is known of a service by now. It takes over what it is given.
func (l *Ledger[T]) Judge(key string, f Facts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.services[key]
	if a == nil {
		return
	}
	l.index(a, f)
	f.Until = max(f.Until, a.facts.Until)
	a.facts = f
}

// index replaces the entries of a service's processes and sockets.
func (l *Ledger[T]) index(a *account[T], f Facts) {
	for pid := range a.facts.PIDs {
		leave(l.byPID, pid, a)
	}
	for pid := range f.PIDs {
		enter(l.byPID, pid, a)
	}
	for _, s := range a.facts.Sockets {
		leave(l.byPort, s.Port(), a)
	}
	for _, s := range f.Sockets {
		if !slices.Contains(l.byPort[s.Port()], a) {
			enter(l.byPort, s.Port(), a)
		}
	}
	l.callable.Store(len(l.byPort) > 0)
}

// Add enters a verdict on a service.
func (l *Ledger[T]) Add(key string, v Verdict[T]) {
	v.measure()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.services[key]
	if a == nil {
		return
	}
	if len(a.verdicts) >= MaxVerdicts {
		a.verdicts = slices.Delete(a.verdicts, 0, len(a.verdicts)-MaxVerdicts+1)
	}
	if n := len(a.verdicts); n > 0 {
		v.follow(&a.verdicts[n-1])
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
	leave(l.byName, a.identity.Name, a)
	leave(l.byContainer, a.identity.Container, a)
	l.index(a, Facts{})
}

// Find returns the services that the spans of a resource can come from: those
// with the strongest tie to it.
func (l *Ledger[T]) Find(spans Identity) []Candidate {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var found []Candidate
	consider := func(among accounts[T]) {
		for _, a := range among {
			_, running := a.facts.PIDs[spans.PID]
			tie := a.identity.tie(spans, running && spans.PID != 0)
			switch {
			case tie == "" || len(found) > 0 && strength[tie] < strength[found[0].Tie]:
				continue
			case len(found) > 0 && strength[tie] > strength[found[0].Tie]:
				found = found[:0]
			}
			if !slices.ContainsFunc(found, func(c Candidate) bool { return c.Service == a.key }) {
				found = append(found, Candidate{Service: a.key, Tie: tie, Certainty: 1})
			}
		}
	}
	consider(l.byName[spans.Name])
	if spans.PID != 0 {
		consider(l.byPID[spans.PID])
	}
	if spans.Container != "" {
		consider(l.byContainer[spans.Container])
	}
	return shared(found)
}

// Spans enters that a service sends spans of its own.
func (l *Ledger[T]) Spans(of []Candidate, now time.Time) {
	if len(of) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range of {
		if a := l.services[c.Service]; a != nil {
			a.spans = now
		}
	}
}

// silent reports whether a service has sent no spans of its own lately, as far
// as is known.
func (a *account[T]) silent(now time.Time) bool {
	return a.spans.IsZero() || now.Sub(a.spans) >= spansLast
}

// Callable reports whether any service is known to listen.
func (l *Ledger[T]) Callable() bool { return l.callable.Load() }

// FindPeer returns the services without spans of their own that a span of the
// caller's means by a peer; the first of the ways to name it that leads to one
// decides.
func (l *Ledger[T]) FindPeer(caller Identity, now time.Time, named ...Peer) []Candidate {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, p := range named {
		var found []Candidate
		for _, a := range l.byPort[p.Port] {
			if !a.silent(now) {
				continue
			}
			if c := listens(a.identity, a.facts.Sockets, a.facts.Addresses, p, caller); c > 0 {
				found = append(found, Candidate{Service: a.key, Tie: p.By, Certainty: c})
			}
		}
		if len(found) > 0 {
			return shared(found)
		}
	}
	return nil
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
	return a.facts.Until, true
}

// Identity is who a service is; false when it is not, or no longer, known.
func (l *Ledger[T]) Identity(key string) (Identity, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := l.services[key]
	if a == nil {
		return Identity{}, false
	}
	return a.identity, true
}

// shared divides the certainty among the candidates.
func shared(found []Candidate) []Candidate {
	for i := range found {
		found[i].Certainty /= float64(len(found))
	}
	return found
}

func enter[K comparable, T any](index map[K]accounts[T], key K, a *account[T]) {
	index[key] = append(index[key], a)
}

func leave[K comparable, T any](index map[K]accounts[T], key K, a *account[T]) {
	rest := slices.DeleteFunc(index[key], func(o *account[T]) bool { return o == a })
	if len(rest) == 0 {
		delete(index, key)
		return
	}
	index[key] = rest
}

// Keys are the services of candidates, each once.
func Keys(candidates ...[]Candidate) []string {
	keys := map[string]struct{}{}
	for _, list := range candidates {
		for _, c := range list {
			keys[c.Service] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
