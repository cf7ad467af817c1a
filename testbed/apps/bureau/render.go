//go:build !render_concat && !render_sprintf && !refactor_move

package main

import "strconv"

func renderOrder(o *order, cents int) []byte {
	page := make([]byte, 0, 4096)
	page = append(page, o.customer...)
	for _, l := range o.lines {
		page = append(page, '\n')
		page = strconv.AppendInt(page, int64(l.article), 10)
		page = append(page, " x "...)
		page = strconv.AppendInt(page, int64(l.count), 10)
		page = append(page, " at "...)
		page = strconv.AppendFloat(page, float64(l.cents)/100, 'f', 2, 64)
	}
	page = append(page, "\ntotal "...)
	return strconv.AppendInt(page, int64(cents), 10)
}
