package blame

import (
	"maps"
	"slices"
)

// maxAnomalies bounds the episodes of one service in a period.
const maxAnomalies = 8

// Period adds up what services lost in the traces of some time. It is bounded
// by the number of services and is not safe for concurrent use.
type Period struct {
	limit int
	loads map[string]*Load
	// traces counts the abnormal ones; worst is the one that lost most.
	traces    int
	worst     [16]byte
	worstLost int64
}

// NewPeriod holds at most limit services; further ones are left out.
func NewPeriod(limit int) *Period { return &Period{limit: limit, loads: map[string]*Load{}} }

// Trace adds the loads of a trace, if any of them is abnormal.
func (p *Period) Trace(id [16]byte, loads []Load) {
	if !slices.ContainsFunc(loads, func(l Load) bool { return len(l.Anomalies) > 0 }) {
		return
	}
	lost := int64(0)
	for i := range loads {
		l := p.load(loads[i].Service)
		if l == nil {
			continue
		}
		l.Linked = true
		l.Excess += loads[i].Excess
		for _, name := range loads[i].Calls {
			if !slices.Contains(l.Calls, name) {
				l.Calls = append(l.Calls, name)
			}
		}
		for _, a := range loads[i].Anomalies {
			l.note(a)
		}
		if len(loads[i].Anomalies) > 0 {
			lost += loads[i].Excess
		}
	}
	if p.traces++; p.traces == 1 || lost > p.worstLost {
		p.worst, p.worstLost = id, lost
	}
}

// Anomaly adds one that was told, whether or not a trace leads to its service.
func (p *Period) Anomaly(a Anomaly) {
	if l := p.load(a.Service); l != nil {
		l.note(a)
	}
}

func (p *Period) load(service string) *Load {
	l := p.loads[service]
	if l == nil && len(p.loads) < p.limit {
		l = &Load{Service: service}
		p.loads[service] = l
	}
	return l
}

// note keeps the latest of an episode.
func (l *Load) note(a Anomaly) {
	if i := slices.IndexFunc(l.Anomalies, func(b Anomaly) bool { return b.ID == a.ID }); i >= 0 {
		l.Anomalies[i] = a
		return
	}
	if len(l.Anomalies) < maxAnomalies {
		l.Anomalies = append(l.Anomalies, a)
	}
}

// Rank ranks what was added: the abnormal traces there were, and the one that
// lost most, are the second and third results.
func (p *Period) Rank() (r Ranking, traces int, worst [16]byte) {
	loads := make([]Load, 0, len(p.loads))
	for _, name := range slices.Sorted(maps.Keys(p.loads)) {
		loads = append(loads, *p.loads[name])
	}
	return Rank(loads), p.traces, p.worst
}
