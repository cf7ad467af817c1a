//go:build !next

package main

import (
	"fmt"
	"net/http"
	"strconv"
)

// showAccount knows the total of every account.
func (l *ledger) showAccount(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 0 || id >= accounts {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, "%d\n", l.totals[id])
}
