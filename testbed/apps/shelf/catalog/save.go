package catalog

import (
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"time"
)

// catalogFile is what is on disk.
type catalogFile struct {
	Saved   time.Time `json:"saved"`
	Entries []*Entry  `json:"entries"`
}

// changed counts changes and saves the catalogue when there are enough. The
// caller holds the lock.
func (c *Catalog) changed(n int) {
	c.unsaved += n
	if c.unsaved < c.saveEvery {
		return
	}
	if err := c.save(); err != nil {
		c.lastErr = err // tried again at the next change
	}
}

// save writes the whole catalogue beside the old file and takes its place.
// The caller holds the lock.
func (c *Catalog) save() error {
	file := catalogFile{Saved: time.Now().UTC(), Entries: make([]*Entry, 0, len(c.entries))}
	for _, e := range c.entries {
		file.Entries = append(file.Entries, e)
	}
	slices.SortFunc(file.Entries, func(a, b *Entry) int { return cmp.Compare(a.ID, b.ID) })
	data, err := json.Marshal(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path+".new", data, 0o644); err != nil {
		return err
	}
	if err := os.Rename(c.path+".new", c.path); err != nil {
		return err
	}
	c.unsaved, c.lastErr = 0, nil
	return nil
}

// Err is why the catalogue could not be saved, if it could not.
func (c *Catalog) Err() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.lastErr
}
