package correlate

import "time"

// Reason is why spans are let go.
type Reason string

const (
	// ReasonJudged means that their services are judged beyond their end.
	ReasonJudged Reason = "judged"
	// ReasonTimeout means that the verdict did not come in time.
	ReasonTimeout Reason = "timeout"
	// ReasonFull means that room was needed for newer spans.
	ReasonFull Reason = "max_spans"
	// ReasonForgotten means that none of their services is known any more.
	ReasonForgotten Reason = "service_gone"
	// ReasonShutdown means that the pipeline ends.
	ReasonShutdown Reason = "shutdown"
)

// Held is a group of spans of one resource that waits for its verdict.
type Held[T any] struct {
	Item T
	// Services are the keys of the services the spans can come from.
	Services []string
	// Until is the end of the last of the spans.
	Until int64
	// Deadline is when to let go whatever is known.
	Deadline time.Time
	// Spans is how many there are.
	Spans int
}

// Store holds spans until their services are judged. It is bounded by the
// number of spans and is not safe for concurrent use.
type Store[T any] struct {
	limit int
	spans int
	held  []Held[T] // oldest first
}

// NewStore returns a store of at most limit spans.
func NewStore[T any](limit int) *Store[T] { return &Store[T]{limit: limit} }

// Spans is the number of spans held.
func (s *Store[T]) Spans() int { return s.spans }

// Put takes a group in and returns what has to leave for it, oldest first. A
// group larger than the whole store is returned itself.
func (s *Store[T]) Put(h Held[T]) (evicted []Held[T]) {
	if h.Spans > s.limit {
		return []Held[T]{h}
	}
	n := 0
	for s.spans+h.Spans > s.limit {
		s.spans -= s.held[n].Spans
		n++
	}
	if n > 0 {
		evicted = append(evicted, s.held[:n]...)
		clear(s.held[:n])
		s.held = s.held[n:]
	}
	s.held = append(s.held, h)
	s.spans += h.Spans
	return evicted
}

// Take removes and returns, oldest first, the groups that need not wait any
// longer at the given instant. judged is Ledger.Judged.
func (s *Store[T]) Take(now time.Time, judged func(service string) (int64, bool)) (ready []Held[T], why []Reason) {
	kept := s.held[:0]
	for _, h := range s.held {
		if reason, done := release(&h, now, judged); done {
			ready, why = append(ready, h), append(why, reason)
			s.spans -= h.Spans
		} else {
			kept = append(kept, h)
		}
	}
	clear(s.held[len(kept):])
	s.held = kept
	return ready, why
}

func release[T any](h *Held[T], now time.Time, judged func(string) (int64, bool)) (Reason, bool) {
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
func (s *Store[T]) Drain() []Held[T] {
	all := s.held
	s.held, s.spans = nil, 0
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
