// Package settings holds what can be configured.
package settings

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Settings of one server.
type Settings struct {
	Listen     string
	Data       string
	Ratings    string
	CacheBytes int64
	// MaxBody is the largest body a client may send.
	MaxBody int64
	// SaveEvery is the number of changes after which the catalogue is saved.
	SaveEvery int
	// FlushInterval is how long a journal line may stay in memory.
	FlushInterval time.Duration
	// RatingsFor is how long a rating may be used without asking again.
	RatingsFor time.Duration
}

// Default is what a small installation needs.
func Default() Settings {
	return Settings{
		Listen:        "127.0.0.1:8080",
		Data:          "data",
		CacheBytes:    16 << 20,
		MaxBody:       8 << 20,
		SaveEvery:     20,
		FlushInterval: 50 * time.Millisecond,
		RatingsFor:    10 * time.Second,
	}
}

// Validate says what is wrong.
func (s Settings) Validate() error {
	if s.Data == "" {
		return errors.New("data: a directory is needed")
	}
	if s.CacheBytes < 0 || s.MaxBody <= 0 || s.SaveEvery < 1 || s.FlushInterval <= 0 {
		return errors.New("sizes and intervals must be positive")
	}
	if s.Ratings == "" {
		return nil
	}
	u, err := url.Parse(s.Ratings)
	if err != nil {
		return fmt.Errorf("ratings: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("ratings: %q is no http URL", s.Ratings)
	}
	return nil
}
