package correlate

import "time"

// Reason is why spans are let go.
type Reason string

const (
	// ReasonJudged means that their services are judged beyond their end.
	ReasonJudged Reason = "judged"
	// ReasonTimeout means that the verdict did not come in time.
	ReasonTimeout Reason = "timeout"
	// ReasonSpans and ReasonBytes mean that room was needed for newer spans.
	ReasonSpans Reason = "max_spans"
	ReasonBytes Reason = "max_bytes"
	// ReasonForgotten means that none of their services is known any more.
	ReasonForgotten Reason = "service_gone"
	// ReasonGathered means that the spans of their traces had time to come.
	ReasonGathered Reason = "gathered"
	// ReasonShutdown means that the pipeline ends.
	ReasonShutdown Reason = "shutdown"
)

// Held is a group of spans of one resource that waits for its verdict.
type Held[T any] struct {
	Item T
	// Services are the keys of the services that must be judged. Without any
	// the group waits for the others of its traces, until its deadline.
	Services []string
	// Until is the end of the last of the spans.
	Until int64
	// Deadline is when to let go whatever is known.
	Deadline time.Time
	// Spans is how many there are, Bytes about the memory they take.
	Spans, Bytes int
}

// Released is a group that was let go, and why.
type Released[T any] struct {
	Held[T]
	Why Reason
}

// Limits bound a store.
type Limits struct{ Spans, Bytes int }

// Store holds spans until their services are judged. It is bounded by their
// number and size and is not safe for concurrent use.
type Store[T any] struct {
	limits       Limits
	spans, bytes int
	held         []Held[T] // oldest first
}

// NewStore returns a store with the given bounds.
func NewStore[T any](limits Limits) *Store[T] { return &Store[T]{limits: limits} }

// Spans is the number of spans held, Bytes their size.
func (s *Store[T]) Spans() int { return s.spans }

// Bytes is about the memory that the spans held take.
func (s *Store[T]) Bytes() int { return s.bytes }

// Put takes a group in and returns what has to leave for it, oldest first. A
// group larger than the whole store is returned itself.
func (s *Store[T]) Put(h Held[T]) (evicted []Released[T]) {
	if h.Spans > s.limits.Spans {
		return []Released[T]{{h, ReasonSpans}}
	}
	if h.Bytes > s.limits.Bytes {
		return []Released[T]{{h, ReasonBytes}}
	}
	n := 0
	for ; s.spans+h.Spans > s.limits.Spans || s.bytes+h.Bytes > s.limits.Bytes; n++ {
		why := ReasonSpans
		if s.spans+h.Spans <= s.limits.Spans {
			why = ReasonBytes
		}
		evicted = append(evicted, Released[T]{s.held[n], why})
		s.count(&s.held[n], -1)
	}
	clear(s.held[:n])
	s.held = append(s.held[n:], h)
	s.count(&h, 1)
	return evicted
}

func (s *Store[T]) count(h *Held[T], sign int) {
	s.spans += sign * h.Spans
	s.bytes += sign * h.Bytes
}

// Take removes and returns, oldest first, the groups that need not wait any
// longer at the given instant. judged is Ledger.Judged.
func (s *Store[T]) Take(now time.Time, judged func(service string) (int64, bool)) (ready []Released[T]) {
	kept := s.held[:0]
	for _, h := range s.held {
		if reason, done := release(&h, now, judged); done {
			ready = append(ready, Released[T]{h, reason})
			s.count(&h, -1)
		} else {
			kept = append(kept, h)
		}
	}
	clear(s.held[len(kept):])
	s.held = kept
	return ready
}

func release[T any](h *Held[T], now time.Time, judged func(string) (int64, bool)) (Reason, bool) {
	if len(h.Services) == 0 {
		return ReasonGathered, !now.Before(h.Deadline)
	}
	waiting, known := false, false
	for _, service := range h.Services {
		until, ok := judged(service)
		known = known || ok
		waiting = waiting || ok && until < h.Until
	}
	switch {
	case !known:
		return ReasonForgotten, true
	case !waiting:
		return ReasonJudged, true
	case !now.Before(h.Deadline):
		return ReasonTimeout, true
	}
	return "", false
}

// Drain removes and returns everything, oldest first.
func (s *Store[T]) Drain(why Reason) []Released[T] {
	all := make([]Released[T], len(s.held))
	for i := range s.held {
		all[i] = Released[T]{s.held[i], why}
	}
	s.held, s.spans, s.bytes = nil, 0, 0
	return all
}

// Each calls fn with every group, oldest first, until it returns false.
func (s *Store[T]) Each(fn func(h *Held[T]) bool) {
	for i := range s.held {
		if !fn(&s.held[i]) {
			return
		}
	}
}
