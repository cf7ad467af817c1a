//go:build next

package main

import (
	"fmt"
	"net/http"
	"strconv"
)

// showAccount adds all lines of an account up, and finds them among all others:
// the mistake of this release.
func (l *ledger) showAccount(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 0 || id >= accounts {
		http.NotFound(w, r)
		return
	}
	total, highest := 0, 0
	for _, b := range l.lines {
		if b.account == id {
			total += b.cents
			highest = max(highest, total)
		}
	}
	fmt.Fprintf(w, "%d, at most %d\n", total, highest)
}
