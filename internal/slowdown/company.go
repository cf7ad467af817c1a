package slowdown

import (
	"cmp"
	"slices"
)

// interval is the time of a span, in nanoseconds since the epoch.
type interval struct{ start, end int64 }

func (i interval) lasts() int64 { return i.end - i.start }

// shares reports whether two have half of the shorter one in common.
func (i interval) shares(j interval) bool {
	return 2*(min(i.end, j.end)-max(i.start, j.start)) >= min(i.lasts(), j.lasts())
}

// stretch is a time in which one clearly slow span, or several that overlap, ran.
type stretch struct {
	interval
	// first is one of them, several whether there is another one: the same
	// span may be entered twice.
	first   interval
	several bool
}

// stretches are the latest ones of a kind, in order and apart from one another.
type stretches []stretch

// add enters a clearly slow span.
func (s *stretches) add(span interval) {
	at := stretch{interval: span, first: span}
	from, _ := slices.BinarySearchFunc(*s, span.start, func(e stretch, ns int64) int { return cmp.Compare(e.end, ns) })
	to := from
	for ; to < len(*s) && (*s)[to].start <= span.end; to++ {
		e := &(*s)[to]
		at.start, at.end = min(at.start, e.start), max(at.end, e.end)
		at.several = at.several || e.several || e.first != span
	}
	*s = slices.Replace(*s, from, to, at)
	if len(*s) > maxStretches {
		*s = slices.Delete(*s, 0, 1)
	}
}

// Spans are alone or together with one that is clearly slow.
const (
	alone = iota
	together
)

// company is whether a span shares its time with another one that is clearly slow: a
// lock, a full pool or a pause makes all wait who come meanwhile, and what a
// request does by itself says nothing of those beside it.
func (s stretches) company(span interval) int {
	from, _ := slices.BinarySearchFunc(s, span.start, func(e stretch, ns int64) int { return cmp.Compare(e.end, ns) })
	for _, e := range s[from:] {
		if e.start > span.end {
			break
		}
		if e.shares(span) && (e.several || e.first != span) {
			return together
		}
	}
	return alone
}
