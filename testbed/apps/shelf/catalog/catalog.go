// Package catalog knows all documents by title, tag and word, without their
// texts. It is in memory, and saved as one file.
package catalog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is a document in the catalogue.
type Entry struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Author   string    `json:"author,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
	Size     int       `json:"size"`
	Revision int       `json:"revision"`
	Changed  time.Time `json:"changed"`
	// Location is where the text is kept, if not here.
	Location string `json:"location,omitempty"`
}

// Catalog is safe for concurrent use.
type Catalog struct {
	path      string
	saveEvery int

	mu      sync.RWMutex
	entries map[string]*Entry
	byTag   map[string]map[string]*Entry
	unsaved int
	lastErr error
}

// Open loads a catalogue; a missing file is an empty one.
func Open(path string, saveEvery int) (*Catalog, error) {
	c := &Catalog{path: path, saveEvery: saveEvery, entries: map[string]*Entry{}, byTag: map[string]map[string]*Entry{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	var file catalogFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range file.Entries {
		c.insert(e)
	}
	return c, nil
}

// Close saves what is not saved yet.
func (c *Catalog) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved == 0 {
		return nil
	}
	return c.save()
}

// Put adds or replaces an entry.
func (c *Catalog) Put(e *Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdraw(e.ID)
	c.insert(e)
	c.changed(1)
}

// Import adds many entries, for documents that are kept elsewhere.
func (c *Catalog) Import(entries []*Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		c.withdraw(e.ID)
		c.insert(e)
	}
	c.changed(len(entries))
}

// Delete removes an entry.
func (c *Catalog) Delete(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.withdraw(id)
	c.changed(1)
}

// Get returns a copy of an entry.
func (c *Catalog) Get(id string) (Entry, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[id]
	if !ok {
		return Entry{}, false
	}
	return *e, true
}

// Len is the number of entries.
func (c *Catalog) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries)
}

// ByTag returns up to limit entries with a tag, the latest first.
func (c *Catalog) ByTag(tag string, limit int) []Entry {
	c.mu.RLock()
	found := make([]Entry, 0, len(c.byTag[tag]))
	for _, e := range c.byTag[tag] {
		found = append(found, *e)
	}
	c.mu.RUnlock()
	slices.SortFunc(found, func(a, b Entry) int {
		return cmp.Or(b.Changed.Compare(a.Changed), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(limit, len(found))]
}

// Search returns up to limit entries of one tag whose title holds all words.
func (c *Catalog) Search(tag, query string, limit int) []Entry {
	words := strings.Fields(strings.ToLower(query))
	c.mu.RLock()
	defer c.mu.RUnlock()
	var found []Entry
	for _, e := range c.byTag[tag] {
		if matches(strings.ToLower(e.Title), words) {
			found = append(found, *e)
			if len(found) == limit {
				break
			}
		}
	}
	return found
}

func matches(title string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(title, w) {
			return false
		}
	}
	return len(words) > 0
}

func (c *Catalog) insert(e *Entry) {
	c.entries[e.ID] = e
	for _, t := range e.Tags {
		if c.byTag[t] == nil {
			c.byTag[t] = map[string]*Entry{}
		}
		c.byTag[t][e.ID] = e
	}
}

func (c *Catalog) withdraw(id string) {
	e, ok := c.entries[id]
	if !ok {
		return
	}
	delete(c.entries, id)
	for _, t := range e.Tags {
		delete(c.byTag[t], id)
	}
}
