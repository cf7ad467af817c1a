//go:build refactor_move

package main

import "github.com/perfscope/perfscope/testbed/apps/bureau/render"

func renderOrder(o *order, cents int) []byte {
	list := make([]render.Line, len(o.lines))
	for i, l := range o.lines {
		list[i] = render.Line{Article: l.article, Count: l.count, Cents: l.cents}
	}
	return render.Order(o.customer, list, cents)
}
