//go:build price_regexp

package main

import "regexp"

// priceOrder compiles its expression for each order: the mistake of this release.
func priceOrder(o *order) int {
	cents := 0
	for _, l := range o.lines {
		cents += l.count*l.cents + taxOf(l)
	}
	if regexp.MustCompile(`^(SALE|PROMO|CLUB)-[0-9]+(-[A-Z]{2,8})?$`).MatchString(o.code) {
		cents -= cents / 20
	}
	return cents
}
