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
	// sums has room for so many classes of each place, one place after the other: that is where
	// those of placed are, but for what was added since it was made.
	sums []moment
	room int
}

// placed is a place with its sums; next is where another one of its stack is, as in first.
type placed struct {
	place
	next int32
	moments
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
	p.list = append(p.list, placed{place: at})
	if n := len(p.list); n*p.room <= len(p.sums) {
		p.list[n-1].classes = p.part(n - 1)[:0]
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
	for i := range p.list {
		at := &p.list[i]
		if at.fade(f) < faded {
			continue
		}
		if kept < i {
			p.list[kept] = *at
			p.list[kept].classes = append(p.part(kept)[:0], at.classes...)
		}
		kept++
	}
	if kept == len(p.list) {
		return
	}
	clear(p.list[kept:])
	p.list = p.list[:kept]
	clear(p.first)
	for i := range p.list {
		p.link(i)
	}
}

// gather makes room where there is not enough for each place and its classes.
func (p *places) gather() {
	most := p.room
	for i := range p.list {
		most = max(most, len(p.list[i].classes))
	}
	if most == p.room && len(p.list)*p.room <= len(p.sums) {
		return
	}
	p.room = most
	p.sums = make([]moment, (len(p.list)+len(p.list)/4)*p.room)
	for i := range p.list {
		at := &p.list[i]
		at.classes = append(p.part(i)[:0], at.classes...)
	}
}

func (p *places) forget(kind int) {
	for i := range p.list {
		p.list[i].forget(kind)
	}
}

// inOrder are the places in an order that does not depend on when they were seen.
func (p *places) inOrder() []*placed {
	list := make([]*placed, len(p.list))
	for i := range p.list {
		list[i] = &p.list[i]
	}
	slices.SortFunc(list, func(a, b *placed) int { return a.compare(b.place) })
	return list
}
