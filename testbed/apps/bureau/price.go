//go:build !price_regexp && !refactor_rename && !refactor_inline

package main

import "strings"

func priceOrder(o *order) int {
	cents := 0
	for _, l := range o.lines {
		cents += l.count*l.cents + taxOf(l)
	}
	if strings.HasPrefix(o.code, "SALE-") {
		cents -= cents / 20
	}
	return cents
}
