// Package blame finds which of the anomalies along a trace is the cause of the
// others. A service that waits for a slow one is slow itself: its time is not
// its own. So each service of a trace is weighed by the time it took itself,
// without that of the services it calls, beyond what it usually takes.
package blame

import (
	"cmp"
	"slices"
)

// Role is the part an anomaly has in a trace.
type Role string

const (
	// Cause is an anomaly that no service called explains.
	Cause Role = "cause"
	// Victim is an anomaly of a service that lost more time by waiting for
	// abnormal services than by itself.
	Victim Role = "victim"
	// Unlinked is an anomaly of a service that no trace leads to.
	Unlinked Role = "unlinked"
)

// Anomaly is one service's, as far as it matters here.
type Anomaly struct {
	// ID is that of the episode, Service its service's name.
	ID, Service string
	// Impact is the share of the service's time in excess of its past, 0 to 1.
	Impact   float64
	Pattern  string
	Suspects []Suspect
}

// Suspect is a function and its share of its service's abnormal time, 0 to 1.
type Suspect struct {
	Function, Module string
	Score            float64
}

// Span is what matters of a span. Times are in nanoseconds, by the clock of
// its own host.
type Span struct {
	ID, Parent [8]byte
	Start, End int64
	Name       string
	// Service is its service's name.
	Service string
	// Client is set when it waits for another service; Callee names that one
	// when it has no spans of its own.
	Client bool
	Callee string
	// Anomalies were tied to it, of its service or of its callee.
	Anomalies []Anomaly
}

// Spent is what one service took of a trace.
type Spent struct {
	Service string
	// Operation is what it was asked for.
	Operation string
	// Own is the time without that of the services it calls, in nanoseconds;
	// what passes between a client's span and its server's is the server's:
	// requests queue there.
	Own int64
	// Anomalies are those tied to its spans, or to those of its callers.
	Anomalies []Anomaly
	// Calls are the services it calls.
	Calls []string
}

// Spend takes a trace apart by service. The services are in order of name.
func Spend(spans []Span) []Spent {
	index := make(map[[8]byte]int, len(spans))
	for i := range spans {
		index[spans[i].ID] = i
	}
	children := make([][]int, len(spans))
	for i := range spans {
		if p, ok := index[spans[i].Parent]; ok && p != i && spans[i].Parent != [8]byte{} {
			children[p] = append(children[p], i)
		}
	}
	by := services{}
	for i := range spans {
		s := &spans[i]
		owner, called := s.Service, callee(spans, i, children[i])
		if called != "" {
			owner = called
			by.call(s.Service, called)
		}
		if o := by.of(owner); o != nil {
			o.Own += own(spans, i, children[i])
			if o.Operation == "" || called == "" && !s.Client && isEntry(spans, index, i) {
				o.Operation = s.Name
			}
		}
		for _, a := range s.Anomalies {
			if at := by.of(a.Service); at != nil {
				at.note(a)
			}
		}
	}
	return by.inOrder()
}

// MaxServices bounds the services of one trace; time spent in further ones is
// nobody's.
const MaxServices = 256

// services has what each service took of a trace.
type services map[string]*spending

// spending is what one service took, with what was entered already.
type spending struct {
	Spent
	calls, anomalies map[string]struct{}
}

// of is what a service took; nil when there are too many services.
func (by services) of(service string) *spending {
	s := by[service]
	if s == nil && len(by) < MaxServices {
		s = &spending{Spent: Spent{Service: service}, calls: map[string]struct{}{}, anomalies: map[string]struct{}{}}
		by[service] = s
	}
	return s
}

// call enters that one service calls another.
func (by services) call(service, called string) {
	caller, callee := by.of(service), by.of(called)
	if caller == nil || callee == nil || service == called {
		return
	}
	if _, there := caller.calls[called]; !there {
		caller.calls[called] = struct{}{}
		caller.Calls = append(caller.Calls, called)
	}
}

// note enters an anomaly, each id once.
func (s *spending) note(a Anomaly) {
	if _, there := s.anomalies[a.ID]; there || len(s.Anomalies) == maxAnomalies {
		return
	}
	s.anomalies[a.ID] = struct{}{}
	s.Anomalies = append(s.Anomalies, a)
}

func (by services) inOrder() []Spent {
	out := make([]Spent, 0, len(by))
	for _, s := range by {
		out = append(out, s.Spent)
	}
	slices.SortFunc(out, func(a, b Spent) int { return cmp.Compare(a.Service, b.Service) })
	return out
}

// callee is the service whose time a client span's own is: that of a child
// span of another service, or of a server without spans; empty when the time
// is the span's own service's.
func callee(spans []Span, i int, children []int) string {
	if !spans[i].Client {
		return ""
	}
	for _, c := range children {
		if spans[c].Service != spans[i].Service {
			return spans[c].Service
		}
	}
	return spans[i].Callee
}

// isEntry reports whether a span is the first of its service.
func isEntry(spans []Span, index map[[8]byte]int, i int) bool {
	p, ok := index[spans[i].Parent]
	return !ok || spans[p].Service != spans[i].Service
}

// own is a span's time without its children's. A child of another service
// that does not lie within it has another clock: only its length counts then.
func own(spans []Span, i int, children []int) int64 {
	s := &spans[i]
	type stretch struct{ start, end int64 }
	var taken []stretch
	for _, c := range children {
		start, end := spans[c].Start, spans[c].End
		if spans[c].Service != s.Service && (start < s.Start || end > s.End) {
			start, end = s.Start, s.Start+max(0, end-start)
		}
		if start, end = max(start, s.Start), min(end, s.End); end > start {
			taken = append(taken, stretch{start, end})
		}
	}
	slices.SortFunc(taken, func(a, b stretch) int { return cmp.Compare(a.start, b.start) })
	left, at := max(0, s.End-s.Start), s.Start
	for _, t := range taken {
		if t.end > at {
			left -= t.end - max(at, t.start)
			at = t.end
		}
	}
	return left
}
