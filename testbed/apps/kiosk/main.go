// Command kiosk sells tickets over HTTP. Some of its tickets take a slow way from its
// first second on, which a flag chooses.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address of the API")
	permille := flag.Int("permille", 0, "how many tickets of a thousand go the slow way")
	slow := flag.String("slow", "", "history, short-history, prices, short-prices, related, rate, partner, miss or large")
	upstream := flag.String("upstream", "", "address of the service that is asked")
	flag.Parse()
	s := newShop(*upstream)
	ways := map[string]func(http.ResponseWriter, int) error{
		"history": s.showHistory, "short-history": s.showShortHistory, "prices": s.showPrices, "short-prices": s.showFewPrices,
		"related": s.showRelated, "rate": s.showRate,
		"partner": s.showPartner, "miss": s.showUncached, "large": s.showGroup,
	}
	way := ways[*slow]
	if way == nil {
		way = s.showTicket
	}
	http.HandleFunc("GET /item/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		show := s.showTicket
		if id%1000 < *permille {
			show = way
		}
		if err == nil {
			err = show(w, id)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	log.Fatal(http.ListenAndServe(*listen, nil))
}
