//go:build render_concat

package main

import "strconv"

// renderOrder copies the page for each piece of it: the mistake of this release.
func renderOrder(o *order, cents int) []byte {
	page := o.customer
	for _, l := range o.lines {
		page += "\n"
		page += strconv.Itoa(l.article)
		page += " x "
		page += strconv.Itoa(l.count)
		page += " at "
		page += strconv.FormatFloat(float64(l.cents)/100, 'f', 2, 64)
	}
	return []byte(page + "\ntotal " + strconv.Itoa(cents))
}
