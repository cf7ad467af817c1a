//go:build refactor_rename

package main

import "strings"

func priceOrder(o *order) int { return totalOf(o) }

//go:noinline
func totalOf(o *order) int {
	cents := 0
	for _, l := range o.lines {
		cents += l.count*l.cents + dutyOf(l)
	}
	if strings.HasPrefix(o.code, "SALE-") {
		cents -= cents / 20
	}
	return cents
}

//go:noinline
func dutyOf(l line) int {
	tax := 0
	for i := range 40 {
		tax += (l.cents*i + l.article) % 19
	}
	return tax
}
