//go:build suggest_insertion

package main

import "strconv"

// suggest sorts by hand: the mistake of this release.
func suggest(o *order) (page []byte) {
	list := append([]line(nil), o.lines...)
	for i := range list {
		for j := 0; j+1 < len(list); j++ {
			a, b := &list[j], &list[j+1]
			x, y := a.cents*a.count%1009, b.cents*b.count%1009
			if x < y || x == y && a.article > b.article {
				*a, *b = *b, *a
			}
		}
		_ = i
	}
	for _, l := range list[:5] {
		page = strconv.AppendInt(append(page, ' '), int64(l.article), 10)
	}
	return page
}
