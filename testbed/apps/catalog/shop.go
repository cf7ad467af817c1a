package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// shop answers requests.
type shop struct {
	current atomic.Pointer[catalogue]
	pages   *pageCache

	mu     sync.Mutex
	orders []order
	sold   int
}

// order is what a customer wants.
type order struct {
	Customer string      `json:"customer"`
	Items    []orderItem `json:"items"`
}

type orderItem struct {
	Product int `json:"product"`
	Count   int `json:"count"`
}

func newShop(c *catalogue, pages *pageCache) *shop {
	s := &shop{pages: pages}
	s.current.Store(c)
	return s
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /product/{id}", s.product)
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("POST /order", s.order)
	mux.HandleFunc("POST /admin/import", s.importCatalogue)
	return mux
}

func (s *shop) product(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.Error(w, "not a number", http.StatusBadRequest)
		return
	}
	p, ok := s.current.Load().get(id)
	if !ok {
		http.NotFound(w, r)
		return
	}
	answer(w, p)
}

func (s *shop) search(w http.ResponseWriter, r *http.Request) {
	query := strings.ToLower(r.URL.Query().Get("q"))
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	page, err := s.page(query, max(0, offset))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(page) // the client is gone
}

func (s *shop) page(query string, offset int) ([]byte, error) {
	c := s.current.Load()
	key := strconv.Itoa(c.version) + " " + strconv.Itoa(offset) + " " + query
	if page, ok := s.pages.get(key); ok {
		return page, nil
	}
	page, err := json.Marshal(c.search(strings.Fields(query), offset, 50))
	if err != nil {
		return nil, err
	}
	s.pages.put(key, page)
	return page, nil
}

func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	total, err := s.price(o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	answer(w, map[string]int{"cents": total})
}

func (s *shop) price(o order) (int, error) {
	c, total := s.current.Load(), 0
	for _, item := range o.Items {
		p, ok := c.get(item.Product)
		if !ok || item.Count < 1 {
			return 0, errors.New("no such product")
		}
		total += item.Count * p.Cents
	}
	return total, nil
}

// settleOrders empties the list of orders every second.
func (s *shop) settleOrders(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			s.sold += len(s.orders)
			s.orders = nil
			s.mu.Unlock()
		}
	}
}

// importCatalogue makes a new catalogue beside the old one and takes its
// place, as a nightly import does.
func (s *shop) importCatalogue(w http.ResponseWriter, _ *http.Request) {
	old := s.current.Load()
	s.current.Store(newCatalogue(len(old.products), old.version+1))
	answer(w, map[string]int{"version": old.version + 1})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
