package blame

import (
	"maps"
	"slices"
)

// maxAnomalies bounds the anomalies of one service in a trace or a period: those of
// as many of its instances.
const maxAnomalies = 64

// Period adds up what services lost in the traces of some time. It is bounded
// by the number of services and is not safe for concurrent use.
type Period struct {
	limit int
	loads map[string]*Load
	// linked has, for each service that is abnormal in a trace, another one that
	// is abnormal in the same one, or itself: a forest of sets (union-find).
	linked map[string]string
	// traces has the abnormal ones by one of their abnormal services.
	traces map[string]*traces
}

// traces counts abnormal traces; worst is the one that lost most.
type traces struct {
	n         int
	worst     [16]byte
	worstLost int64
}

func (t *traces) add(o traces) {
	if t.n == 0 || o.worstLost > t.worstLost {
		t.worst, t.worstLost = o.worst, o.worstLost
	}
	t.n += o.n
}

// Group is what is abnormal in the same traces, ranked.
type Group struct {
	Ranking Ranking
	// Traces counts the abnormal ones; Worst is the one that lost most.
	Traces int
	Worst  [16]byte
}

// NewPeriod holds at most limit services; further ones are left out.
func NewPeriod(limit int) *Period {
	return &Period{limit: limit, loads: map[string]*Load{}, linked: map[string]string{}, traces: map[string]*traces{}}
}

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
			if len(l.Calls) < p.limit && !slices.Contains(l.Calls, name) {
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
	p.link(loads, traces{n: 1, worst: id, worstLost: lost})
}

// link puts the services that are abnormal in a trace into one set.
func (p *Period) link(loads []Load, t traces) {
	first := ""
	for i := range loads {
		name := loads[i].Service
		if len(loads[i].Anomalies) == 0 || p.loads[name] == nil {
			continue
		}
		if first == "" {
			first = p.root(name)
			p.linked[first] = first
		}
		if r := p.root(name); r != first {
			p.linked[r] = first
		}
	}
	if first == "" {
		return
	}
	if p.traces[first] == nil {
		p.traces[first] = &traces{}
	}
	p.traces[first].add(t)
}

// root stands for the set that a service is in.
func (p *Period) root(name string) string {
	for {
		next, known := p.linked[name]
		if !known || next == name {
			return name
		}
		name = next
	}
}

// Anomaly adds one that an agent found, whether or not a trace leads to its service.
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

// Rank ranks what was added: each group of services that are abnormal in the
// same traces, and each service that no trace leads to, by itself. Groups are in
// order of the name of their first service.
func (p *Period) Rank() []Group {
	groups := map[string][]Load{}
	var healthy []Load
	for _, name := range slices.Sorted(maps.Keys(p.loads)) {
		l := *p.loads[name]
		if len(l.Anomalies) == 0 {
			healthy = append(healthy, l)
			continue
		}
		groups[p.root(name)] = append(groups[p.root(name)], l)
	}
	counted := map[string]*traces{}
	for name, t := range p.traces {
		root := p.root(name)
		if counted[root] == nil {
			counted[root] = &traces{}
		}
		counted[root].add(*t)
	}
	out := make([]Group, 0, len(groups))
	for _, root := range slices.Sorted(maps.Keys(groups)) {
		g := Group{Ranking: Rank(append(groups[root], healthy...))}
		if t := counted[root]; t != nil {
			g.Traces, g.Worst = t.n, t.worst
		}
		out = append(out, g)
	}
	return out
}
