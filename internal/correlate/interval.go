package correlate

import (
	"cmp"
	"slices"
)

// interval is a stretch of time, both ends in nanoseconds since the Unix
// epoch. One whose ends are equal is an instant.
type interval struct{ start, end int64 }

// merged sorts intervals and joins those that touch, in place.
func merged(list []interval) []interval {
	slices.SortFunc(list, func(a, b interval) int { return cmp.Compare(a.start, b.start) })
	out := list[:0]
	for _, i := range list {
		if n := len(out); n > 0 && i.start <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, i.end)
			continue
		}
		out = append(out, i)
	}
	return out
}

// without is what of i is left when the merged list is taken out.
func without(i interval, list []interval) []interval {
	var left []interval
	for _, hole := range list {
		if hole.end <= i.start || hole.start >= i.end {
			continue
		}
		if hole.start > i.start {
			left = append(left, interval{i.start, hole.start})
		}
		i.start = hole.end
	}
	if i.start < i.end {
		left = append(left, i)
	}
	return left
}

// length is how long the intervals are together.
func length(list []interval) (n int64) {
	for _, i := range list {
		n += i.end - i.start
	}
	return n
}

// common is for how long both lists, each merged, coincide, and when first;
// false when they do not even touch.
func common(a, b []interval) (overlap, first int64, touch bool) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		from, to := max(a[i].start, b[j].start), min(a[i].end, b[j].end)
		if to >= from {
			if !touch {
				first, touch = from, true
			}
			overlap += to - from
		}
		if a[i].end < b[j].end {
			i++
		} else {
			j++
		}
	}
	return overlap, first, touch
}
