package slowdown

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/correlate"
)

func TestCompany(t *testing.T) {
	var s stretches
	for _, span := range []interval{{100, 200}, {150, 205}, {400, 500}, {400, 500}, {700, 800}, {790, 900}, {650, 720}} {
		s.add(span)
	}
	for name, c := range map[string]struct {
		span interval
		want int
	}{
		"one of two that overlap":     {interval{100, 200}, together},
		"a short one beside them":     {interval{190, 200}, together},
		"less than a half beside":     {interval{195, 225}, alone},
		"a clearly slow one alone":    {interval{400, 500}, alone},
		"another one beside it":       {interval{410, 420}, together},
		"between":                     {interval{300, 310}, alone},
		"after all":                   {interval{1000, 1010}, alone},
		"what came later joins two":   {interval{650, 720}, together},
		"as long as several together": {interval{600, 950}, together},
	} {
		if got := s.company(c.span); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if len(s) != 3 {
		t.Errorf("%d stretches: %v", len(s), s)
	}
	for i := range int64(1000) {
		s.add(interval{2000 + 10*i, 2005 + 10*i})
	}
	if len(s) != maxStretches || s.company(interval{11990, 11996}) != together {
		t.Errorf("%d stretches, the last %v", len(s), s[len(s)-1])
	}
}

// TestWhoWaitsTogether is a lock that is held now and then: who comes just before it is let
// go waits no longer than some take anyway, and does so beside others.
func TestWhoWaitsTogether(t *testing.T) {
	const ms = int64(time.Millisecond)
	right, told, waited := 0, 0, 0
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		healthy := func() int64 {
			if r.Float64() < 0.07 {
				return 4*ms + r.Int64N(26*ms)
			}
			return ms + r.Int64N(ms)
		}
		d, now := New[int](), int64(0)
		for range 300 {
			now += int64(time.Second)
			d.Sift(&Spans[int]{Kinds: []string{"SELECT"}, Spans: []correlate.Span{{Start: now - healthy(), End: now}}})
		}
		for range 16 { // They are let go some at a time.
			part, waits := &Spans[int]{}, map[int]bool{}
			for i := range 40 {
				now += r.Int64N(60 * ms)
				took := healthy()
				// It is held for the last 150 of 500 ms.
				if left := 500*ms - now%(500*ms); left < 150*ms {
					waits[i] = left > 2*ms
					took += left
				}
				if waits[i] {
					waited++
				}
				part.Kinds, part.Spans = append(part.Kinds, "SELECT"), append(part.Spans, correlate.Span{Start: now, End: now + took})
				part.Matches = append(part.Matches, correlate.Match[int]{Span: i})
			}
			d.Count(part)
			for _, m := range d.Sift(part) {
				if told++; waits[m.Span] {
					right++
				}
			}
		}
	}
	if precision, recall := float64(right)/float64(told), float64(right)/float64(waited); precision < 0.97 || recall < 0.95 {
		t.Errorf("precision %.3f, recall %.3f of %d that waited", precision, recall, waited)
	}
}
