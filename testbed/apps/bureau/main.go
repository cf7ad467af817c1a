// Command bureau takes orders. It is built with and without tags: each changes one
// function, for the worse or only for another shape; see testbed/releases.
package main

import (
	"flag"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	orders = 4000
	lines  = 60
)

type line struct {
	article, count, cents int
}

type order struct {
	id       int
	customer string
	code     string
	lines    []line
}

type bureau struct {
	all  []order
	byID map[int]*order

	mu    sync.Mutex
	trail [][]byte
	next  int
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	flag.Parse()
	b := &bureau{byID: map[int]*order{}, trail: make([][]byte, 256)}
	for i := range orders {
		o := order{id: i * 7, customer: "customer " + strconv.Itoa(i%97), code: "SALE-" + strconv.Itoa(i%13)}
		for j := range lines {
			o.lines = append(o.lines, line{article: i*31 + j*7, count: 1 + j%5, cents: 99 + (i*j)%1900})
		}
		b.all = append(b.all, o)
	}
	for i := range b.all {
		b.byID[b.all[i].id] = &b.all[i]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", b.show)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
