package correlate

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
)

// Request is that a thread of a service received a request with a trace context.
type Request struct {
	Thread int32
	// Time is when it had it, in nanoseconds since the Unix epoch.
	Time  int64
	Trace [16]byte
	// Parent is the caller's span.
	Parent [8]byte
}

// maxRequests bounds the requests remembered, of all services together: half a
// minute of ten thousand a second, as long as spans are waited for. They take
// 40 MB then, and nothing before there are any.
const maxRequests = 1 << 18

// requests are the latest ones, by trace. It is guarded by the ledger.
type requests struct {
	limit int
	// any is set once there has been one.
	any atomic.Bool
	// ring holds request n at n modulo limit, latest the number of a trace's
	// last one.
	ring   []received
	next   uint64
	latest map[[16]byte]uint64
}

type received struct {
	Request
	service string
	// before is the number of the trace's request before, plus one.
	before uint64
}

func (r *requests) add(service string, q Request) {
	if r.limit == 0 {
		r.limit = maxRequests
	}
	if r.latest == nil {
		r.latest = map[[16]byte]uint64{}
		r.any.Store(true)
	}
	e := received{Request: q, service: service}
	if n, known := r.latest[q.Trace]; known {
		e.before = n + 1
	}
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, e)
	} else {
		old := &r.ring[r.next%uint64(r.limit)]
		if n := r.latest[old.Trace]; n+uint64(r.limit) == r.next {
			delete(r.latest, old.Trace)
		}
		*old = e
	}
	r.latest[q.Trace] = r.next
	r.next++
}

// of calls fn with the requests of a trace that are remembered, latest first.
func (r *requests) of(trace [16]byte, fn func(*received)) {
	n, known := r.latest[trace]
	for known && n+uint64(len(r.ring)) >= r.next {
		e := &r.ring[n%uint64(len(r.ring))]
		fn(e)
		if e.before == 0 {
			return
		}
		n = e.before - 1
	}
}

// Received enters requests that a service received.
func (l *Ledger[T]) Received(service string, list ...Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range list {
		l.requests.add(service, q)
	}
}

// HasRequests reports whether requests with a trace context are known.
func (l *Ledger[T]) HasRequests() bool { return l.requests.any.Load() }

// Receivers narrows the services that a span can come from down to those that
// received a request of its trace: that is certain, whatever they are called. Of
// a span that comes from none by its resource, those count that received the very
// request that it stands for.
func (l *Ledger[T]) Receivers(s *Span, among []Candidate) []Candidate {
	if !l.HasRequests() {
		return among
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var found []Candidate
	l.requests.of(s.Trace, func(e *received) {
		possible := slices.ContainsFunc(among, func(c Candidate) bool { return c.Service == e.service })
		if len(among) == 0 {
			possible = !s.Waits && e.Parent == s.Parent
		}
		if possible {
			found = l.receiver(found, e)
		}
	})
	if len(found) == 0 {
		return among
	}
	return shared(found)
}

// Called are the services without spans of their own that received the request
// which a client span stands for.
func (l *Ledger[T]) Called(s *Span, now time.Time) []Candidate {
	if !l.HasRequests() {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var found []Candidate
	l.requests.of(s.Trace, func(e *received) {
		if a := l.services[e.service]; e.Parent == s.ID && a != nil && a.silent(now) {
			found = l.receiver(found, e)
		}
	})
	return shared(found)
}

// RequestIn is a request that a thread of a service received while it was abnormal
// by a verdict; false when none is known.
func (l *Ledger[T]) RequestIn(service string, v *Verdict[T]) (Request, bool) {
	if !l.HasRequests() {
		return Request{}, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := range l.requests.ring {
		e := &l.requests.ring[i]
		if e.service != service {
			continue
		}
		if slices.ContainsFunc(v.Units, func(u inference.Span) bool { return u.ThreadID == e.Thread && u.Start <= e.Time && e.Time < u.End }) {
			return e.Request, true
		}
	}
	return Request{}, false
}

func (l *Ledger[T]) receiver(found []Candidate, e *received) []Candidate {
	if l.services[e.service] == nil || slices.ContainsFunc(found, func(c Candidate) bool { return c.Service == e.service }) {
		return found
	}
	return append(found, Candidate{Service: e.service, Tie: TieTraceContext, Certainty: 1})
}
