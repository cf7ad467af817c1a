package correlate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
)

func requestAt(thread int32, at int64, trace, parent byte) Request {
	return Request{Thread: thread, Time: at, Trace: [16]byte{trace}, Parent: [8]byte{parent}}
}

func TestReceivers(t *testing.T) {
	var l Ledger[int]
	now := time.Unix(1000, 0)
	for _, n := range []string{"shop-1", "shop-2", "db"} {
		l.Open(n, Identity{Name: n[:2], Instance: n})
	}
	shops := []Candidate{{"shop-1", TieName, 0.5}, {"shop-2", TieName, 0.5}}
	span := Span{Trace: [16]byte{1}, ID: [8]byte{5}, Parent: [8]byte{2}}
	if got := l.Receivers(&span, shops); !slices.Equal(got, shops) || l.HasRequests() {
		t.Errorf("without requests: %v", got)
	}
	l.Received("shop-2", requestAt(7, 100, 1, 2), requestAt(7, 101, 1, 2))
	l.Received("db", requestAt(8, 110, 1, 5))
	l.Received("gone", requestAt(9, 110, 3, 5))
	cases := map[string]struct {
		span  Span
		among []Candidate
		want  []Candidate
	}{
		"one of two":              {span, shops, []Candidate{{"shop-2", TieTraceContext, 1}}},
		"another trace":           {Span{Trace: [16]byte{2}, Parent: [8]byte{2}}, shops, shops},
		"by no name":              {span, nil, []Candidate{{"shop-2", TieTraceContext, 1}}},
		"by no name, a child":     {Span{Trace: [16]byte{1}, Parent: [8]byte{9}}, nil, nil},
		"by no name, a client":    {Span{Trace: [16]byte{1}, Parent: [8]byte{2}, Waits: true}, nil, nil},
		"received by who is gone": {Span{Trace: [16]byte{3}, Parent: [8]byte{5}}, nil, nil},
	}
	for name, c := range cases {
		if got := l.Receivers(&c.span, c.among); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := l.Called(&span, now); !slices.Equal(got, []Candidate{{"db", TieTraceContext, 1}}) {
		t.Errorf("called: %v", got)
	}
	l.Spans([]Candidate{{Service: "db"}}, now)
	if got := l.Called(&span, now); got != nil {
		t.Errorf("it has spans of its own: %v", got)
	}
	l.Forget("shop-2")
	if got := l.Receivers(&span, shops); !slices.Equal(got, shops) {
		t.Errorf("after it is forgotten: %v", got)
	}
}

// TestMatchByTraceContext: two requests run side by side in one service, and one
// of its threads is abnormal.
func TestMatchByTraceContext(t *testing.T) {
	const ms = int64(time.Millisecond)
	var l Ledger[int]
	l.Open("s", Identity{Name: "s"})
	l.Judge("s", Facts{Threads: map[int32]struct{}{7: {}, 8: {}}})
	v := Verdict[int]{Episode: "e", Score: 1, Start: 0, End: 1000 * ms, Units: []inference.Span{
		{ThreadID: 7, Start: 100 * ms, End: 300 * ms}, {ThreadID: 8, Start: 500 * ms, End: 900 * ms},
	}}
	l.Add("s", v)
	l.Received("s", requestAt(7, 150*ms, 1, 2), requestAt(8, 450*ms, 2, 2), requestAt(9, 150*ms, 3, 2))
	own := []Candidate{{"s", TieName, 1}}
	span := func(trace byte, start, end int64) Span {
		return Span{Trace: [16]byte{trace}, ID: [8]byte{1}, Parent: [8]byte{2}, Start: start * ms, End: end * ms, Services: own}
	}
	for name, c := range map[string]struct {
		span  Span
		way   Way
		cover float64
	}{
		"its thread":                      {span(1, 149, 250), WayTraceContext, 1},
		"its thread, a little before":     {span(1, 165, 250), WayTraceContext, 1},
		"its thread, later":               {span(2, 440, 950), WayTraceContext, 1},
		"another thread":                  {span(3, 149, 250), WayTime, 1},
		"a request that was not received": {span(4, 149, 250), WayTime, 1},
		"received long before":            {span(1, 400, 480), WayTime, 1},
	} {
		got := l.Match([]Span{c.span})
		if len(got) != 1 || got[0].Way != c.way || got[0].Cover != c.cover {
			t.Errorf("%s: %+v", name, got)
		}
	}
	threaded := span(1, 149, 250)
	threaded.ThreadID = 7
	if got := l.Match([]Span{threaded}); len(got) != 1 || got[0].Way != WayThread {
		t.Errorf("the span's own word: %+v", got)
	}
	if q, ok := l.RequestIn("s", &v); !ok || q.Trace != [16]byte{1} {
		t.Errorf("%+v, %v", q, ok)
	}
	if _, ok := l.RequestIn("other", &v); ok {
		t.Error("of another service")
	}
}

// TestRequestsAreBounded holds the table to what a list of the latest gives.
func TestRequestsAreBounded(t *testing.T) {
	r := requests{limit: 50}
	random := rand.New(rand.NewPCG(1, 2))
	var all []Request
	for i := range 2000 {
		q := requestAt(int32(i), int64(i), byte(random.IntN(40)), 1)
		all = append(all, q)
		r.add("s", q)
		if len(r.ring) > 50 || len(r.latest) > 50 {
			t.Fatalf("%d requests, %d traces", len(r.ring), len(r.latest))
		}
		trace := [16]byte{byte(random.IntN(40))}
		var got, want []int64
		r.of(trace, func(e *received) { got = append(got, e.Time) })
		for _, q := range slices.Backward(all[max(0, len(all)-50):]) {
			if q.Trace == trace {
				want = append(want, q.Time)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("after %d: %v, want %v", i+1, got, want)
		}
	}
}
