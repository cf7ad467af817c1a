package incidentprocessor

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/perfscope/perfscope/internal/blame"
	"github.com/perfscope/perfscope/internal/correlate"
	"github.com/perfscope/perfscope/internal/usual"
	"github.com/perfscope/perfscope/processor/internal/anomalylog"
	"github.com/perfscope/perfscope/processor/internal/spanmatch"
)

const (
	// maxHabits bounds the kinds of request whose usual time is held: 2 kB each.
	maxHabits = 8192
	// traceLife is for how many times span_wait::timeout the spans of a trace
	// are remembered from its first on: late ones of its groups are let go
	// one timeout after they came.
	traceLife = 3
	// remindEvery is how often an incident that goes on is reported again, like
	// an anomaly.
	remindEvery = time.Minute
	// silentFor is after how much silence an anomaly counts as cleared: its agent
	// reports it about once a minute, and may miss one.
	silentFor = 150 * time.Second
	// anomaliesPerService bounds, times max_services, the anomalies that are known:
	// one open, and some that are over.
	anomaliesPerService = 4
	// instanceLife is for how long an instance is known of which no anomaly is
	// heard.
	instanceLife = 10 * time.Minute
)

// causes finds which of the anomalies that agents found caused which, in traces
// and over time. It is safe for concurrent use, and bounded by the configuration.
type causes struct {
	cfg    *Config
	ledger *correlate.Ledger[anomalylog.Short]

	mu     sync.Mutex
	table  *blame.Table[*seenSpan]
	habits *usual.Times
	period *blame.Period
	// instances are the service instances that anomalies were heard of, by key;
	// the one heard of least recently is dropped when there are too many.
	instances map[string]*instance
	turn      uint64
	// known are the anomalies that are open or were until lately, by id.
	known     map[string]*knownAnomaly
	incidents *blame.Incidents
	left      leftOut
}

// leftOut counts what was left out because it was beyond a bound.
type leftOut struct {
	blame.Lost
	spanAnomalies, resourceAttributes, anomalies int
}

// byReason gives the counts with the reasons that the metric has.
func (l *leftOut) byReason() map[string]int {
	return map[string]int{
		"max_spans": l.Spans, "max_bytes": l.Bytes, "trace_spans": l.Trace, "span_anomalies": l.spanAnomalies,
		"resource_attributes": l.resourceAttributes, "max_anomalies": l.anomalies,
	}
}

// takeLeft is what was left out since it was last called.
func (c *causes) takeLeft() leftOut {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.left
	left.Lost = c.table.TakeLost()
	c.left = leftOut{}
	return left
}

// instance is a service instance.
type instance struct {
	resource pcommon.Map
	service  string // as of correlate.Identity.Service
	turn     uint64
	heard    time.Time
}

// knownAnomaly is an anomaly that was heard of.
type knownAnomaly struct {
	blame.Anomaly
	instance string
	heard    time.Time
	cleared  bool
}

func newCauses(cfg *Config, ledger *correlate.Ledger[anomalylog.Short]) *causes {
	return &causes{
		cfg: cfg, ledger: ledger,
		table: blame.NewTable[*seenSpan](blame.Limits{Spans: cfg.SpanWait.MaxSpans, Bytes: cfg.SpanWait.MaxBytes}), habits: usual.New(maxHabits),
		period: blame.NewPeriod(cfg.MaxServices), instances: map[string]*instance{}, known: map[string]*knownAnomaly{},
		incidents: blame.NewIncidents(cfg.SpanWait.Timeout+cfg.Hop, remindEvery),
	}
}

// learn takes the anomalies of a payload; it returns how many could not be
// read.
func (c *causes) learn(ld plog.Logs, now time.Time) (bad int) {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				if rec.EventName() != anomalylog.Event {
					continue
				}
				if anomalylog.IsCleared(rec) {
					c.clear(anomalylog.ID(rec.Attributes()), now)
					continue
				}
				v, ok := anomalylog.Verdict(rec)
				if !ok {
					bad++
					continue
				}
				c.enter(rl.Resource().Attributes(), rec.Attributes(), v, now)
			}
		}
	}
	return bad
}

func (c *causes) enter(resource, attrs pcommon.Map, v correlate.Verdict[anomalylog.Short], now time.Time) {
	id := spanmatch.Identity(resource)
	key := id.Key()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.instances[key]
	if at == nil {
		for len(c.instances) >= c.cfg.MaxServices {
			c.forget()
		}
		at = &instance{service: id.Service()}
		c.instances[key] = at
		c.ledger.Open(key, id)
	}
	c.turn++
	kept, left := spanmatch.Bounded(resource)
	c.left.resourceAttributes += left
	at.turn, at.heard, at.resource = c.turn, now, kept
	facts := correlate.Facts{Until: v.End}
	facts.Sockets, facts.Addresses = spanmatch.Reach(resource)
	if id.PID != 0 {
		facts.PIDs = map[int64]struct{}{id.PID: {}}
	}
	c.ledger.Judge(key, facts)
	c.ledger.Add(key, v)
	a := suspected(attrs, at.service)
	c.period.Anomaly(a)
	c.note(&knownAnomaly{Anomaly: a, instance: key, heard: now})
}

// note enters an anomaly that is open. An instance has one at a time: one with
// another id that was heard of before is over.
func (c *causes) note(a *knownAnomaly) {
	for _, other := range c.known {
		if other.instance == a.instance && other.ID != a.ID {
			other.cleared = true
		}
	}
	for len(c.known) >= anomaliesPerService*c.cfg.MaxServices && c.known[a.ID] == nil {
		c.drop()
		c.left.anomalies++
	}
	c.known[a.ID] = a
}

// clear enters that an anomaly is over. It is known for a while longer, for the
// traces that are under way.
func (c *causes) clear(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.known[id]; a != nil {
		a.cleared, a.heard = true, now
	}
}

// drop forgets the anomaly heard of least recently.
func (c *causes) drop() {
	oldest := ""
	for id, a := range c.known {
		if oldest == "" || a.heard.Before(c.known[oldest].heard) {
			oldest = id
		}
	}
	delete(c.known, oldest)
}

// isOpen reports whether an anomaly is known and not over.
func (c *causes) isOpen(id string) bool {
	a := c.known[id]
	return a != nil && !a.cleared
}

// forget drops the instance heard of least recently, and what it has.
func (c *causes) forget() {
	oldest := ""
	for key, at := range c.instances {
		if oldest == "" || at.turn < c.instances[oldest].turn {
			oldest = key
		}
	}
	c.forgetInstance(oldest)
}

func (c *causes) forgetInstance(key string) {
	delete(c.instances, key)
	c.ledger.Forget(key)
	for _, a := range c.known {
		a.cleared = a.cleared || a.instance == key
	}
}

// expire forgets traces that are over, and anomalies and instances that nothing is
// heard of.
func (c *causes) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	life := traceLife * c.cfg.SpanWait.Timeout
	c.table.Expire(now.Add(-life))
	for id, a := range c.known {
		switch silence := now.Sub(a.heard); {
		case a.cleared && silence >= life:
			delete(c.known, id)
		case !a.cleared && silence >= silentFor:
			a.cleared, a.heard = true, now
		}
	}
	for key, at := range c.instances {
		if now.Sub(at.heard) >= instanceLife {
			c.forgetInstance(key)
		}
	}
}

// incidentsAt ranks what was added up since it was last called, and returns what
// there is to report.
func (c *causes) incidentsAt(now time.Time) []blame.Incident {
	c.mu.Lock()
	defer c.mu.Unlock()
	groups := c.period.Rank()
	c.period = blame.NewPeriod(c.cfg.MaxServices)
	return c.incidents.Advance(now, groups, c.isOpen)
}

// resourceOf is the resource of the instance of a service that was heard of last.
func (c *causes) resourceOf(service string) pcommon.Map {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, turn := pcommon.NewMap(), uint64(0)
	out.PutStr("service.name", correlate.ServiceName(service))
	for _, at := range c.instances {
		if at.service == service && at.turn > turn {
			turn = at.turn
			at.resource.CopyTo(out)
		}
	}
	return out
}

func (c *causes) openAnomalies() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, a := range c.known {
		if !a.cleared {
			n++
		}
	}
	return n
}

func (c *causes) openIncidents() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.incidents.Len()
}
