package store

import (
	"errors"
	"time"
)

// Document is a text with what is known of it.
type Document struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Author   string    `json:"author,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	Body     string    `json:"body"`
	Revision int       `json:"revision"`
	Changed  time.Time `json:"changed"`
}

// size is what a document takes in the cache, about.
func (d *Document) size() int64 {
	n := len(d.ID) + len(d.Title) + len(d.Author) + len(d.Body) + 200
	for _, t := range d.Tags {
		n += len(t) + 16
	}
	return int64(n)
}

// ErrNotFound is returned for what is not in the store.
var ErrNotFound = errors.New("not found")

// ValidID reports whether an ID can be a file's name.
func ValidID(id string) bool {
	if id == "" || len(id) > 64 || id[0] == '.' {
		return false
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
