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
	index map[place]int32
	list  []placed
}

type placed struct {
	place
	moments
}

// find is where a place is in the list, one that is new at its end; -1 when there is no room.
func (p *places) find(at place) int32 {
	i, known := p.index[at]
	if known {
		return i
	}
	if len(p.list) >= maxPlaces {
		return -1
	}
	i = int32(len(p.list)) //nolint:gosec // below maxPlaces
	p.index[at] = i
	p.list = append(p.list, placed{place: at})
	return i
}

// fade lets all sums lose weight, and drops the places of which next to nothing is left.
func (p *places) fade(f float64) {
	kept := int32(0)
	for i := range p.list {
		at := &p.list[i]
		if at.fade(f) < faded {
			delete(p.index, at.place)
			continue
		}
		if int(kept) < i {
			p.list[kept] = *at
			p.index[at.place] = kept
		}
		kept++
	}
	clear(p.list[kept:])
	p.list = p.list[:kept]
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
