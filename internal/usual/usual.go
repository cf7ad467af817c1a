// Package usual remembers how long things usually take.
package usual

import (
	"container/list"
	"slices"
	"time"
)

const (
	// samples are kept per key, and one is taken every so often: what is
	// usual is that of about the last minute, whatever the number of requests.
	samples = 256
	every   = 250 * time.Millisecond
	// setBack is how late something is that is not late: the last one came from
	// a clock that was ahead.
	setBack = time.Minute
	// leastSamples are needed to speak of what is usual.
	leastSamples = 10
)

// Times are the usual times per key, of a bounded number of keys: those not
// used for longest are forgotten. It is not safe for concurrent use.
type Times struct {
	limit int
	byKey map[string]*list.Element
	used  *list.List // most recently used first
}

type history struct {
	key   string
	times [samples]float32 // to a ten-millionth, for half of the memory
	n     int              // ever noted
	last  time.Time
	// sorted is times in order, nil when it has to be made.
	sorted []float32
}

// New holds at most limit keys.
func New(limit int) *Times {
	return &Times{limit: limit, byKey: map[string]*list.Element{}, used: list.New()}
}

// Note enters how long something took, in nanoseconds, that was over at an
// instant. Of those within a quarter of a second the first to come counts, and what comes late
// does not: it is told in batches, each in about its order.
func (h *Times) Note(key string, at time.Time, ns int64) {
	place := h.byKey[key]
	if place == nil {
		if h.used.Len() >= h.limit {
			oldest := h.used.Back()
			delete(h.byKey, oldest.Value.(*history).key)
			h.used.Remove(oldest)
		}
		place = h.used.PushFront(&history{key: key})
		h.byKey[key] = place
	}
	e := place.Value.(*history)
	if since := at.Sub(e.last); e.n > 0 && since < every && since > -setBack {
		return
	}
	h.used.MoveToFront(place)
	e.times[e.n%samples] = float32(ns)
	e.n++
	e.last, e.sorted = at, nil
}

// Usual is the time below which a share q, 0 to 1, of the latest ones lies;
// false as long as too few are known.
func (h *Times) Usual(key string, q float64) (int64, bool) {
	at := h.byKey[key]
	if at == nil {
		return 0, false
	}
	e := at.Value.(*history)
	n := min(e.n, samples)
	if n < leastSamples {
		return 0, false
	}
	if e.sorted == nil {
		e.sorted = slices.Clone(e.times[:n])
		slices.Sort(e.sorted)
	}
	return int64(e.sorted[min(int(q*float64(n)), n-1)]), true
}

// Below is the share of the latest times that are less than one; false as
// long as too few are known.
func (h *Times) Below(key string, ns int64) (float64, bool) {
	if _, known := h.Usual(key, 0); !known {
		return 0, false
	}
	sorted := h.byKey[key].Value.(*history).sorted
	n, _ := slices.BinarySearch(sorted, float32(ns))
	return float64(n) / float64(len(sorted)), true
}

// Len is the number of keys held.
func (h *Times) Len() int { return h.used.Len() }
