package main

import (
	"fmt"
	"strconv"
)

// page is what a customer sees.
type page struct {
	item, price int64
	left        string
	// rows is the length of the table; none by default.
	rows int
}

func (p *page) html() string {
	return fmt.Sprintf("<html><body><h1>Item %d</h1><p>%d cents, %s left</p>%s</body></html>", p.item, p.price, p.left, p.table())
}

// table is put together row by row, each time as a new string: the mistake.
func (p *page) table() string {
	out := ""
	for i := range p.rows {
		out += "<tr><td>" + strconv.Itoa(i) + "</td><td>" + strconv.FormatInt(p.price*int64(i), 10) + "</td><td>in stock</td></tr>\n"
	}
	return out
}
