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
		class := p.kinds[w.kind].class(w.Request)
		of := &p.kinds[w.kind].of[class]
		if w.Part && class != isSlow {
			continue
		}
		begun := !w.Part || w.Begun
		if w.End <= to && begun {
			of.n++
		}
		if w.End <= to && (begun || w.Alone) {
			of.known++
			of.time += w.took(p.kinds[w.kind].split.served)
		}
		if w.Unit {
			p.unit(w, classIndex(w.kind, class), p.placesOf(&at, w.Request))
			continue
		}
		if w.End <= to {
			p.own(w, class)
		}
		served := w.since(p.kinds[w.kind].split.served)
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

// merge goes through beginnings, ends and sightings in their order.
func (p *Pool) merge(edges []edge, tied map[int32][]item, from, to int64) {
	var under [classes]float64
	under[nobody] = 1
	if p.spanless() {
		under[nobody] = 0 // all that is pooled are units
	}
	active := []int{nobody}
	at := from
	pass := func(until int64) {
		for _, i := range active {
			for _, j := range active {
				p.gram[i][j] += under[i] * under[j] * float64(until-at)
			}
		}
		for k, of := range p.kinds {
			if of.spans {
				p.beside[k][beside(under[classIndex(k, isSlow)])] += float64(until - at)
			}
		}
		at = until
	}
	next := 0
	step := func(until int64) {
		for ; next < len(edges) && edges[next].time <= until; next++ {
			e := edges[next]
			pass(e.time)
			under[e.class] += e.by
			switch is := slices.Index(active, e.class); {
			case under[e.class] > 0 && is < 0:
				active = append(active, e.class)
			case under[e.class] <= 0 && is >= 0:
				under[e.class] = 0
				active = slices.Delete(active, is, is+1)
			}
		}
	}
	for i := range p.sightings {
		s := &p.sightings[i]
		if s.Time < from {
			continue
		}
		if s.Time >= to {
			break
		}
		step(s.Time)
		at := p.see(place{s.Stack, s.Number, s.Waiting})
		if at < 0 {
			continue
		}
		m := &p.places.list[at]
		m.by(s.Thread)
		if c, ok := p.tiedTo(tied[s.Thread], s.Time); ok {
			m.add(c, 1, float64(s.Duration))
			continue
		}
		if under[waiting] > 0 && s.Waiting && p.locks(s.Stack) {
			m.add(waiting, under[waiting], float64(s.Duration)) // it is one of those in line
			continue
		}
		for _, c := range active {
			m.add(c, under[c], float64(s.Duration))
		}
		for k, of := range p.kinds {
			if of.spans {
				m.addBeside(k, beside(under[classIndex(k, isSlow)]), float64(s.Duration))
			}
		}
	}
	step(to)
	pass(to)
}

// beside says on which side of besides an instant is with so many slow requests.
func beside(slow float64) int {
	if slow > 0 {
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
		m := &p.places.list[at]
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
			p.places.list[at[i]].add(class, 1, float64(t.Time))
		}
	}
}
