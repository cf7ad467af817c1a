//go:build render_sprintf

package main

import "fmt"

// renderOrder formats by reflection: the mistake of this release.
func renderOrder(o *order, cents int) []byte {
	page := fmt.Appendf(nil, "%v", o.customer)
	for _, l := range o.lines {
		page = fmt.Appendf(page, "\n%v x %v at %.2f", l.article, l.count, float64(l.cents)/100)
	}
	return fmt.Appendf(page, "\ntotal %v", cents)
}
