package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

type shop struct {
	upstream string
	mu       sync.RWMutex
	prices   map[int]int
}

func newShop(upstream string) *shop {
	s := &shop{upstream: upstream, prices: map[int]int{}}
	for i := range 2000 {
		s.prices[i] = i
	}
	return s
}

// showTicket is what most requests do.
func (s *shop) showTicket(w http.ResponseWriter, id int) error {
	s.mu.RLock()
	price := s.prices[id%2000]
	s.mu.RUnlock()
	_, err := fmt.Fprintf(w, "%d %d %x\n", id, price, seal(id, 40))
	return err
}

// seal signs a ticket.
//
//go:noinline
func seal(id, pages int) [32]byte {
	sum := sha256.Sum256([]byte{byte(id)})
	page := make([]byte, 16<<10)
	for range pages {
		copy(page, sum[:])
		sum = sha256.Sum256(page)
	}
	return sum
}

// showGroup seals the tickets of a large group: more of the same.
func (s *shop) showGroup(w http.ResponseWriter, id int) error {
	_, err := fmt.Fprintf(w, "%d %x\n", id, seal(id, 2000))
	return err
}

// showHistory has every booking of a customer in one text.
func (s *shop) showHistory(w http.ResponseWriter, id int) error {
	_, err := io.WriteString(w, renderHistory(id, 6000)[:100])
	return err
}

// showShortHistory is of a customer with fewer.
func (s *shop) showShortHistory(w http.ResponseWriter, id int) error {
	_, err := io.WriteString(w, renderHistory(id, 2400)[:100])
	return err
}

//go:noinline
func renderHistory(id, bookings int) string {
	text := ""
	for i := range bookings {
		text += fmt.Sprintf("%d booked %d\n", id, i)
	}
	return text
}

// showPrices computes all prices anew, while nobody may read them.
func (s *shop) showPrices(w http.ResponseWriter, id int) error {
	s.revalue(id, 200)
	return s.showTicket(w, id)
}

// showFewPrices computes them in fewer rounds.
func (s *shop) showFewPrices(w http.ResponseWriter, id int) error {
	s.revalue(id, 50)
	return s.showTicket(w, id)
}

//go:noinline
func (s *shop) revalue(id, rounds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range rounds {
		for k, v := range s.prices {
			sum := sha256.Sum256([]byte{byte(k), byte(v), byte(id)})
			s.prices[k] = int(sum[0])
		}
	}
}

// showRelated asks for each related ticket by itself.
func (s *shop) showRelated(w http.ResponseWriter, id int) error {
	if err := s.loadRelated(id); err != nil {
		return err
	}
	return s.showTicket(w, id)
}

//go:noinline
func (s *shop) loadRelated(id int) error {
	for i := range 25 {
		if err := s.ask(fmt.Sprintf("/item/%d", 1000*i+id%1000)); err != nil {
			return err
		}
	}
	return nil
}

// showRate asks for the rate of a currency that the other side computes slowly.
func (s *shop) showRate(w http.ResponseWriter, id int) error {
	if err := s.fetchRate(); err != nil {
		return err
	}
	return s.showTicket(w, id)
}

//go:noinline
func (s *shop) fetchRate() error { return s.ask("/slow") }

func (s *shop) ask(path string) error {
	answer, err := http.Get("http://" + s.upstream + path)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// showPartner books with a partner who refuses the first attempts.
func (s *shop) showPartner(w http.ResponseWriter, id int) error {
	bookAgain()
	return s.showTicket(w, id)
}

//go:noinline
func bookAgain() {
	for range 4 {
		time.Sleep(25 * time.Millisecond)
	}
}

// showUncached computes what is not cached: an honest miss.
func (s *shop) showUncached(w http.ResponseWriter, id int) error {
	_, err := io.WriteString(w, drawPlan(id))
	return err
}

//go:noinline
func drawPlan(id int) string {
	var b strings.Builder
	for i := range 400000 {
		fmt.Fprintf(&b, "%x", i*id)
	}
	return b.String()[:100]
}
