// Command ledger says what is on the accounts of a club. Two releases of it are
// built: the usual one, and one with the tag next.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"time"
)

const (
	accounts = 500
	bookings = 3_000_000
)

// booking is a line of the club's books.
type booking struct{ account, cents int }

type ledger struct {
	lines  []booking
	totals [accounts]int
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	flag.Parse()
	l := &ledger{}
	for i := range bookings {
		b := booking{account: i * 7919 % accounts, cents: i%2003 - 900}
		l.lines = append(l.lines, b)
		l.totals[b.account] += b.cents
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts/{id}", l.showAccount)
	mux.HandleFunc("GET /lines/{id}", l.showLine)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func (l *ledger) showLine(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 0 || id >= len(l.lines) {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, "%+v\n", l.lines[id])
}
