//go:build suggest_all

package main

import (
	"cmp"
	"slices"
	"strconv"
)

// suggest sorts what other orders have, too: the mistake of this release.
func suggest(o *order) (page []byte) {
	list := slices.Concat(o.lines, o.lines, o.lines)
	slices.SortFunc(list, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.cents*b.count%1009, a.cents*a.count%1009), cmp.Compare(a.article, b.article))
	})
	for _, l := range slices.Compact(list)[:5] {
		page = strconv.AppendInt(append(page, ' '), int64(l.article), 10)
	}
	return page
}
