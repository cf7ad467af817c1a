package blame

import "time"

// MaxTraceSpans bounds the spans gathered of one trace: one that is larger is
// known in part.
const MaxTraceSpans = 16384

// Table gathers the spans of traces as they come, in any order, for a while.
// It is bounded by the number of spans and their bytes: the traces that came first
// go first. It is not safe for concurrent use.
type Table[S any] struct {
	limits  Limits
	spans   int
	bytes   int
	lost    Lost
	traces  map[[16]byte]*Trace[S]
	arrival []*Trace[S] // first come first
}

// Limits bound a table.
type Limits struct{ Spans, Bytes int }

// Lost counts spans that a table let go or did not take, by the bound they were
// beyond.
type Lost struct{ Spans, Bytes, Trace int }

// Trace is what was gathered of one trace.
type Trace[S any] struct {
	ID    [16]byte
	Since time.Time
	Spans []S
	// Ranking is what Rank made of it, once Ranked is set.
	Ranked  bool
	Ranking Ranking

	bytes int
}

// NewTable gathers spans within some limits.
func NewTable[S any](limits Limits) *Table[S] {
	return &Table[S]{limits: limits, traces: map[[16]byte]*Trace[S]{}}
}

// Add enters a span of a trace that takes so many bytes. What leaves for it is
// gone: a trace larger than the whole table is known in part.
func (t *Table[S]) Add(id [16]byte, s S, bytes int, now time.Time) {
	if tr := t.traces[id]; tr != nil && len(tr.Spans) >= MaxTraceSpans {
		t.lost.Trace++
		return
	}
	for len(t.arrival) > 0 && t.spans >= t.limits.Spans {
		t.lost.Spans += t.drop()
	}
	for len(t.arrival) > 0 && t.bytes+bytes > t.limits.Bytes {
		t.lost.Bytes += t.drop()
	}
	switch {
	case t.limits.Spans == 0:
		t.lost.Spans++
		return
	case bytes > t.limits.Bytes:
		t.lost.Bytes++
		return
	}
	tr := t.traces[id]
	if tr == nil {
		tr = &Trace[S]{ID: id, Since: now}
		t.traces[id] = tr
		t.arrival = append(t.arrival, tr)
	}
	tr.Spans = append(tr.Spans, s)
	tr.bytes += bytes
	t.spans++
	t.bytes += bytes
}

// Get is a trace, nil when nothing is known of it.
func (t *Table[S]) Get(id [16]byte) *Trace[S] { return t.traces[id] }

// Expire drops the traces that began to come before an instant.
func (t *Table[S]) Expire(before time.Time) {
	for len(t.arrival) > 0 && t.arrival[0].Since.Before(before) {
		t.drop()
	}
}

// drop lets the trace go that came first, and returns how many spans it had.
func (t *Table[S]) drop() int {
	oldest := t.arrival[0]
	t.arrival[0] = nil
	t.arrival = t.arrival[1:]
	delete(t.traces, oldest.ID)
	t.spans -= len(oldest.Spans)
	t.bytes -= oldest.bytes
	return len(oldest.Spans)
}

// Spans is the number of spans held, Bytes what they take.
func (t *Table[S]) Spans() int { return t.spans }

// Bytes is what the spans held take.
func (t *Table[S]) Bytes() int { return t.bytes }

// TakeLost is what was lost since it was last called. Traces that expire are not.
func (t *Table[S]) TakeLost() Lost {
	lost := t.lost
	t.lost = Lost{}
	return lost
}
