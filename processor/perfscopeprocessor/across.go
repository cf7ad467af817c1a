package perfscopeprocessor

import (
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/usual"
)

const (
	// median is which part of the past an own time is held against: half of
	// the requests of a kind take longer, so what is beyond it adds up.
	median = 0.5
	// maxHabits bounds the kinds of request, and of span, whose usual time is
	// held: 1 kB each.
	maxHabits = 8192
	// traceLife is for how many times span_wait::timeout the spans of a trace
	// are remembered from its first on: late ones of its groups are let go
	// one timeout after they came.
	traceLife = 3
)

// across is what mode: correlate adds to an engine: the anomalies that other
// instances told, the traces that are under way, and who is to blame.
type across struct {
	cfg    *Config
	ledger *correlate.Ledger[pcommon.Map]

	mu     sync.Mutex
	table  *blame.Table[*seenSpan]
	habits *usual.Times
	period *blame.Period
	// known are the services with anomalies, by key; the one told of least
	// recently is dropped when there are too many.
	known map[string]*knownService
	turn  uint64
	// said is what was last told, and when.
	said   string
	saidAt time.Time
}

// knownService is a service that an anomaly was told of.
type knownService struct {
	resource pcommon.Map
	name     string
	turn     uint64
}

// seenSpan is what is remembered of a span.
type seenSpan struct {
	match correlate.Span
	name  string
	from  *correlate.Identity
	peers []correlate.Peer
	told  []blame.Anomaly // that it came with
}

func newAcross(cfg *Config, ledger *correlate.Ledger[pcommon.Map]) *across {
	return &across{
		cfg: cfg, ledger: ledger,
		table: blame.NewTable[*seenSpan](cfg.SpanWait.MaxSpans), habits: usual.New(maxHabits),
		period: blame.NewPeriod(cfg.MaxServices), known: map[string]*knownService{},
	}
}

// learn takes the anomalies of a payload; it returns how many could not be
// read.
func (x *across) learn(ld plog.Logs) (bad int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() != eventAnomaly {
					continue
				}
				v, ok := toldVerdict(rec)
				if !ok {
					bad++
					continue
				}
				x.enter(rl.Resource().Attributes(), v)
			}
		}
	}
	return bad
}

func (x *across) enter(resource pcommon.Map, v correlate.Verdict[pcommon.Map]) {
	id := identityOf(resource)
	key := id.Key()
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.known[key]
	if k == nil {
		for len(x.known) >= x.cfg.MaxServices {
			x.forget()
		}
		k = &knownService{name: id.Name}
		x.known[key] = k
		x.ledger.Open(key, id)
	}
	x.turn++
	k.turn, k.resource = x.turn, copied(resource)
	facts := correlate.Facts{Until: v.End}
	facts.Sockets, facts.Addresses = reach(resource)
	if id.PID != 0 {
		facts.PIDs = map[int64]struct{}{id.PID: {}}
	}
	x.ledger.Judge(key, facts)
	x.ledger.Add(key, v)
	x.period.Anomaly(toldAnomaly(v.Value, id.Name))
}

func (x *across) forget() {
	oldest := ""
	for key, k := range x.known {
		if oldest == "" || k.turn < x.known[oldest].turn {
			oldest = key
		}
	}
	delete(x.known, oldest)
	x.ledger.Forget(oldest)
}

// gather remembers the spans of a resource.
func (x *across) gather(rs ptrace.ResourceSpans, now time.Time) {
	id := identityOf(rs.Resource().Attributes())
	x.ledger.Spans(x.ledger.Find(id), now)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			s := &seenSpan{match: matchable(span), name: span.Name(), from: &id}
			if s.match.Waits {
				s.peers = peersOf(span.Attributes())
			}
			for _, ev := range span.Events().All() {
				if ev.Name() != eventAnomaly {
					continue
				}
				service := textOf(ev.Attributes(), attrPeerService)
				if service == "" {
					service = id.Name
				}
				s.told = append(s.told, toldAnomaly(ev.Attributes(), service))
			}
			x.table.Add(s.match.Trace, s, now)
		}
	}
}

// rank ranks a trace, once; nil when nothing in it is abnormal.
func (x *across) rank(id [16]byte, now time.Time) blame.Ranking {
	x.mu.Lock()
	defer x.mu.Unlock()
	tr := x.table.Get(id)
	if tr == nil {
		return nil
	}
	if tr.Ranked {
		return tr.Ranking
	}
	tr.Ranked = true
	var loads []blame.Load
	for _, s := range blame.Spend(x.resolve(tr.Spans, now)) {
		l := blame.Load{Service: s.Service, Anomalies: s.Anomalies, Calls: s.Calls, Excess: s.Own, Linked: true}
		kind := s.Service + "\x00" + s.Operation
		if past, known := x.habits.Usual(kind, median); known {
			l.Excess = max(0, s.Own-past)
		}
		if len(s.Anomalies) == 0 {
			x.habits.Note(kind, time.Unix(0, endOf(tr.Spans)), s.Own)
		}
		loads = append(loads, l)
	}
	tr.Ranking = blame.Rank(loads)
	x.period.Trace(id, loads)
	return tr.Ranking
}

// endOf is when the last of spans ended.
func endOf(spans []*seenSpan) (end int64) {
	for _, s := range spans {
		end = max(end, s.match.End)
	}
	return end
}

// resolve says of the spans of a trace whose they are, whom they call, and
// which anomalies they were part of.
func (x *across) resolve(seen []*seenSpan, now time.Time) []blame.Span {
	for _, s := range seen {
		// First who has spans of its own: its callers are not told for it.
		x.ledger.Spans(x.ledger.Find(*s.from), now)
	}
	spans, match := make([]blame.Span, len(seen)), make([]correlate.Span, len(seen))
	for i, s := range seen {
		spans[i] = blame.Span{
			ID: s.match.ID, Parent: s.match.Parent, Start: s.match.Start, End: s.match.End,
			Name: s.name, Service: s.from.Name, Client: s.match.Waits, Anomalies: slices.Clone(s.told),
		}
		match[i] = s.match
		match[i].Services = x.ledger.Find(*s.from)
		if match[i].Peers = x.ledger.FindPeer(*s.from, now, s.peers...); len(match[i].Peers) > 0 {
			spans[i].Callee = x.name(match[i].Peers[0].Service)
		} else if len(s.peers) > 0 {
			// Nobody known: its time is not the caller's all the same.
			spans[i].Callee = "\x00" + s.peers[0].Host
		}
	}
	for _, m := range x.ledger.Match(match) {
		a := toldAnomaly(m.Verdict.Value, x.name(m.Service.Service))
		if !slices.ContainsFunc(spans[m.Span].Anomalies, func(b blame.Anomaly) bool { return b.ID == a.ID }) {
			spans[m.Span].Anomalies = append(spans[m.Span].Anomalies, a)
		}
	}
	return spans
}

func (x *across) name(key string) string {
	id, _ := x.ledger.Identity(key)
	return id.Name
}

// expire forgets traces that are over.
func (x *across) expire(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.table.Expire(now.Add(-traceLife * x.cfg.SpanWait.Timeout))
}

// conclude ranks what was added up since it was last called.
func (x *across) conclude(now time.Time) (incident, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, traces, worst := x.period.Rank()
	x.period = blame.NewPeriod(x.cfg.MaxServices)
	in := incident{ranking: r, traces: traces, worst: worst, end: now, start: now.Add(-x.cfg.Hop)}
	if len(r) == 0 {
		return in, false
	}
	key := r[0].Service + "\x00" + r[0].Function + "\x00" + string(r[0].Role)
	if key == x.said && now.Sub(x.saidAt) < remindEvery {
		return in, false
	}
	x.said, x.saidAt = key, now
	in.resource = pcommon.NewMap()
	in.resource.PutStr("service.name", r[0].Service)
	for _, k := range x.known {
		if k.name == r[0].Service {
			in.resource = copied(k.resource)
			break
		}
	}
	return in, true
}
