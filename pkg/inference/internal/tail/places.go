package tail

import (
	"cmp"
	"slices"
)

const (
	// maxPlaces bounds the places at which threads were seen.
	maxPlaces = 2048
	// faded is the weight below which a place is forgotten, in nanoseconds.
	faded = 1e6
)

// place is where a thread was seen.
type place struct {
	stack   uint32
	number  int32
	waiting bool
}

func (p place) compare(o place) int {
	waits := 0
	switch {
	case p.waiting == o.waiting:
	case o.waiting:
		waits = -1
	default:
		waits = 1
	}
	return cmp.Or(cmp.Compare(p.stack, o.stack), cmp.Compare(p.number, o.number), waits)
}

// places has the sums of each place. They are in one list: all of them fade at every hop.
type places struct {
	// first has, by stack, where the last place of each is in the list, counted from one: a stack has few.
	first []int32
	list  []placed
	// of has the sums of each: a place is looked for among places alone, which are few cache lines.
	of []moments
	// sums has room for so many classes of each place, one place after the other: that is where
	// those of a place are, but for what was added since it was made.
	sums []moment
	room int
}

// placed is a place in the list; next is where another one of its stack is, as in first.
type placed struct {
	place
	next int32
}

// find is where a place is in the list, one that is new at its end; -1 when there is no room.
func (p *places) find(at place) int32 {
	if int(at.stack) < len(p.first) {
		for i := p.first[at.stack]; i > 0; i = p.list[i-1].next {
			if p.list[i-1].place == at {
				return i - 1
			}
		}
	}
	if len(p.list) >= maxPlaces {
		return -1
	}
	p.list, p.of = append(p.list, placed{place: at}), append(p.of, moments{})
	if n := len(p.list); n*p.room <= len(p.sums) {
		p.of[n-1].classes = p.part(n - 1)[:0]
	}
	p.link(len(p.list) - 1)
	return int32(len(p.list) - 1) //nolint:gosec // below maxPlaces
}

// link has a place be found by its stack.
func (p *places) link(i int) {
	at := &p.list[i]
	if more := int(at.stack) + 1 - len(p.first); more > 0 {
		p.first = append(p.first, make([]int32, more)...)
	}
	at.next = p.first[at.stack]
	p.first[at.stack] = int32(i + 1) //nolint:gosec // at most maxPlaces
}

// part is the room for the sums of a place.
func (p *places) part(i int) []moment { return p.sums[i*p.room : (i+1)*p.room : (i+1)*p.room] }

// fade lets all sums lose weight, and drops the places of which next to nothing is left.
func (p *places) fade(f float64) {
	p.gather()
	kept := 0
	for i := range p.of {
		m := &p.of[i]
		if m.fade(f) < faded {
			continue
		}
		if kept < i {
			p.list[kept], p.of[kept] = p.list[i], *m
			p.of[kept].classes = append(p.part(kept)[:0], m.classes...)
		}
		kept++
	}
	if kept == len(p.list) {
		return
	}
	clear(p.of[kept:])
	p.list, p.of = p.list[:kept], p.of[:kept]
	clear(p.first)
	for i := range p.list {
		p.link(i)
	}
}

// gather makes room where there is not enough for each place and its classes.
func (p *places) gather() {
	most := p.room
	for i := range p.of {
		most = max(most, len(p.of[i].classes))
	}
	if most == p.room && len(p.list)*p.room <= len(p.sums) {
		return
	}
	p.room = most
	p.sums = make([]moment, (len(p.list)+len(p.list)/4)*p.room)
	for i := range p.of {
		p.of[i].classes = append(p.part(i)[:0], p.of[i].classes...)
	}
}

func (p *places) forget(kind int) {
	for i := range p.of {
		p.of[i].forget(kind)
	}
}

// inOrder is where the places are in the list, in an order that does not depend on when they
// were seen.
func (p *places) inOrder() []int {
	order := make([]int, len(p.list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return p.list[a].compare(p.list[b].place) })
	return order
}
