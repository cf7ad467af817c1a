//go:build refactor_inline

package main

import "strings"

func priceOrder(o *order) int {
	cents := 0
	for _, l := range o.lines {
		tax := 0
		for i := range 40 {
			tax += (l.cents*i + l.article) % 19
		}
		cents += l.count*l.cents + tax
	}
	if strings.HasPrefix(o.code, "SALE-") {
		cents -= cents / 20
	}
	return cents
}
