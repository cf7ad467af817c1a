package perfscopeprocessor

import (
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/evidence"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

const (
	// maxLatencies bounds the hops of a service of which the time of its spans is known.
	maxLatencies = 240
	// shortest is the upper end of the first class of times; each next one ends at
	// that times the square root of two, so that a quantile is off by a fifth at most.
	shortest = 16 * time.Microsecond
	classes  = 56
	// sure is how certain a span must be one of a service to be counted for it.
	sure = 0.5
	// maxExamples bounds the spans that are shown of each kind.
	maxExamples = 5
)

// latencies are how long the spans of the services take, by hop. It is bounded by the
// services that are held and safe for concurrent use.
type latencies struct {
	hop time.Duration

	mu       sync.Mutex
	services map[string]*spanHops
}

// spanHops is a ring of hops, newest last.
type spanHops struct{ hops []spanHop }

// spanHop counts the spans that ended in a hop, with the slowest and the last of them.
type spanHop struct {
	start         int64 // ns since the epoch
	n             int
	counts        [classes]uint32
	slowest, last evidence.Span
}

func (l *latencies) open(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.services == nil {
		l.services = map[string]*spanHops{}
	}
	l.services[key] = &spanHops{}
}

func (l *latencies) close(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.services, key)
}

// add counts the spans of a group: those of a service that it serves, and those of its
// callers when it has none of its own.
func (l *latencies) add(g *spanmatch.Group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range g.Match {
		m := &g.Match[i]
		of := m.Peers
		if !m.Waits {
			of = m.Services
		}
		for _, c := range of {
			if s := l.services[c.Service]; s != nil && c.Certainty >= sure {
				s.add(g.Spans[i], m, int64(l.hop))
			}
		}
	}
}

func (s *spanHops) add(span ptrace.Span, m *correlate.Span, hop int64) {
	if m.End < m.Start {
		return
	}
	h := s.at(m.End-m.End%hop, hop)
	if h == nil {
		return
	}
	took := time.Duration(m.End - m.Start)
	h.n++
	h.counts[classOf(took)]++
	if h.n > 1 && took.Seconds() <= h.slowest.Seconds {
		if h.n&(h.n-1) == 0 { // rarely, to spare the texts
			h.last = example(span, took)
		}
		return
	}
	h.slowest = example(span, took)
	if h.n == 1 {
		h.last = h.slowest
	}
}

func example(span ptrace.Span, took time.Duration) evidence.Span {
	return evidence.Span{
		Trace: span.TraceID().String(), ID: span.SpanID().String(), Name: cleantext.Clean(span.Name(), cleantext.MaxName),
		At: span.StartTimestamp().AsTime(), Seconds: took.Seconds(),
	}
}

// at is the hop that starts at an instant; nil for one that is too old.
func (s *spanHops) at(start, hop int64) *spanHop {
	for i := len(s.hops) - 1; i >= 0; i-- {
		switch h := &s.hops[i]; {
		case h.start == start:
			return h
		case h.start < start:
			return s.insert(i+1, start)
		}
	}
	if len(s.hops) > 0 && s.hops[0].start-start > 4*hop {
		return nil
	}
	return s.insert(0, start)
}

func (s *spanHops) insert(i int, start int64) *spanHop {
	s.hops = append(s.hops, spanHop{})
	copy(s.hops[i+1:], s.hops[i:])
	s.hops[i] = spanHop{start: start}
	if len(s.hops) > maxLatencies {
		s.hops = append(s.hops[:0], s.hops[1:]...)
		if i--; i < 0 {
			return nil
		}
	}
	return &s.hops[i]
}

func classOf(d time.Duration) int {
	if d <= shortest {
		return 0
	}
	return min(classes-1, int(math.Ceil(2*math.Log2(float64(d)/float64(shortest)))))
}

// quantile is the middle of the class that a share of the spans is not above.
func (h *spanHop) quantile(q float64) float64 {
	rank, seen := int(math.Ceil(q*float64(h.n))), 0
	for i, n := range h.counts {
		if seen += int(n); seen >= rank && n > 0 {
			return shortest.Seconds() * math.Pow(2, (float64(i)-0.5)/2)
		}
	}
	return 0
}

// fill adds what is known of a service's spans to its hops.
func (l *latencies) fill(key string, hops []evidence.Hop) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.services[key]
	if s == nil || len(s.hops) == 0 {
		return
	}
	byStart := make(map[int64]*spanHop, len(s.hops))
	for i := range s.hops {
		byStart[s.hops[i].start/1e6] = &s.hops[i]
	}
	for i := range hops {
		if h := byStart[hops[i].Start]; h != nil {
			hops[i].Spans, hops[i].Median, hops[i].P95 = h.n, h.quantile(0.5), h.quantile(0.95)
		}
	}
}

// examples are the slowest spans of the last abnormal hops, and ordinary ones of the
// others; abnormal tells which a hop is, by milliseconds since the epoch.
func (l *latencies) examples(key string, abnormal func(int64) bool) (spans []evidence.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.services[key]
	if s == nil {
		return nil
	}
	bad, good := 0, 0
	for i := len(s.hops) - 1; i >= 0; i-- {
		h := &s.hops[i]
		if abnormal(h.start / 1e6) {
			if bad++; bad <= maxExamples {
				x := h.slowest
				x.Abnormal = true
				spans = append(spans, x)
			}
		} else if good++; good <= maxExamples {
			spans = append(spans, h.last)
		}
	}
	return spans
}
