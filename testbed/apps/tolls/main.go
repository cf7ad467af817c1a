// Command tolls takes the toll of cars that pass: the tariff is another
// service's, and every passage is written into a journal.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	upstream := flag.String("upstream", "http://127.0.0.1:8081", "the service that has the tariff")
	file := flag.String("journal", os.DevNull, "file")
	flag.Parse()
	out, err := os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	t := &tariff{url: *upstream + "/app/rate"}
	j := newJournal(out)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /roads", listRoads)
	mux.HandleFunc("GET /tolls/{axles}", func(w http.ResponseWriter, r *http.Request) { showToll(t, w, r) })
	mux.HandleFunc("POST /passages/{plate}", func(w http.ResponseWriter, r *http.Request) { takePassage(j, w, r) })
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func listRoads(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "A1 A2 A9") }

func showToll(t *tariff, w http.ResponseWriter, r *http.Request) {
	axles, _ := strconv.Atoi(r.PathValue("axles")) // none is free
	perAxle, err := t.current()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "%.2f\n", perAxle*float64(axles))
}

func takePassage(j *journal, w http.ResponseWriter, r *http.Request) {
	j.record(passage{plate: r.PathValue("plate"), at: time.Now()})
	w.WriteHeader(http.StatusAccepted)
}
