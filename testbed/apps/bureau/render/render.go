// Package render writes orders.
package render

import "strconv"

// Line is a line of an order.
type Line struct{ Article, Count, Cents int }

// Order writes an order.
func Order(customer string, lines []Line, cents int) []byte {
	page := make([]byte, 0, 4096)
	page = append(page, customer...)
	for _, l := range lines {
		page = append(page, '\n')
		page = strconv.AppendInt(page, int64(l.Article), 10)
		page = append(page, " x "...)
		page = strconv.AppendInt(page, int64(l.Count), 10)
		page = append(page, " at "...)
		page = strconv.AppendFloat(page, float64(l.Cents)/100, 'f', 2, 64)
	}
	page = append(page, "\ntotal "...)
	return strconv.AppendInt(page, int64(cents), 10)
}
