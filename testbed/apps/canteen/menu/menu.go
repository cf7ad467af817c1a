// Package menu has what there is to eat.
package menu

import (
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
)

type dish struct {
	name  string
	price int
}

var words = strings.Fields("soup rice beans fish pie salad stew bread eggs noodles")

// Show writes the dishes of a day, the cheapest first.
func Show(w http.ResponseWriter, r *http.Request) {
	day, _ := strconv.Atoi(r.PathValue("day")) // another path is no day, which is 0
	for _, d := range dishes(day) {
		fmt.Fprintf(w, "%-30s %d.%02d\n", d.name, d.price/100, d.price%100)
	}
}

func dishes(day int) []dish {
	var all []dish
	for i := range 40 {
		name := words[(day+i)%len(words)] + " with " + words[(day*3+i*7)%len(words)]
		all = append(all, dish{name: name, price: 300 + (day*31+i*17)%900})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].price < all[j].price })
	return all
}
