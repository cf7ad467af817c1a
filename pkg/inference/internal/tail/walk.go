package tail

import (
	"cmp"
	"slices"
)

// edge is an instant at which a request without a thread begins or ends.
type edge struct {
	time  int64
	class int
	by    float64
}

// walk pools what was seen between two instants.
func (p *Pool) walk(work []item, from, to int64) {
	if to <= from {
		return
	}
	tied := map[int32][]item{}
	var edges []edge
	var at placesSeen
	for _, w := range work {
		k := p.kinds[w.kind]
		class := k.class(w.Request)
		of := &k.of[class]
		if w.Part && class != isSlow {
			continue
		}
		if w.End <= to {
			of.count(w.Request, k.split.served)
		}
		if w.Unit {
			p.unit(w, classIndex(w.kind, class), p.placesOf(&at, w.Request))
			continue
		}
		if w.End <= to {
			p.own(w, class)
		}
		served := w.since(k.split.served)
		if a, b := max(from, w.Start), min(to, served); a < b {
			edges = append(edges, edge{a, waiting, 1}, edge{b, waiting, -1})
		}
		start, end := max(from, served), min(to, w.End)
		if end <= start {
			continue
		}
		of.looked += float64(end - start)
		c := classIndex(w.kind, class)
		if w.Thread != 0 {
			tied[w.Thread] = append(tied[w.Thread], w)
			p.gram[c][c] += float64(end - start)
			continue
		}
		edges = append(edges, edge{start, c, 1}, edge{end, c, -1})
	}
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Compare(a.time, b.time) })
	slices.SortStableFunc(p.sightings, func(a, b Sighting) int { return cmp.Compare(a.Time, b.Time) })
	p.merge(edges, tied, from, to)
}

// count adds a request that is over. One of which a part was seen is known by that where
// there is no more of it to come.
func (of *pooled) count(r *Request, served bool) {
	begun := !r.Part || r.Begun
	if begun {
		of.n++
	}
	if begun || r.Alone {
		of.known++
		of.time += r.took(served)
	}
}

// merge goes through beginnings, ends and sightings in their order.
func (p *Pool) merge(edges []edge, tied map[int32][]item, from, to int64) {
	u := underWay{Pool: p, edges: edges, active: []int{nobody}, at: from}
	if !p.spanless() { // else all that is pooled are units
		u.requests[nobody] = 1
	}
	for i := range p.sightings {
		s := &p.sightings[i]
		if s.Time < from {
			continue
		}
		if s.Time >= to {
			break
		}
		u.step(s.Time)
		u.pool(s, tied[s.Thread])
	}
	u.step(to)
	u.pass(to)
}

// underWay is how many requests of each class are under way at an instant; edges are where
// that changes later.
type underWay struct {
	*Pool
	requests [classes]float64
	// active are the classes of which there are some.
	active []int
	edges  []edge
	at     int64
}

// step goes on to an instant.
func (u *underWay) step(until int64) {
	for len(u.edges) > 0 && u.edges[0].time <= until {
		e := u.edges[0]
		u.edges = u.edges[1:]
		u.pass(e.time)
		u.requests[e.class] += e.by
		switch is := slices.Index(u.active, e.class); {
		case u.requests[e.class] > 0 && is < 0:
			u.active = append(u.active, e.class)
		case u.requests[e.class] <= 0 && is >= 0:
			u.requests[e.class] = 0
			u.active = slices.Delete(u.active, is, is+1)
		}
	}
}

// pass pools the time up to an instant, in which nothing changed.
func (u *underWay) pass(until int64) {
	for _, i := range u.active {
		for _, j := range u.active {
			u.gram[i][j] += u.requests[i] * u.requests[j] * float64(until-u.at)
		}
	}
	for k, of := range u.kinds {
		if of.spans {
			u.beside[k][u.besides(k)] += float64(until - u.at)
		}
	}
	u.at = until
}

// pool pools a sighting of a thread that worked for some requests.
func (u *underWay) pool(s *Sighting, tied []item) {
	at := u.see(place{s.Stack, s.Number, s.Waiting})
	if at < 0 {
		return
	}
	m := &u.places.of[at]
	m.by(s.Thread)
	if c, ok := u.tiedTo(tied, s.Time); ok {
		m.add(c, 1, float64(s.Duration))
		return
	}
	if u.requests[waiting] > 0 && s.Waiting && u.locks(s.Stack) {
		m.add(waiting, u.requests[waiting], float64(s.Duration)) // it is one of those in line
		return
	}
	for _, c := range u.active {
		m.add(c, u.requests[c], float64(s.Duration))
	}
	for k, of := range u.kinds {
		if of.spans {
			m.addBeside(k, u.besides(k), float64(s.Duration))
		}
	}
}

// besides says on which side of besides the instant is for a kind.
func (u *underWay) besides(kind int) int {
	if u.requests[classIndex(kind, isSlow)] > 0 {
		return isSlow
	}
	return isFast
}

func (p *Pool) spanless() bool {
	for _, k := range p.kinds {
		if k.spans {
			return false
		}
	}
	return true
}

// tiedTo is the class of the request that a thread worked for at an instant: of nested
// ones the innermost, of several in a line the one that is served.
func (p *Pool) tiedTo(of []item, at int64) (int, bool) {
	for i := len(of) - 1; i >= 0; i-- {
		if of[i].since(p.kinds[of[i].kind].split.served) <= at && at < of[i].End {
			return classIndex(of[i].kind, p.kinds[of[i].kind].class(of[i].Request)), true
		}
	}
	return 0, false
}

// own pools where the goroutine of a request waited: it was under way then.
func (p *Pool) own(w item, class int) {
	for _, t := range w.Seen {
		at := p.see(place{t.Stack, t.Number, t.Waiting})
		if at < 0 {
			continue
		}
		m := &p.places.of[at]
		m.add(nobody, 1, float64(t.Time))
		m.add(classIndex(w.kind, class), 1, float64(t.Time))
		m.addBeside(w.kind, class, float64(t.Time))
	}
}

// placesSeen is where a request was seen: one that is of a kind and of a variant is pooled twice.
type placesSeen struct {
	of *Request
	at []int32
}

func (p *Pool) placesOf(s *placesSeen, r *Request) []int32 {
	if s.of != r {
		s.of, s.at = r, s.at[:0]
		for _, t := range r.Seen {
			s.at = append(s.at, p.see(place{t.Stack, t.Number, t.Waiting}))
		}
	}
	return s.at
}

// unit pools an execution unit with what was seen inside it, at some places.
func (p *Pool) unit(w item, class int, at []int32) {
	served := p.kinds[w.kind].split.served
	took := w.took(served)
	p.kinds[w.kind].of[class-classIndex(w.kind, isFast)].looked += took
	p.gram[class][class] += took
	for i, t := range w.Seen {
		if at[i] >= 0 && !(served && p.inLine(&t)) {
			p.places.of[at[i]].add(class, 1, float64(t.Time))
		}
	}
}
