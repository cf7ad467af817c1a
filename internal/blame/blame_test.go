package blame

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const ms = int64(1e6)

func anomaly(service string, functions ...string) Anomaly {
	a := Anomaly{ID: "of " + service, Service: service, Impact: 0.5}
	for i, f := range functions {
		a.Suspects = append(a.Suspects, Suspect{Function: f, Score: 1 / float64(i+1)})
	}
	return a
}

func id(n byte) [8]byte { return [8]byte{n} }

// chain is front → middle → redis: the front takes 10 ms of its own, the
// middle 5 ms, redis the rest.
func chain(redis int64) []Span {
	return []Span{
		{ID: id(1), Name: "GET /", Service: "front", Start: 0, End: 17*ms + redis},
		{ID: id(2), Parent: id(1), Service: "front", Client: true, Start: 5 * ms, End: 12*ms + redis},
		// The middle's clock is an hour ahead.
		{ID: id(3), Parent: id(2), Name: "GET /stock", Service: "middle", Start: 3600e3 * ms, End: 3600e3*ms + 5*ms + redis},
		{ID: id(4), Parent: id(3), Name: "HGETALL", Service: "middle", Client: true, Callee: "redis", Start: 3600e3*ms + ms, End: 3600e3*ms + ms + redis},
	}
}

func TestSpend(t *testing.T) {
	spans := chain(20 * ms)
	spans[3].Anomalies = []Anomaly{anomaly("redis", "f"), anomaly("redis", "f"), anomaly("middle", "g")}
	var got []string
	for _, s := range Spend(spans) {
		got = append(got, fmt.Sprintf("%s %s %d ms calls %v, %d anomalies", s.Service, s.Operation, s.Own/ms, s.Calls, len(s.Anomalies)))
	}
	// Between the front's client span and the middle's server span pass 2 ms,
	// which are the middle's.
	want := []string{
		"front GET / 10 ms calls [middle], 0 anomalies", "middle GET /stock 7 ms calls [redis], 1 anomalies", "redis HGETALL 20 ms calls [], 1 anomalies",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSpendOfMalformedTraces(t *testing.T) {
	for name, spans := range map[string][]Span{
		"none":           nil,
		"its own parent": {{ID: id(1), Parent: id(1), Service: "a", Start: 5, End: 1}},
		"a circle":       {{ID: id(1), Parent: id(2), Service: "a", End: 9}, {ID: id(2), Parent: id(1), Service: "b", Client: true, End: 9}},
		"no ids":         {{Service: "a", End: 9}, {Service: "b", End: 9}},
	} {
		for _, s := range Spend(spans) {
			if s.Own < 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

func TestRank(t *testing.T) {
	load := func(service string, excess int64, calls []string, anomalies ...Anomaly) Load {
		return Load{Service: service, Excess: excess, Calls: calls, Anomalies: anomalies, Linked: true}
	}
	cases := map[string]struct {
		loads []Load
		want  []string
	}{
		"the callee explains its callers": {[]Load{
			load("front", 2, []string{"middle"}, anomaly("front", "wait")),
			load("middle", 3, []string{"redis"}, anomaly("middle", "read")),
			load("redis", 20, nil, anomaly("redis", "fsync", "beforeSleep")),
		}, []string{"redis fsync cause", "redis beforeSleep cause", "middle read victim", "front wait victim"}},
		"through one that is healthy": {[]Load{
			load("front", 2, []string{"middle"}, anomaly("front", "wait")),
			load("middle", 0, []string{"redis"}),
			load("redis", 20, nil, anomaly("redis", "fsync")),
		}, []string{"redis fsync cause", "front wait victim"}},
		"the caller lost more by itself": {[]Load{
			load("front", 30, []string{"redis"}, anomaly("front", "compute")),
			load("redis", 20, nil, anomaly("redis", "fsync")),
		}, []string{"front compute cause", "redis fsync cause"}},
		"a circle of calls": {[]Load{
			load("a", 1, []string{"b"}, anomaly("a", "f")),
			load("b", 2, []string{"a"}, anomaly("b", "g")),
		}, []string{"b g cause", "a f victim"}},
		"what no trace leads to comes last": {[]Load{
			load("front", 1, nil, anomaly("front", "f")),
			{Service: "cron", Anomalies: []Anomaly{anomaly("cron", "g")}},
		}, []string{"front f cause", "cron g unlinked"}},
		"nothing is abnormal": {[]Load{load("front", 5, nil)}, nil},
		"no time is lost":     {[]Load{load("front", 0, nil, anomaly("front", "f"))}, []string{"front f cause"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range Rank(c.loads) {
				got = append(got, p.Service+" "+p.Function+" "+string(p.Role))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestEveryServiceIsRanked: a service with many suspects leaves room.
func TestEveryServiceIsRanked(t *testing.T) {
	many := anomaly("redis", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l")
	r := Rank([]Load{
		{Service: "front", Calls: []string{"redis"}, Anomalies: []Anomaly{anomaly("front", "wait")}, Linked: true},
		{Service: "redis", Excess: 9, Anomalies: []Anomaly{many}, Linked: true},
	})
	if len(r) != MaxPairs || r[0].Function != "a" || r[MaxPairs-1].Service != "front" {
		t.Errorf("%d pairs: %+v", len(r), r)
	}
}

func TestTableIsBounded(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	table := NewTable[int](Limits{Spans: 3, Bytes: 100})
	for i := range 4 {
		table.Add([16]byte{byte(i)}, i, 10, at(int64(i)))
	}
	if table.Get([16]byte{0}) != nil || table.Spans() != 3 {
		t.Errorf("%d spans held", table.Spans())
	}
	table.Expire(at(3))
	if table.Get([16]byte{2}) != nil || table.Get([16]byte{3}) == nil || table.Spans() != 1 {
		t.Error("expiry")
	}
	NewTable[int](Limits{}).Add([16]byte{}, 1, 1, at(0))
}

func TestTableIsBoundedInBytes(t *testing.T) {
	now := time.Unix(0, 0)
	table := NewTable[int](Limits{Spans: 1 << 20, Bytes: 100})
	for i := range 20 {
		table.Add([16]byte{byte(i)}, i, 30, now)
	}
	table.Add([16]byte{99}, 0, 101, now)
	if table.Spans() != 0 || table.Bytes() != 0 {
		t.Errorf("a span larger than all: %d spans, %d bytes are held", table.Spans(), table.Bytes())
	}
	if lost := table.TakeLost(); lost != (Lost{Bytes: 21}) {
		t.Errorf("lost %+v", lost)
	}
	for range MaxTraceSpans + 5 {
		table.Add([16]byte{1}, 0, 0, now)
	}
	if lost := table.TakeLost(); table.Spans() != MaxTraceSpans || lost != (Lost{Trace: 5}) {
		t.Errorf("%d spans of one trace, lost %+v", table.Spans(), lost)
	}
}

// TestSpendIsBounded: a trace of as many services, calls and anomalies as fit.
func TestSpendIsBounded(t *testing.T) {
	var spans []Span
	for i := range MaxTraceSpans {
		s := Span{ID: [8]byte{byte(i), byte(i >> 8), 1}, Start: 0, End: 10, Service: "one", Client: true, Callee: fmt.Sprint("called ", i)}
		for j := range 4 {
			s.Anomalies = append(s.Anomalies, anomaly(fmt.Sprint("of ", i%3), fmt.Sprint(i, " ", j)))
			s.Anomalies[j].ID = fmt.Sprint(i, " ", j)
		}
		spans = append(spans, s)
	}
	spent := Spend(spans)
	if len(spent) != MaxServices {
		t.Errorf("%d services", len(spent))
	}
	for _, s := range spent {
		if len(s.Calls) > MaxServices || len(s.Anomalies) > maxAnomalies {
			t.Errorf("%s calls %d and has %d anomalies", s.Service, len(s.Calls), len(s.Anomalies))
		}
	}
}

func TestPeriod(t *testing.T) {
	p := NewPeriod(3)
	p.Trace([16]byte{1}, []Load{{Service: "front", Excess: 1, Calls: []string{"redis"}, Anomalies: []Anomaly{anomaly("front", "wait")}}, {Service: "redis", Excess: 5, Anomalies: []Anomaly{anomaly("redis", "fsync")}}})
	p.Trace([16]byte{2}, []Load{{Service: "redis", Excess: 9, Anomalies: []Anomaly{anomaly("redis", "fsync")}}})
	p.Trace([16]byte{3}, []Load{{Service: "front", Excess: 100}})
	p.Anomaly(anomaly("cron", "g"))
	p.Anomaly(anomaly("one too many", "h"))
	groups := p.Rank()
	if len(groups) != 2 {
		t.Fatalf("%+v", groups)
	}
	// What the front lost in a trace without anomalies does not count for it.
	r := groups[1].Ranking
	if len(r) != 2 || groups[1].Traces != 2 || groups[1].Worst != [16]byte{2} || r[0].Service != "redis" || r[1].Role != Victim {
		t.Errorf("%+v", groups[1])
	}
	if r := groups[0].Ranking; len(r) != 1 || r[0].Service != "cron" || r[0].Role != Unlinked || groups[0].Traces != 0 {
		t.Errorf("%+v", groups[0])
	}
}

// TestGroups: what is abnormal in the same traces is one group, through any
// number of traces; a service that is healthy links none.
func TestGroups(t *testing.T) {
	trace := func(services ...string) (loads []Load) {
		for _, s := range services {
			l := Load{Service: s, Excess: 1}
			if s != "healthy" {
				l.Anomalies = []Anomaly{anomaly(s, "f")}
			}
			loads = append(loads, l)
		}
		return loads
	}
	p := NewPeriod(10)
	for i, services := range [][]string{{"a", "b", "healthy"}, {"c", "d", "healthy"}, {"d", "e"}, {"e", "a"}, {"x", "healthy"}} {
		p.Trace([16]byte{byte(i)}, trace(services...))
	}
	var got []string
	for _, g := range p.Rank() {
		services := map[string]bool{}
		for _, pair := range g.Ranking {
			services[pair.Service] = true
		}
		got = append(got, fmt.Sprint(len(services), " in ", g.Traces))
	}
	slices.Sort(got)
	if want := []string{"1 in 1", "5 in 4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestReplicas: instances with the same first suspect are one cause, by the
// worst of them; another first suspect, or none, is another.
func TestReplicas(t *testing.T) {
	with := func(id string, impact float64, functions ...string) Anomaly {
		a := anomaly("shop", functions...)
		a.ID, a.Impact = id, impact
		return a
	}
	var got []string
	for _, p := range Rank([]Load{{Service: "shop", Linked: true, Excess: 1, Anomalies: []Anomaly{
		with("1", 0.2, "f", "g"), with("2", 0.9, "f", "h"), with("3", 0.5, "x"), with("4", 0.5),
	}}}) {
		got = append(got, fmt.Sprint(p.Function, p.Anomalies))
	}
	if want := []string{"[4]", "f[1 2]", "x[3]", "h[1 2]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
