package usual

import (
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	h, now := New(2), time.Unix(0, 0)
	note := func(key string, ns int64) {
		now = now.Add(every)
		h.Note(key, now, ns)
	}
	for range leastSamples - 1 {
		note("a", 5)
	}
	if _, known := h.Usual("a", 0.5); known {
		t.Error("too few samples are too few")
	}
	for i := range 3 * samples {
		note("a", int64(i))
		h.Note("a", now, 1e9) // too soon after the one before
	}
	if m, known := h.Usual("a", 0.5); !known || m != int64(2*samples+samples/2) {
		t.Errorf("median %d", m)
	}
	if m, _ := h.Usual("a", 1); m != 3*samples-1 {
		t.Errorf("most %d", m)
	}
	if b, known := h.Below("a", int64(2*samples+samples/4)); !known || b != 0.25 {
		t.Errorf("%v below", b)
	}
	if _, known := h.Below("nobody", 1); known {
		t.Error("nothing is known of nobody")
	}
	h.Note("a", now.Add(time.Hour), 7) // a clock that is ahead
	for range samples {
		note("a", 3)
	}
	if m, _ := h.Usual("a", 0.5); m != 3 {
		t.Errorf("after a time from the future the median is %d", m)
	}
	note("b", 1)
	note("a", 1)
	note("c", 1)
	if _, known := h.byKey["b"]; known || h.Len() != 2 {
		t.Error("b was not used for longest, or too many are held")
	}
}
