// Command harbour has the containers of shippers, and books them on ships.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"
)

type container struct {
	Number, Ship int
	Goods        []string
	Arrived      time.Time
}

type shipper struct {
	Name       string
	Containers []*container
}

type harbour struct {
	mu       sync.Mutex
	shippers map[int]*shipper
	verbose  bool
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address")
	verbose := flag.Bool("verbose", false, "say what is booked")
	flag.Parse()
	h := &harbour{shippers: map[int]*shipper{}, verbose: *verbose}
	for i := range 200 {
		h.deliver(i, 5+i%10)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /containers/{shipper}/{many}", func(w http.ResponseWriter, r *http.Request) {
		h.deliver(number(r, "shipper"), number(r, "many"))
	})
	mux.HandleFunc("POST /bookings/{shipper}/{ship}", h.receive)
	mux.HandleFunc("GET /ships/{ship}", show)
	server := &http.Server{Addr: *listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.PathValue(name)) // another path is no number, which is 0
	return n
}

func (h *harbour) deliver(of, many int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shippers[of]
	if s == nil {
		s = &shipper{Name: "shipper " + strconv.Itoa(of)}
		h.shippers[of] = s
	}
	for i := range many {
		s.Containers = append(s.Containers, &container{Number: i, Goods: []string{"tea", "cloth"}, Arrived: time.Now()})
	}
}

func (h *harbour) debug(text string) {
	if h.verbose {
		log.Print(text)
	}
}

func (h *harbour) receive(w http.ResponseWriter, r *http.Request) {
	if !h.book(number(r, "shipper"), number(r, "ship")) {
		http.NotFound(w, r)
	}
}

// book has the next container of a shipper leave with a ship. The mistake: what debug
// would say is made whether anybody reads it or not.
func (h *harbour) book(of, ship int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shippers[of]
	if s == nil || len(s.Containers) == 0 {
		return false
	}
	s.Containers[ship%len(s.Containers)].Ship = ship
	h.debug(fmt.Sprintf("booked for %s: %s", s.Name, list(s.Containers)))
	return true
}

func list(all []*container) (text string) {
	for _, c := range all {
		text = fmt.Sprintf("%s %+v", text, *c)
	}
	return text
}

func show(w http.ResponseWriter, r *http.Request) {
	ship := number(r, "ship")
	for i := range 40 {
		fmt.Fprintf(w, "deck %d: %d places\n", i, (ship*31+i*7)%90)
	}
}
