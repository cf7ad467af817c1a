package blame

import "time"

// Table gathers the spans of traces as they come, in any order, for a while.
// It is bounded by the number of spans: the traces that came first go first.
// It is not safe for concurrent use.
type Table[S any] struct {
	limit   int
	spans   int
	traces  map[[16]byte]*Trace[S]
	arrival []*Trace[S] // first come first
}

// Trace is what was gathered of one trace.
type Trace[S any] struct {
	ID    [16]byte
	Since time.Time
	Spans []S
	// Ranking is what Rank made of it, once Ranked is set.
	Ranked  bool
	Ranking Ranking
}

// NewTable gathers at most limit spans.
func NewTable[S any](limit int) *Table[S] {
	return &Table[S]{limit: limit, traces: map[[16]byte]*Trace[S]{}}
}

// Add enters a span of a trace. What leaves for it is gone: a trace larger
// than the whole table is known in part.
func (t *Table[S]) Add(id [16]byte, s S, now time.Time) {
	for t.spans >= t.limit && len(t.arrival) > 0 {
		t.drop()
	}
	if t.limit == 0 {
		return
	}
	tr := t.traces[id]
	if tr == nil {
		tr = &Trace[S]{ID: id, Since: now}
		t.traces[id] = tr
		t.arrival = append(t.arrival, tr)
	}
	tr.Spans = append(tr.Spans, s)
	t.spans++
}

// Get is a trace, nil when nothing is known of it.
func (t *Table[S]) Get(id [16]byte) *Trace[S] { return t.traces[id] }

// Expire drops the traces that began to come before an instant.
func (t *Table[S]) Expire(before time.Time) {
	for len(t.arrival) > 0 && t.arrival[0].Since.Before(before) {
		t.drop()
	}
}

func (t *Table[S]) drop() {
	oldest := t.arrival[0]
	t.arrival[0] = nil
	t.arrival = t.arrival[1:]
	delete(t.traces, oldest.ID)
	t.spans -= len(oldest.Spans)
}

// Spans is the number of spans held.
func (t *Table[S]) Spans() int { return t.spans }
