// Command safes is a bank's safe deposit boxes: who has which, and a log of who opened
// one.
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
	file := flag.String("audit", os.DevNull, "file")
	flag.Parse()
	out, err := os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	a := &audit{out: out}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boxes/{box}", func(w http.ResponseWriter, r *http.Request) { showBox(a, w, r) })
	mux.HandleFunc("POST /boxes/{box}", func(w http.ResponseWriter, r *http.Request) { openBox(a, w, r) })
	mux.HandleFunc("PUT /durable/{on}", func(_ http.ResponseWriter, r *http.Request) { a.setDurable(r.PathValue("on") == "true") })
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func showBox(a *audit, w http.ResponseWriter, r *http.Request) {
	box, _ := strconv.Atoi(r.PathValue("box")) // the first is 0
	fmt.Fprintf(w, "box %d of customer %d, opened %d times\n", box, box*31%977, a.opened(box))
}

func openBox(a *audit, w http.ResponseWriter, r *http.Request) {
	box, _ := strconv.Atoi(r.PathValue("box"))
	if err := a.record(box, time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
}
