package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// keptFor is how long a tariff counts.
const keptFor = 250 * time.Millisecond

type tariff struct {
	url string

	mu      sync.Mutex
	perAxle float64
	fetched time.Time
}

// current is the toll per axle.
func (t *tariff) current() (float64, error) {
	// The mistake: the lock is held while the other service is asked.
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.fetched) > keptFor {
		if err := t.fetch(); err != nil {
			return 0, err
		}
	}
	return t.perAxle, nil
}

func (t *tariff) fetch() error {
	response, err := http.Get(t.url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := fmt.Fscan(response.Body, &t.perAxle); err != nil {
		return err
	}
	t.fetched = time.Now()
	return nil
}
