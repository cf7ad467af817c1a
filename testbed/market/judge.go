package market

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/testbed/agent"
)

// Row is what a fault's anomalies on spans are worth.
type Row struct {
	Fault string `json:"fault"`
	// Unseen is set when nothing was tuned with it.
	Unseen bool `json:"unseen,omitempty"`
	// Recall is the share of the affected requests whose span has the
	// service's anomaly, Precision the share of annotated spans that are of
	// affected requests.
	Recall    float64 `json:"recall"`
	Precision float64 `json:"precision"`
	// Rank is the place of the true function of the true service across
	// services in what the gateway last said of the fault's time; zero when
	// it is not there.
	Rank int `json:"rank"`
	// ClientSpanRecall is the recall of client spans that call a database.
	ClientSpanRecall *float64 `json:"client_span_recall"`
	// FirstShare is the share of the annotated, affected traces in which the
	// true pair is first.
	FirstShare float64 `json:"first_share"`
	// Affected counts the requests, Annotated the spans.
	Affected  int `json:"affected"`
	Annotated int `json:"annotated"`
	// Said is the gateway's sentence.
	Said string `json:"said"`
}

// spill is how far around a fault spans that are annotated are counted: a hop
// before it, and what is said of the last hop after it.
const spill = 10 * time.Second

// tally is the spans of a run.
type tally struct {
	traces map[string][]agent.Span
}

// Judge compares what the gateway wrote with what was done. Of a fault in a
// service of ours, the affected requests are those that ran through the faulty
// code, as the service wrote it down; of one in a database, all queries, or those
// that had to wait while it was busy with something else.
func Judge(windows []Window, spans []agent.Span, incidents []agent.Incident) []Row {
	t := tally{traces: map[string][]agent.Span{}}
	for _, s := range spans {
		t.traces[s.TraceID] = append(t.traces[s.TraceID], s)
	}
	rows := make([]Row, len(windows))
	for i, w := range windows {
		rows[i] = t.judge(w, incidents)
	}
	return rows
}

func (t *tally) judge(w Window, incidents []agent.Incident) Row {
	row := Row{Fault: w.Fault.Name, Unseen: w.Fault.Unseen}
	told, right, first, ranked := 0, 0, 0, 0
	for _, trace := range t.traces {
		affected := t.affected(trace, w)
		for i := range trace {
			s := &trace[i]
			if len(s.Anomalies) > 0 && s.End.After(w.On.Add(-spill)) && s.Start.Before(w.Off.Add(spill)) {
				row.Annotated++
				if len(affected) > 0 {
					right++
				}
			}
			if len(s.Causes) > 0 && len(affected) > 0 {
				ranked++
				if agent.RankOf(s.Causes, w.Fault.Service, w.Fault.Truth) == 1 {
					first++
				}
			}
		}
		row.Affected += len(affected)
		for _, a := range affected {
			if a {
				told++
			}
		}
	}
	row.Recall, row.Precision, row.FirstShare = share(told, row.Affected), share(right, row.Annotated), share(first, ranked)
	if w.Fault.Database {
		row.ClientSpanRecall = &row.Recall
	}
	for _, in := range incidents {
		// What is said comes a hop and the gateway's wait later; what is over is of
		// the fault before, or says the same once more.
		if in.State != "cleared" && in.End.After(w.On) && in.Start.Before(w.Off.Add(spill)) {
			row.Rank, row.Said = agent.RankOf(in.Causes, w.Fault.Service, w.Fault.Truth), in.Sentence
		}
	}
	return row
}

// affected lists the affected requests of a trace: whether they were told.
func (t *tally) affected(trace []agent.Span, w Window) (out []bool) {
	ran, told := false, false
	for i := range trace {
		s := &trace[i]
		during := s.End.After(w.On) && s.Start.Before(w.Off)
		if w.Fault.Database {
			if during && queries(s, w.Fault.Service) && waited(s, w.Busy) {
				out = append(out, slices.ContainsFunc(s.Anomalies, func(a agent.SpanAnomaly) bool { return a.Peer == w.Fault.Service }))
			}
			continue
		}
		if service(s) == w.Fault.Service {
			ran = ran || during && attribute(s, "testbed.faulty") == "true"
			told = told || slices.ContainsFunc(s.Anomalies, func(a agent.SpanAnomaly) bool { return a.Peer == "" })
		}
	}
	if ran {
		out = append(out, told)
	}
	return out
}

func share(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(part*1000/all) / 1000
}

// leastWait is how long a call must have waited to be affected: several times
// what a healthy one takes.
const leastWait = 2 * time.Millisecond

func waited(s *agent.Span, busy []stretch) bool {
	if len(busy) == 0 {
		return true
	}
	return slices.ContainsFunc(busy, func(b stretch) bool {
		from, to := s.Start, s.End
		if b.from.After(from) {
			from = b.from
		}
		if b.to.Before(to) {
			to = b.to
		}
		return to.Sub(from) >= leastWait
	})
}

// queries reports whether a span is a query of one of the databases. Taking a
// connection from a pool is none.
func queries(s *agent.Span, database string) bool {
	if strings.HasPrefix(name(s), "pg-pool.") {
		return false
	}
	system := attribute(s, "db.system.name")
	if system == "" {
		system = attribute(s, "db.system")
	}
	return system == database || system == "postgresql" && database == "postgres"
}

func service(s *agent.Span) string { return lookup(s.Content["resource"], "service.name") }

func name(s *agent.Span) string {
	fields, _ := s.Content["span"].(map[string]any)
	text, _ := fields["name"].(string)
	return text
}

// attribute is a span's attribute as text.
func attribute(s *agent.Span, key string) string { return lookup(s.Content["span"], key) }

// lookup finds an attribute in OTLP's JSON.
func lookup(of any, key string) string {
	fields, _ := of.(map[string]any)
	list, _ := fields["attributes"].([]any)
	for _, e := range list {
		pair, _ := e.(map[string]any)
		if pair["key"] != key {
			continue
		}
		value, _ := pair["value"].(map[string]any)
		for _, v := range value {
			switch v := v.(type) {
			case string:
				return v
			case bool:
				return strconv.FormatBool(v)
			}
		}
	}
	return ""
}
