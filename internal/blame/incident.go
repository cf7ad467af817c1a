package blame

import (
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// State is where an incident is in its life.
type State string

// The states of an incident.
const (
	Raised  State = "raised"
	Updated State = "updated"
	Cleared State = "cleared"
)

// Incident is services that are abnormal for one reason, from when the first
// of their anomalies is known until the last is over.
type Incident struct {
	ID    string
	State State
	// Since is when it began, Until when it was over or the present.
	Since, Until time.Time
	// Group is what was last known of it.
	Group
}

// Incidents are those that are not over. It is not safe for concurrent use; it is
// bounded by the anomalies that are open.
type Incidents struct {
	wait, remind time.Duration
	list         []*incident // oldest first
}

// incident is one that is not over.
type incident struct {
	Incident
	// members are its anomalies that are open.
	members map[string]struct{}
	// first is the first cause when it was last reported, at at.
	first string
	at    time.Time
	// ranked is when its group was last set.
	ranked time.Time
}

// NewIncidents reports an incident at once when traces link it, and without any
// after a wait: the traces that would may be under way. It reports one that lasts
// again after remind.
func NewIncidents(wait, remind time.Duration) *Incidents {
	return &Incidents{wait: wait, remind: remind}
}

// Len is the number of incidents that are not over.
func (s *Incidents) Len() int { return len(s.list) }

// Advance takes what is abnormal by now, and returns what there is to report.
// isOpen tells whether an anomaly is not cleared.
func (s *Incidents) Advance(now time.Time, groups []Group, isOpen func(anomaly string) bool) (report []Incident) {
	for _, g := range byTraces(groups) {
		var open []string
		for i := range g.Ranking {
			for _, id := range g.Ranking[i].Anomalies {
				if isOpen(id) {
					open = append(open, id)
				}
			}
		}
		if len(open) > 0 {
			s.join(now, g, open)
		}
	}
	kept := s.list[:0]
	for _, in := range s.list {
		for id := range in.members {
			if !isOpen(id) {
				delete(in.members, id)
			}
		}
		in.Until = now
		over := len(in.members) == 0
		if s.due(in, over) {
			report = append(report, in.Incident)
		}
		if !over {
			kept = append(kept, in)
		}
	}
	clear(s.list[len(kept):])
	s.list = kept
	return report
}

// byTraces puts first what most traces speak of.
func byTraces(groups []Group) []Group {
	sorted := slices.Clone(groups)
	slices.SortStableFunc(sorted, func(a, b Group) int { return b.Traces - a.Traces })
	return sorted
}

// join adds a group to the oldest incident that has one of its anomalies, and
// that one's others: what traces link is one incident. Without any it is new.
func (s *Incidents) join(now time.Time, g Group, open []string) {
	var to *incident
	for _, in := range s.list {
		if !slices.ContainsFunc(open, func(id string) bool { _, is := in.members[id]; return is }) {
			continue
		}
		if to == nil {
			to = in
			continue
		}
		for id := range in.members {
			to.members[id] = struct{}{}
		}
		clear(in.members) // it is over, as one of its own
	}
	if to == nil {
		to = &incident{Incident: Incident{ID: idOf(open[0], now), Since: now}, members: map[string]struct{}{}}
		s.list = append(s.list, to)
	}
	for _, id := range open {
		to.members[id] = struct{}{}
	}
	// What traces say is not replaced by what is known without any, nor by what
	// fewer of them say in the same period.
	if to.ranked != now && (g.Traces > 0 || to.Traces == 0) {
		to.Group, to.ranked = g, now
	}
}

// due sets the state of an incident and reports whether there is something to
// report.
func (s *Incidents) due(in *incident, over bool) bool {
	if len(in.Ranking) == 0 {
		return false
	}
	first := in.Ranking[0].Service + "\x00" + in.Ranking[0].Function
	switch {
	case over:
		reported := in.State != ""
		in.State = Cleared
		return reported
	case in.State == "" && (in.Traces > 0 || in.Until.Sub(in.Since) >= s.wait):
		in.State = Raised
	case in.State != "" && (first != in.first || in.Until.Sub(in.at) >= s.remind):
		in.State = Updated
	default:
		return false
	}
	in.first, in.at = first, in.Until
	return true
}

func idOf(anomaly string, since time.Time) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%d", anomaly, since.UnixNano()) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}
