package correlate

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/inference"
)

func TestTie(t *testing.T) {
	service := Identity{Name: "shop", Namespace: "eu", Instance: "shop-1", HostID: "h1", HostName: "node1"}
	inContainer := Identity{Name: "shop", HostName: "node1", Container: "c1", Pod: "p1"}
	cases := map[string]struct {
		service, span Identity
		running       bool
		want          Tie
	}{
		"name alone":            {service, Identity{Name: "shop"}, false, TieName},
		"other name":            {service, Identity{Name: "cart"}, false, ""},
		"other namespace":       {service, Identity{Name: "shop", Namespace: "us"}, false, ""},
		"same instance":         {service, Identity{Name: "shop", Instance: "shop-1", HostID: "h2"}, false, TieInstance},
		"sdk's own instance":    {service, Identity{Name: "shop", Instance: "0af7651916cd43dd", HostID: "h1"}, false, TieName},
		"other host":            {service, Identity{Name: "shop", HostID: "h2"}, false, ""},
		"same id, name differs": {service, Identity{Name: "shop", HostID: "h1", HostName: "node1.example"}, false, TieName},
		"other host name":       {service, Identity{Name: "shop", HostName: "node2"}, false, ""},
		"container's host name": {inContainer, Identity{Name: "shop", HostName: "5f3c0a"}, false, TieName},
		"same container":        {inContainer, Identity{Name: "named in code", Container: "c1"}, false, TieContainer},
		"other container":       {inContainer, Identity{Name: "shop", Container: "c2"}, false, ""},
		"same pod":              {inContainer, Identity{Name: "shop", Pod: "p1"}, false, TiePod},
		"sidecar in the pod":    {inContainer, Identity{Name: "proxy", Pod: "p1"}, false, ""},
		"process":               {service, Identity{Name: "shop", PID: 7}, true, TieProcess},
		"process, other name":   {service, Identity{Name: "named in code", PID: 7, HostID: "h1"}, true, TieProcess},
		"pid of another host":   {service, Identity{Name: "named in code", PID: 7, HostID: "h2"}, true, ""},
		"pid of who knows":      {service, Identity{Name: "named in code", PID: 7}, true, ""},
		"no name anywhere":      {Identity{}, Identity{}, false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.service.tie(c.span, c.running); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestFindPrefersTheStrongestTie(t *testing.T) {
	var l Ledger[int]
	for _, n := range []string{"a", "b"} {
		l.Open(n, Identity{Name: "shop", Instance: n, HostID: "h1"})
	}
	l.Open("other", Identity{Name: "cart", Container: "c1"})
	l.Judge("b", Facts{Until: 1, PIDs: map[int64]struct{}{42: {}}})
	cases := map[string]struct {
		span Identity
		want []Candidate
	}{
		"name":      {Identity{Name: "shop"}, []Candidate{{"a", TieName, 0.5}, {"b", TieName, 0.5}}},
		"process":   {Identity{Name: "shop", PID: 42}, []Candidate{{"b", TieProcess, 1}}},
		"pid alone": {Identity{Name: "x", HostID: "h1", PID: 42}, []Candidate{{"b", TieProcess, 1}}},
		"instance":  {Identity{Name: "shop", Instance: "a", PID: 42}, []Candidate{{"a", TieInstance, 1}}},
		"container": {Identity{Name: "x", Container: "c1"}, []Candidate{{"other", TieContainer, 1}}},
		"nobody":    {Identity{Name: "x"}, nil},
	}
	for name, c := range cases {
		if got := l.Find(c.span); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
	l.Forget("b")
	l.Forget("b")
	if got := l.Find(Identity{Name: "shop", PID: 42}); !slices.Equal(got, []Candidate{{"a", TieName, 1}}) {
		t.Errorf("after Forget: %v", got)
	}
	if _, known := l.Judged("b"); known || len(l.byPID) != 0 {
		t.Error("b is still known")
	}
}

func TestMatch(t *testing.T) {
	verdict := func(episode string, score float64, start, end int64, units ...inference.Span) Verdict[string] {
		return Verdict[string]{Episode: episode, Score: score, Start: start, End: end, Units: units, Value: fmt.Sprintf("%s@%d", episode, start)}
	}
	on := func(thread int32, start, end int64) inference.Span {
		return inference.Span{ThreadID: thread, Start: start, End: end}
	}
	span := func(start, end, thread int64) Span {
		return Span{Start: start, End: end, ThreadID: thread, ID: [8]byte{1}, Services: []Candidate{{"s", TieName, 1}, {"unknown", TieName, 1}}}
	}
	cases := map[string]struct {
		verdicts []Verdict[string]
		span     Span
		want     []string
		at       int64
	}{
		"apart":                          {[]Verdict[string]{verdict("e", 2, 100, 200)}, span(201, 300, 0), nil, 0},
		"whole service":                  {[]Verdict[string]{verdict("e", 2, 100, 200)}, span(50, 151, 0), []string{"e@100"}, 100},
		"mostly before":                  {[]Verdict[string]{verdict("e", 2, 100, 200)}, span(0, 110, 0), nil, 0},
		"all of it in a long span":       {[]Verdict[string]{verdict("e", 2, 100, 200)}, span(0, 9000, 0), []string{"e@100"}, 100},
		"inside a unit":                  {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 200))}, span(120, 121, 0), []string{"e@100"}, 120},
		"no length":                      {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 200))}, span(120, 120, 0), []string{"e@100"}, 120},
		"between units":                  {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 110))}, span(120, 130, 0), nil, 0},
		"own thread":                     {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 200))}, span(120, 130, 7), []string{"e@100"}, 120},
		"other thread":                   {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 200))}, span(120, 130, 8), nil, 0},
		"a thread of the runtime":        {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 200))}, span(120, 130, 1<<40+7), []string{"e@100"}, 120},
		"the worst of an episode":        {[]Verdict[string]{verdict("e", 2, 100, 200), verdict("e", 3, 200, 300), verdict("f", 1, 300, 400)}, span(0, 400, 0), []string{"e@200", "f@300"}, 200},
		"between the hops of an episode": {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 180)), verdict("e", 3, 200, 300, on(7, 220, 300))}, span(185, 215, 0), []string{"e@200"}, 185},
		"between two episodes":           {[]Verdict[string]{verdict("e", 2, 100, 200, on(7, 100, 180)), verdict("f", 3, 200, 300, on(7, 220, 300))}, span(185, 215, 0), nil, 0},
		"the worst, bounded": {[]Verdict[string]{verdict("a", 1, 1, 2), verdict("b", 9, 2, 3), verdict("c", 8, 3, 4), verdict("d", 7, 4, 5), verdict("e", 6, 5, 6)},
			span(0, 400, 0), []string{"b@2", "c@3", "d@4", "e@5"}, 2},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l Ledger[string]
			l.Open("s", Identity{Name: "s"})
			l.Judge("s", Facts{Until: 1000, Threads: map[int32]struct{}{7: {}, 8: {}}})
			for _, v := range c.verdicts {
				l.Add("s", v)
			}
			var got []string
			found := l.Match([]Span{c.span})
			for _, m := range found {
				got = append(got, m.Verdict.Value)
			}
			if !slices.Equal(got, c.want) || len(found) > 0 && found[0].At != c.at {
				t.Errorf("got %+v, want %v at %d", found, c.want, c.at)
			}
		})
	}
}

// TestMatchWithinARequest holds which span of a request gets the verdict.
func TestMatchWithinARequest(t *testing.T) {
	const ms = 1
	node := func(id, parent byte, start, end int64) Span {
		return Span{ID: [8]byte{id}, Parent: [8]byte{parent}, Start: start, End: end, Services: []Candidate{{"s", TieName, 1}}}
	}
	waits := func(s Span) Span { s.Waits = true; return s }
	threaded := func(s Span, id int64) Span { s.ThreadID = id; return s }
	cases := map[string]struct {
		units []inference.Span
		spans []Span
		want  []int
	}{
		"the leaf that takes long": {nil, []Span{node(1, 9, 0, 100), node(2, 1, 10*ms, 90*ms), node(3, 2, 20, 80)}, []int{2}},
		"the parent's own work":    {nil, []Span{node(1, 9, 0, 100), node(2, 1, 10, 20), node(3, 1, 30, 40)}, []int{0}},
		"not the wait for another": {nil, []Span{node(1, 9, 0, 100), waits(node(2, 1, 10, 95))}, []int{0}},
		"the request as a whole":   {nil, []Span{node(1, 9, 0, 100), waits(node(2, 1, 0, 100))}, []int{0}},
		"a wait when nothing else": {nil, []Span{waits(node(2, 1, 0, 100))}, []int{0}},
		"each request":             {nil, []Span{node(1, 9, 0, 40), node(2, 8, 10, 50)}, []int{0, 1}},
		"the thread":               {[]inference.Span{{ThreadID: 7, Start: 0, End: 200}}, []Span{threaded(node(1, 9, 0, 100), 8), threaded(node(2, 1, 40, 60), 7)}, []int{1}},
		"the part that is covered": {[]inference.Span{{ThreadID: 7, Start: 40, End: 50}}, []Span{node(1, 9, 0, 100), node(2, 1, 40, 50)}, []int{1}},
		"a circle":                 {nil, []Span{node(1, 2, 0, 100), node(2, 1, 0, 100)}, []int{0}},
		"its own parent":           {nil, []Span{node(1, 1, 0, 100)}, []int{0}},
		"twice the same id":        {nil, []Span{node(1, 9, 0, 100), node(1, 9, 0, 100)}, []int{0, 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l Ledger[int]
			l.Open("s", Identity{Name: "s"})
			l.Judge("s", Facts{Threads: map[int32]struct{}{7: {}, 8: {}}})
			l.Add("s", Verdict[int]{Episode: "e", Score: 1, Start: 0, End: 200, Units: c.units})
			var got []int
			for _, m := range l.Match(c.spans) {
				got = append(got, m.Span)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("spans %v, want %v", got, c.want)
			}
		})
	}
}

func TestCallersOfAServerWithoutSpans(t *testing.T) {
	db := Identity{Name: "redis", HostID: "h1", HostName: "db-1"}
	now := time.Unix(1000, 0)
	local := Identity{Name: "shop", HostID: "h1"}
	remote := Identity{Name: "shop", HostID: "h2"}
	cases := map[string]struct {
		sockets string
		host    string
		port    uint16
		caller  Identity
		want    float64
	}{
		"loopback":              {"127.0.0.1:6379", "127.0.0.1", 6379, local, 1},
		"loopback, v6 socket":   {"[::]:6379", "127.0.0.1", 6379, local, 1},
		"loopback, other host":  {"127.0.0.1:6379", "127.0.0.1", 6379, remote, 0},
		"loopback, host untold": {"127.0.0.1:6379", "localhost", 6379, Identity{}, 1},
		"other port":            {"127.0.0.1:6379", "127.0.0.1", 6380, local, 0},
		"address":               {"10.0.0.5:6379", "10.0.0.5", 6379, remote, 1},
		"mapped address":        {"10.0.0.5:6379", "::ffff:10.0.0.5", 6379, remote, 1},
		"other address":         {"10.0.0.5:6379", "10.0.0.6", 6379, remote, 0},
		"everywhere":            {"0.0.0.0:6379", "10.0.0.9", 6379, remote, 1},
		"another's address":     {"0.0.0.0:6379", "10.0.0.8", 6379, remote, 0},
		"host's name":           {"0.0.0.0:6379", "DB-1.example", 6379, remote, 1},
		"host's name, loopback": {"127.0.0.1:6379", "db-1", 6379, remote, 0},
		"alias":                 {"0.0.0.0:6379", "redis.prod.svc", 6379, remote, 0.5},
		"some name":             {"0.0.0.0:6379", "cache.example", 6379, remote, 0},
		"no name":               {"0.0.0.0:6379", "", 6379, remote, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var l Ledger[int]
			l.Open("db", db)
			socket, ok := ParseSocket(c.sockets)
			address, _ := ParseSocket("10.0.0.9:0")
			if !ok {
				t.Fatal(c.sockets)
			}
			l.Judge("db", Facts{Sockets: []Socket{socket}, Addresses: append(l.services["db"].facts.Addresses, address.Addr())})
			l.Add("db", Verdict[int]{Episode: "e", Start: 0, End: 100})
			found := l.FindPeer(c.caller, now, Peer{Host: "nowhere", Port: 1}, Peer{Host: c.host, Port: c.port, By: TieServerAddress})
			if len(found) == 0 {
				found = []Candidate{{}}
			}
			if found[0].Certainty != c.want {
				t.Fatalf("certainty %v", found)
			}
			if c.want == 0 {
				return
			}
			match := l.Match([]Span{{Start: 10, End: 20, Waits: true, Peers: found}})
			if len(match) != 1 || !match[0].Called || match[0].Confidence() != c.want {
				t.Errorf("matches %+v", match)
			}
			// Once it sends spans, its callers are not told for it.
			l.Spans([]Candidate{{Service: "db"}}, now)
			if found := l.FindPeer(c.caller, now.Add(time.Minute), Peer{Host: c.host, Port: c.port}); found != nil {
				t.Errorf("found %v", found)
			}
			if found := l.FindPeer(c.caller, now.Add(2*spansLast), Peer{Host: c.host, Port: c.port}); len(found) != 1 {
				t.Error("it sends none any more")
			}
			l.Forget("db")
			if l.Callable() {
				t.Error("a service that is forgotten is still called")
			}
		})
	}
}

// TestPodsShareTheirLoopback: containers do not, but for those of a pod.
func TestPodsShareTheirLoopback(t *testing.T) {
	a := Identity{Container: "a", Pod: "p"}
	if !a.sharesLoopback(Identity{Container: "b", Pod: "p"}) || a.sharesLoopback(Identity{Container: "b"}) {
		t.Error("loopback")
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
	of := []Candidate{{Service: "s"}}
	if got := l.Match([]Span{{Start: 3*MaxVerdicts - 1, End: 3 * MaxVerdicts, Services: of}}); len(got) != 1 {
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
	s := NewStore[string](Limits{Spans: 20, Bytes: 100})
	for _, h := range []Held[string]{
		hold("judged", 50, 5, "a"),
		hold("waits", 51, 5, "a"),
		hold("waits for b", 20, 5, "a", "b"),
		hold("gone", 20, 5, "c"),
		hold("late", 60, 0, "a"),
		hold("gathered", 0, 0),
		hold("gathers", 0, 5),
	} {
		if out := s.Put(h); out != nil {
			t.Fatalf("evicted %v", out)
		}
	}
	ready := s.Take(now, lookup)
	var got []string
	for i := range ready {
		got = append(got, ready[i].Item+": "+string(ready[i].Why))
	}
	if want := []string{"judged: judged", "gone: service_gone", "late: timeout", "gathered: gathered"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if s.Spans() != 6 {
		t.Errorf("%d spans held", s.Spans())
	}
	judged["a"], judged["b"] = 51, 20
	if ready = s.Take(now, lookup); len(ready) != 2 || s.Spans() != 2 {
		t.Errorf("got %v, %d spans left", ready, s.Spans())
	}
}

func TestStoreEvictsTheOldest(t *testing.T) {
	s := NewStore[int](Limits{Spans: 10, Bytes: 100})
	for i, n := range []int{4, 4, 2} {
		s.Put(Held[int]{Item: i, Spans: n, Bytes: 10})
	}
	items := func(list []Released[int], why Reason) (out []int) {
		for _, r := range list {
			if r.Why != why {
				t.Errorf("%d was let go for %s, not %s", r.Item, r.Why, why)
			}
			out = append(out, r.Item)
		}
		return out
	}
	if got := items(s.Put(Held[int]{Item: 3, Spans: 5, Bytes: 10}), ReasonSpans); !slices.Equal(got, []int{0, 1}) || s.Spans() != 7 {
		t.Errorf("evicted %v, %d left", got, s.Spans())
	}
	if got := items(s.Put(Held[int]{Item: 4, Spans: 11}), ReasonSpans); !slices.Equal(got, []int{4}) || s.Spans() != 7 {
		t.Errorf("evicted %v, %d left", got, s.Spans())
	}
	if got := items(s.Put(Held[int]{Item: 5, Spans: 1, Bytes: 101}), ReasonBytes); !slices.Equal(got, []int{5}) {
		t.Errorf("evicted %v", got)
	}
	if got := items(s.Put(Held[int]{Item: 6, Spans: 1, Bytes: 85}), ReasonBytes); !slices.Equal(got, []int{2}) || s.Bytes() != 95 {
		t.Errorf("evicted %v, %d bytes left", got, s.Bytes())
	}
	var seen []int
	s.Each(func(h *Held[int]) bool { seen = append(seen, h.Item); return true })
	if !slices.Equal(seen, []int{3, 6}) || !reflect.DeepEqual(items(s.Drain(ReasonShutdown), ReasonShutdown), []int{3, 6}) || s.Spans() != 0 || s.Bytes() != 0 {
		t.Errorf("held %v", seen)
	}
}

// TestMatchOfAnySpans holds what must be so of any spans, well-formed or not:
// a match lies within its span, and no span has more than its share.
func TestMatchOfAnySpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var l Ledger[int]
		l.Open("s", Identity{Name: "s"})
		for e := range 8 {
			start := r.Int64N(100)
			v := Verdict[int]{Episode: fmt.Sprint(e % 6), Score: r.Float64(), Start: start, End: start + r.Int64N(50)}
			for range r.IntN(3) {
				v.Units = append(v.Units, inference.Span{ThreadID: int32(r.IntN(3)), Start: start, End: start + r.Int64N(50)})
			}
			l.Add("s", v)
		}
		spans := make([]Span, 1+r.IntN(12))
		of := []Candidate{{"s", TieName, 1}}
		for i := range spans {
			start := r.Int64N(100)
			spans[i] = Span{
				ID: [8]byte{byte(r.IntN(8))}, Parent: [8]byte{byte(r.IntN(8))}, Start: start, End: start + r.Int64N(60) - 5,
				ThreadID: r.Int64N(3), Waits: r.IntN(3) == 0, Services: of,
			}
			if spans[i].Waits {
				spans[i].Peers = of
			}
		}
		perSpan := map[int]int{}
		for _, m := range l.Match(spans) {
			s := spans[m.Span]
			if perSpan[m.Span]++; perSpan[m.Span] > MaxMatches {
				t.Fatalf("span %d has %d", m.Span, perSpan[m.Span])
			}
			if m.At < s.Start || m.At > max(s.Start, s.End) || m.Cover < leastCover || m.Cover > 1 || m.Confidence() > 1 {
				t.Fatalf("match %+v of span %+v", m, s)
			}
		}
	}
}
