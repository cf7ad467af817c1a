package tail

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

const (
	// maxSightings and maxPending bound what waits for the requests that it belongs to,
	// and the requests that wait: where there are more, a part of the time is looked at.
	maxSightings, maxPending = 16384, 8192
	// maxUnits bounds the execution units that are taken in a hop: each is looked at by
	// itself, so that those that are left out cost evidence and nothing else.
	maxUnits = 1024
)

// Pool gathers what was seen of a service while it worked on requests, by their kind
// and by whether they were slow. A sighting on a thread that worked for one request
// alone is that one's. Any other belongs to those under way at the instant, and to
// nobody: how much time at a place goes with a request of each class is told by least
// squares over all instants, which needs to know no thread. All of it fades over the
// window.
//
// It holds at most maxSightings, maxPending requests, maxKinds kinds and maxPlaces
// places with two numbers for each class.
type Pool struct {
	window    float64
	sightings []Sighting
	pending   []Request
	kinds     []*kind
	// units is how many were taken in the hop.
	units int
	// done is up to when all was pooled, cut from when on something was left out.
	done, cut int64
	// gram is the sum of the products of how many requests of two classes were under
	// way, times the time.
	gram   [classes][classes]float64
	places places
	// beside is for how long, by kind, was looked at threads that work for nobody in
	// particular.
	beside [maxKinds]besides
	// seen is what was looked at, fading.
	seen Seen
	// last is when a span came last, followed when what a goroutine did.
	last, followed int64
	variants       variants
	work           workspace
	// order and ends are what inOrderOfStart works in, items what classify does.
	order []begin
	ends  []int
	items []item
	// leaves is what queue works in.
	leaves []int64
	// Lock reports whether a stack takes a lock.
	Lock func(stack uint32) bool
	// RolesOnly leaves what threads of one role do together, to measure what telling it
	// apart by calls is for.
	RolesOnly bool
	// Mixed has all requests taken for slow ones, to measure what telling them apart is
	// for.
	Mixed bool
	// LeftOut counts requests and sightings for which there was no room.
	LeftOut uint64
}

// NewPool returns one that fades over a window in nanoseconds.
func NewPool(window int64) *Pool {
	return &Pool{window: float64(window), cut: math.MaxInt64, variants: variants{}}
}

// HasSpans reports whether spans came within a window before an instant.
func (p *Pool) HasSpans(at int64) bool { return p.last > 0 && float64(at-p.last) < p.window }

// HasRequests reports whether spans, or what goroutines did, came within a window before
// an instant.
func (p *Pool) HasRequests(at int64) bool {
	return p.HasSpans(at) || p.followed > 0 && float64(at-p.followed) < p.window
}

// See takes a sighting; it is of use only while requests come.
func (p *Pool) See(s Sighting) {
	switch {
	case s.Stack == 0 || s.Time < p.done || !p.HasRequests(s.Time):
	case len(p.sightings) >= maxSightings:
		p.leaveOut(s.Time)
	default:
		p.sightings = append(p.sightings, s)
	}
}

func (p *Pool) leaveOut(from int64) {
	p.LeftOut++
	p.cut = min(p.cut, from)
}

// TakesUnits reports whether there is room for more execution units in this hop, which
// are of use only while no spans come.
func (p *Pool) TakesUnits(at int64) bool { return p.units < maxUnits && !p.HasSpans(at) }

// Add takes a request that is over. Goroutines are of use only while no spans come.
func (p *Pool) Add(r Request) {
	switch {
	case r.Unit:
		p.units++
		p.queued(&r)
	case !r.Goroutine:
		p.last = max(p.last, r.End)
	case p.HasSpans(r.End):
		return
	default:
		p.followed = max(p.followed, r.End)
	}
	switch {
	case r.End <= r.Start || r.End <= p.done:
		return
	case len(p.pending) >= maxPending:
		p.leaveOut(r.Start)
		return
	}
	p.pending = append(p.pending, r)
}

// kindOf is the index of a kind, false when there is no room for it; id is that of a
// variant, zero for all of the kind.
func (p *Pool) kindOf(r *Request, id int, of *Variant) (int, bool) {
	for i, k := range p.kinds {
		if k.id == id && k.name == r.Kind && k.spans != r.Unit && k.goroutines == r.Goroutine {
			k.variant = of
			return i, true
		}
	}
	now := &kind{name: r.Kind, spans: !r.Unit, goroutines: r.Goroutine, id: id, variant: of}
	if len(p.kinds) >= maxKinds && id != 0 {
		return 0, false // variants have what room is left
	}
	if len(p.kinds) >= maxKinds {
		i := p.least()
		if i < 0 {
			return 0, false
		}
		p.forget(i)
		p.kinds[i] = now
		return i, true
	}
	p.kinds = append(p.kinds, now)
	return len(p.kinds) - 1, true
}

// least is a variant, or a kind with hardly any of the time, which makes room for others;
// -1 when there is none.
func (p *Pool) least() int {
	const hardly = 0.01
	all := 0.0
	times := make([]float64, len(p.kinds))
	for i, k := range p.kinds {
		times[i] = k.of[isFast].time + k.of[isSlow].time
		all += times[i]
	}
	if i := slices.IndexFunc(p.kinds, func(k *kind) bool { return k.id != 0 }); i >= 0 {
		return i
	}
	for i, t := range times {
		if t < hardly*all && p.kinds[i].fresh == 0 {
			return i
		}
	}
	return -1
}

// nobody is the class that is always one, waiting that of the requests in line; the others are
// the fast and slow ones of each kind.
const (
	nobody, waiting = 0, 1
	classes         = 2 + 2*maxKinds
)

func classIndex(kind, class int) int { return 2 + 2*kind + class }

// forget drops what was pooled of a kind.
func (p *Pool) forget(kind int) {
	for _, c := range []int{classIndex(kind, isFast), classIndex(kind, isSlow)} {
		for i := range p.gram {
			p.gram[i][c], p.gram[c][i] = 0, 0
		}
	}
	p.beside[kind] = besides{}
	p.places.forget(kind)
	p.kinds[kind].of = [2]pooled{}
}

// Seen is what was looked at: for how many seconds requests could be seen, the seconds
// that all threads had a CPU, and that they waited for one, and the share of the time in
// which calls were recorded.
type Seen struct{ Seconds, CPU, RunDelay, Recorded float64 }

// Sweep pools what happened up to an instant, of which all requests are known by now;
// seen is what was looked at since the last time.
func (p *Pool) Sweep(until int64, seen Seen) {
	if p.done == 0 {
		p.done = until
		for i := range p.sightings {
			p.done = min(p.done, p.sightings[i].Time)
		}
		for i := range p.pending {
			if p.pending[i].Unit {
				p.done = min(p.done, p.pending[i].Start)
			}
		}
	}
	if until <= p.done {
		return
	}
	p.fade(float64(until - p.done))
	if !p.RolesOnly {
		p.variants.take(p.pending, until, math.Exp(-float64(until-p.done)/p.window))
	}
	p.seen = Seen{p.seen.Seconds + seen.Seconds, p.seen.CPU + seen.CPU, p.seen.RunDelay + seen.RunDelay, seen.Recorded}
	order := p.inOrderOfStart()
	p.queue(order)
	work := p.classify(order, until, seen.Recorded)
	var others []*kind
	for i, k := range p.kinds {
		if k.resplit(&p.work) {
			p.forget(i)
			others = append(others, k)
		}
	}
	p.walk(work, p.done, min(until, p.cut))
	for _, k := range others {
		k.count()
	}
	p.done, p.cut, p.units = until, math.MaxInt64, 0
	p.drop(until, order)
	p.sightings = slices.DeleteFunc(p.sightings, func(s Sighting) bool { return s.Time < until })
}

// inOrderOfStart are the places of the pending requests by when they began, of those of one
// instant as they came. Requests are large, and stay where they are. They come thread by thread,
// and began at about any time: in as many parts of it as there are of them each part has few
// (bucket sort).
func (p *Pool) inOrderOfStart() []begin {
	n := len(p.pending)
	order := slices.Grow(p.order[:0], n)[:n]
	if p.order = order; n == 0 {
		return order
	}
	first, last := p.pending[0].Start, p.pending[0].Start
	for i := range p.pending {
		first, last = min(first, p.pending[i].Start), max(last, p.pending[i].Start)
	}
	since := func(at int64) uint64 { return uint64(at) - uint64(first) } //nolint:gosec // their distance, whatever their signs
	width := bits.Len(uint(n))
	shift := max(0, bits.Len64(since(last))-width)
	ends := slices.Grow(p.ends[:0], 1<<width)[:1<<width]
	p.ends = ends
	clear(ends)
	for i := range p.pending {
		ends[since(p.pending[i].Start)>>shift]++
	}
	before := 0
	for part, many := range ends {
		ends[part] = before
		before += many
	}
	for i := range p.pending {
		at := p.pending[i].Start
		end := &ends[since(at)>>shift]
		order[*end] = begin{at, i}
		*end++
	}
	from := 0
	for _, to := range ends {
		slices.SortFunc(order[from:to], func(a, b begin) int { return cmp.Or(cmp.Compare(a.at, b.at), a.request-b.request) })
		from = to
	}
	return order
}

// begin is when a pending request began.
type begin struct {
	at      int64
	request int
}

// drop drops the requests that were over by an instant; the others are in order then.
func (p *Pool) drop(until int64, order []begin) {
	var left []Request
	for _, b := range order {
		if r := &p.pending[b.request]; r.End > until {
			left = append(left, *r)
		}
	}
	clear(p.pending)
	p.pending = append(p.pending[:0], left...)
}

// item is a request under way between two instants.
type item struct {
	*Request
	kind int
}

func (p *Pool) classify(order []begin, until int64, recorded float64) []item {
	work := p.items[:0]
	for _, b := range order {
		r := &p.pending[b.request]
		if r.Start >= until || r.Unit && r.End > until {
			continue
		}
		k, ok := p.kindOf(r, 0, nil)
		if !ok {
			p.LeftOut++
			continue
		}
		work = append(work, p.item(r, k, until, recorded))
		if id, of := r.variant(); of != nil {
			if k, ok := p.kindOf(r, id, of); ok {
				work = append(work, p.item(r, k, until, recorded))
			}
		}
	}
	p.items = work
	return work
}

func (p *Pool) item(r *Request, k int, until int64, recorded float64) item {
	if weight := p.kinds[k].weight(r, recorded); r.End <= until && weight > 0 {
		p.kinds[k].add(r, weight)
	}
	return item{r, k}
}

// fade lets what was pooled lose weight.
func (p *Pool) fade(by float64) {
	f := math.Exp(-by / p.window)
	p.seen = Seen{f * p.seen.Seconds, f * p.seen.CPU, f * p.seen.RunDelay, p.seen.Recorded}
	for k, b := range p.beside {
		p.beside[k] = besides{f * b[isFast], f * b[isSlow]}
	}
	used := classIndex(len(p.kinds), 0)
	for i := range p.gram[:used] {
		for j := range p.gram[i][:used] {
			p.gram[i][j] *= f
		}
	}
	for _, k := range p.kinds {
		for c := range k.of {
			k.of[c] = pooled{f * k.of[c].n, f * k.of[c].known, f * k.of[c].time, f * k.of[c].looked}
		}
	}
	p.places.fade(f)
}

// see is where a place is in the list; negative when there is no room for it.
func (p *Pool) see(at place) int32 {
	i := p.places.find(at)
	if i < 0 {
		p.LeftOut++
	}
	return i
}

// Kinds is how many kinds are known, Len how much is held, for an estimate of memory.
func (p *Pool) Kinds() int { return len(p.kinds) }

// Bytes estimates the memory held.
func (p *Pool) Bytes() int64 {
	const perSighting, perRequest, perSeen, perTook, perPlace, perSpell = 40, 128, 24, 32, 96, 2*lengths + 8
	n := perSighting*int64(cap(p.sightings)) + perRequest*int64(cap(p.pending))
	for _, k := range p.kinds {
		n += perTook*int64(cap(k.recent)) + perSpell*int64(cap(k.past.spells)+1)
	}
	n += p.variants.bytes()
	for i := range p.pending {
		n += perSeen * int64(cap(p.pending[i].Seen))
	}
	return n + int64(cap(p.places.list))*perPlace + 4*int64(cap(p.places.first)) + 16*int64(len(p.places.list)*(2+3*len(p.kinds))) // as if each was seen in each class
}
