package evidence

import (
	"time"

	"github.com/perfscope/perfscope/internal/cleantext"
	"github.com/perfscope/perfscope/internal/flightrecorder"
	"github.com/perfscope/perfscope/pkg/inference"
)

// Detail is all that is known of one service instance.
type Detail struct {
	Service
	// Marks are what happened to it, the oldest first.
	Marks []Mark `json:"marks,omitempty"`
	// HeldFrom and HeldTo bound the time of which the stacks are known.
	HeldFrom time.Time `json:"held_from"`
	HeldTo   time.Time `json:"held_to"`
	// Spans are examples: the slowest of the abnormal hops, and of the others.
	Spans []Span `json:"spans,omitempty"`
	// SlowSpans are the last slow requests of which it is known what they did.
	SlowSpans []SlowSpan `json:"-"`
	// Recording is that of its last minutes, nil when there is none.
	Recording *flightrecorder.Recording `json:"recording,omitempty"`

	snapshot *inference.Snapshot
	// of has the snapshot's own anomaly of an ID.
	of map[string]string
}

// NewDetail makes the detail of a service of a snapshot of its analysis; idOf gives the
// ID under which an anomaly of the analysis is told.
func NewDetail(s Service, snapshot *inference.Snapshot, idOf func(string) string) *Detail {
	d := &Detail{Service: s, snapshot: snapshot, of: map[string]string{}}
	if snapshot == nil {
		return d
	}
	from, to := snapshot.Held()
	d.HeldFrom, d.HeldTo = instant(from), instant(to)
	for i := range snapshot.Episodes {
		id := snapshot.Episodes[i].Anomaly.ID
		d.of[idOf(id)] = id
	}
	return d
}

func instant(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// Anomaly is one of the service's by its ID; false when it is not known.
func (d *Detail) Anomaly(id string) (*Anomaly, bool) {
	for i := range d.Anomalies {
		if d.Anomalies[i].ID == id {
			return &d.Anomalies[i], true
		}
	}
	return nil, false
}

// Of is the stretch of an anomaly: of one that is over, all of it; else as much of it
// as is held.
func (d *Detail) Of(a *Anomaly) (*Stretch, bool) {
	if d.snapshot == nil {
		return nil, false
	}
	if own, ok := d.of[a.ID]; ok {
		for i := range d.snapshot.Episodes {
			if e := &d.snapshot.Episodes[i]; e.Anomaly.ID == own {
				return newStretch(&e.Profile, a), true
			}
		}
	}
	p, ok := d.snapshot.Between(a.Onset.UnixNano(), a.End.UnixNano())
	if !ok {
		return nil, false
	}
	return newStretch(&p, a), true
}

// Between is the stretch between two instants; false when nothing of it is held.
func (d *Detail) Between(from, to time.Time) (*Stretch, bool) {
	if d.snapshot == nil {
		return nil, false
	}
	p, ok := d.snapshot.Between(from.UnixNano(), to.UnixNano())
	if !ok {
		return nil, false
	}
	return newStretch(&p, nil), true
}

// Latest is the stretch of the last hops.
func (d *Detail) Latest() (*Stretch, bool) {
	const minute = time.Minute
	return d.Between(d.HeldTo.Add(-minute), d.HeldTo)
}

// HopsOf turns the figures of an analysis into hops.
func HopsOf(figures []inference.HopFigures) []Hop {
	hops := make([]Hop, len(figures))
	for i, f := range figures {
		hops[i] = Hop{
			Start: f.Start / 1e6, Seconds: float64(f.End-f.Start) / 1e9, Judged: f.Judged, Abnormal: f.Abnormal,
			Score: f.Score, Confidence: f.Confidence, Load: inference.Round(f.Load), CPU: inference.Round(f.CPU), Waiting: inference.Round(f.Waiting),
			Traced: inference.Round(f.Traced), Lost: inference.Round(f.Lost),
		}
	}
	return hops
}

// AnomalyOf turns what an analysis told into a value of its own. What a target chose is
// made fit to be shown.
func AnomalyOf(a *inference.Anomaly) Anomaly {
	out := Anomaly{
		ID: a.ID, State: string(a.State), Sentence: clean(a.Summary), Onset: instant(a.Onset), End: instant(a.End), Ending: string(a.Ending),
		Kind: string(a.Kind), Pattern: a.Pattern, Score: a.Score, Confidence: a.Confidence, Impact: a.Impact, Lost: inference.Round(a.Lost),
		Warmup: a.Warmup, Path: cleanAll(a.Path), Order: cleanAll(a.Order), Victims: cleanAll(a.Victims),
	}
	if out.Seen = a.Seen; a.FirstSeen != 0 {
		out.FirstSeen = instant(a.FirstSeen)
	}
	if a.Cleared != 0 {
		out.End = instant(a.Cleared)
	}
	for i := range a.Causes {
		c := &a.Causes[i]
		shown := Cause{Kind: string(c.Kind), Share: c.Share, Resource: clean(c.Resource)}
		for _, u := range c.Users {
			shown.Users = append(shown.Users, clean(u.Name))
		}
		out.Causes = append(out.Causes, shown)
	}
	for i := range a.Hit {
		out.Hit = append(out.Hit, clean(a.Hit[i].Function))
	}
	for i := range a.Suspects {
		out.Suspects = append(out.Suspects, suspectOf(&a.Suspects[i]))
	}
	for i := range a.Deviations {
		d := &a.Deviations[i]
		out.Deviations = append(out.Deviations, Deviation{
			Call: d.Call, Error: d.Error,
			Normal: Use{d.Normal.RatePerSecond, d.Normal.MeanSeconds}, Now: Use{d.Abnormal.RatePerSecond, d.Abnormal.MeanSeconds},
		})
	}
	return out
}

// maxSentence bounds a sentence in bytes: two names of functions and what they do.
const maxSentence = 4 * cleantext.MaxFunction

func clean(s string) string {
	return cleantext.Clean(s, maxSentence)
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}
