// Package ratings asks another service how readers rate a document.
package ratings

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Rating is what readers think.
type Rating struct {
	Stars float64 `json:"stars"`
	Votes int     `json:"votes"`
}

// Client asks and remembers answers for a while.
type Client struct {
	base string
	keep time.Duration
	http *http.Client
	log  *slog.Logger

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	rating Rating
	until  time.Time
}

const (
	attempts   = 3
	maxKnown   = 10_000
	askTimeout = 2 * time.Second
)

// New makes a client; with an empty base nothing has a rating.
func New(base string, keep time.Duration, log *slog.Logger) *Client {
	return &Client{
		base:  base,
		keep:  keep,
		log:   log,
		known: map[string]known{},
		http: &http.Client{
			Timeout:   askTimeout,
			Transport: &http.Transport{MaxIdleConns: 32, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		},
	}
}

// Get returns a document's rating, nil when it can't be had.
func (c *Client) Get(ctx context.Context, id string) *Rating {
	if c.base == "" {
		return nil
	}
	if r, ok := c.remembered(id); ok {
		return &r
	}
	var last error
	for range attempts {
		r, err := c.ask(ctx, id)
		if err == nil {
			c.remember(id, r)
			return &r
		}
		if last = err; ctx.Err() != nil {
			break
		}
	}
	c.log.Debug("no rating", "id", id, "error", last)
	return nil
}

// ask makes one request.
func (c *Client) ask(ctx context.Context, id string) (Rating, error) {
	var r Rating
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/ratings/"+url.PathEscape(id), nil)
	if err != nil {
		return r, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return r, fmt.Errorf("ratings service: %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		return r, fmt.Errorf("ratings service: %w", err)
	}
	return r, nil
}

func (c *Client) remembered(id string) (Rating, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[id]
	if !ok || time.Now().After(k.until) {
		return Rating{}, false
	}
	return k.rating, true
}

func (c *Client) remember(id string, r Rating) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[id] = known{rating: r, until: time.Now().Add(c.keep)}
}
