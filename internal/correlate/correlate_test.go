package correlate

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/internal/suspect"
)

func TestIdentityMatches(t *testing.T) {
	service := Identity{Name: "shop", Namespace: "eu", Instance: "shop-1", HostID: "h1", HostName: "node1"}
	inContainer := Identity{Name: "shop", HostName: "node1", Container: "c1"}
	cases := map[string]struct {
		service, span Identity
		want          bool
	}{
		"name alone":            {service, Identity{Name: "shop"}, true},
		"other name":            {service, Identity{Name: "cart"}, false},
		"other namespace":       {service, Identity{Name: "shop", Namespace: "us"}, false},
		"same instance":         {service, Identity{Name: "shop", Instance: "shop-1", HostID: "h2"}, true},
		"sdk's own instance":    {service, Identity{Name: "shop", Instance: "0af7651916cd43dd", HostID: "h1"}, true},
		"other host":            {service, Identity{Name: "shop", HostID: "h2"}, false},
		"same id, name differs": {service, Identity{Name: "shop", HostID: "h1", HostName: "node1.example"}, true},
		"other host name":       {service, Identity{Name: "shop", HostName: "node2"}, false},
		"container's host name": {inContainer, Identity{Name: "shop", HostName: "5f3c0a"}, true},
		"other container":       {inContainer, Identity{Name: "shop", Container: "c2"}, false},
		"no name anywhere":      {Identity{}, Identity{}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.service.Matches(c.span); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestFindPrefersTheProcess(t *testing.T) {
	var l Ledger[int]
	for _, n := range []string{"a", "b"} {
		l.Open(n, Identity{Name: "shop", Instance: n})
	}
	l.Open("other", Identity{Name: "cart"})
	l.Judge("b", 1, nil, map[int64]struct{}{42: {}})
	if got := l.Find(Identity{Name: "shop"}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("by name: %v", got)
	}
	if got := l.Find(Identity{Name: "shop", PID: 42}); !slices.Equal(got, []string{"b"}) {
		t.Errorf("by process: %v", got)
	}
	l.Forget("b")
	l.Forget("b")
	if got := l.Find(Identity{Name: "shop", PID: 42}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after Forget: %v", got)
	}
	if _, known := l.Judged("b"); known {
		t.Error("b is still known")
	}
}

func TestMatch(t *testing.T) {
	verdict := func(episode string, score float64, start, end int64, units ...suspect.Span) Verdict[string] {
		return Verdict[string]{Episode: episode, Score: score, Start: start, End: end, Units: units, Value: fmt.Sprintf("%s@%d", episode, start)}
	}
	cases := map[string]struct {
		verdicts []Verdict[string]
		span     Span
		want     []string
		at       int64
	}{
		"apart":                    {[]Verdict[string]{verdict("e", 2, 100, 200)}, Span{Start: 201, End: 300}, nil, 0},
		"whole service":            {[]Verdict[string]{verdict("e", 2, 100, 200)}, Span{Start: 50, End: 150}, []string{"e@100"}, 100},
		"inside a unit":            {[]Verdict[string]{verdict("e", 2, 100, 200, suspect.Span{ThreadID: 7, Start: 100, End: 200})}, Span{Start: 120, End: 121}, []string{"e@100"}, 120},
		"between units":            {[]Verdict[string]{verdict("e", 2, 100, 200, suspect.Span{ThreadID: 7, Start: 100, End: 110})}, Span{Start: 120, End: 130}, nil, 0},
		"same thread":              {[]Verdict[string]{verdict("e", 2, 100, 200, suspect.Span{ThreadID: 7, Start: 100, End: 200})}, Span{Start: 120, End: 130, ThreadID: 7}, []string{"e@100"}, 120},
		"healthy thread":           {[]Verdict[string]{verdict("e", 2, 100, 200, suspect.Span{ThreadID: 7, Start: 100, End: 200})}, Span{Start: 120, End: 130, ThreadID: 8}, nil, 0},
		"runtime's own thread id":  {[]Verdict[string]{verdict("e", 2, 100, 200, suspect.Span{ThreadID: 7, Start: 100, End: 200})}, Span{Start: 120, End: 130, ThreadID: 1}, []string{"e@100"}, 120},
		"one per episode":          {[]Verdict[string]{verdict("e", 2, 100, 200), verdict("e", 5, 200, 300), verdict("e", 3, 300, 400)}, Span{Start: 0, End: 400}, []string{"e@200"}, 200},
		"episodes in time's order": {[]Verdict[string]{verdict("f", 2, 300, 400), verdict("e", 1, 100, 200)}, Span{Start: 0, End: 400}, []string{"e@100", "f@300"}, 100},
		"the worst, bounded": {[]Verdict[string]{verdict("a", 1, 1, 2), verdict("b", 9, 2, 3), verdict("c", 8, 3, 4), verdict("d", 7, 4, 5), verdict("e", 6, 5, 6)},
			Span{Start: 0, End: 400}, []string{"b@2", "c@3", "d@4", "e@5"}, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l Ledger[string]
			l.Open("s", Identity{Name: "s"})
			l.Judge("s", 1000, map[int32]struct{}{7: {}, 8: {}}, nil)
			for _, v := range c.verdicts {
				l.Add("s", v)
			}
			var got []string
			found := l.Match([]string{"s", "unknown"}, c.span)
			for _, m := range found {
				got = append(got, m.Verdict.Value)
			}
			if !slices.Equal(got, c.want) || len(found) > 0 && found[0].At != c.at {
				t.Errorf("got %+v, want %v at %d", found, c.want, c.at)
			}
		})
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	var l Ledger[int]
	l.Open("s", Identity{Name: "s"})
	for i := range 3 * MaxVerdicts {
		l.Add("s", Verdict[int]{Episode: fmt.Sprint(i), Start: int64(i), End: int64(i), Value: i})
	}
	if n := len(l.services["s"].verdicts); n != MaxVerdicts {
		t.Errorf("%d kept", n)
	}
	if got := l.Match([]string{"s"}, Span{Start: 3*MaxVerdicts - 1, End: 3 * MaxVerdicts}); len(got) != 1 {
		t.Errorf("the newest is gone: %v", got)
	}
}

func TestStore(t *testing.T) {
	now := time.Unix(100, 0)
	judged := map[string]int64{"a": 50, "b": 10}
	lookup := func(s string) (int64, bool) { v, ok := judged[s]; return v, ok }
	hold := func(item string, until int64, seconds int, services ...string) Held[string] {
		return Held[string]{Item: item, Until: until, Spans: 2, Services: services, Deadline: now.Add(time.Duration(seconds) * time.Second)}
	}
	s := NewStore[string](10)
	for _, h := range []Held[string]{
		hold("judged", 50, 5, "a"),
		hold("waits", 51, 5, "a"),
		hold("waits for b", 20, 5, "a", "b"),
		hold("gone", 20, 5, "c"),
		hold("late", 60, 0, "a"),
	} {
		if out := s.Put(h); out != nil {
			t.Fatalf("evicted %v", out)
		}
	}
	ready, why := s.Take(now, lookup)
	var got []string
	for i := range ready {
		got = append(got, ready[i].Item+": "+string(why[i]))
	}
	if want := []string{"judged: judged", "gone: service_gone", "late: timeout"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if s.Spans() != 4 {
		t.Errorf("%d spans held", s.Spans())
	}
	judged["a"], judged["b"] = 51, 20
	if ready, _ = s.Take(now, lookup); len(ready) != 2 || s.Spans() != 0 {
		t.Errorf("got %v, %d spans left", ready, s.Spans())
	}
}

func TestStoreEvictsTheOldest(t *testing.T) {
	s := NewStore[int](10)
	for i, n := range []int{4, 4, 2} {
		s.Put(Held[int]{Item: i, Spans: n})
	}
	items := func(held []Held[int]) (out []int) {
		for _, h := range held {
			out = append(out, h.Item)
		}
		return out
	}
	if got := items(s.Put(Held[int]{Item: 3, Spans: 5})); !slices.Equal(got, []int{0, 1}) || s.Spans() != 7 {
		t.Errorf("evicted %v, %d left", got, s.Spans())
	}
	if got := items(s.Put(Held[int]{Item: 4, Spans: 11})); !slices.Equal(got, []int{4}) || s.Spans() != 7 {
		t.Errorf("evicted %v, %d left", got, s.Spans())
	}
	var seen []int
	s.Each(func(h *Held[int]) bool { seen = append(seen, h.Item); return true })
	if !slices.Equal(seen, []int{2, 3}) || !reflect.DeepEqual(items(s.Drain()), []int{2, 3}) || s.Spans() != 0 {
		t.Errorf("held %v", seen)
	}
}
