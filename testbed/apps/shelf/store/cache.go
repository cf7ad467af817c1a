package store

import (
	"container/list"
	"sync"
)

// cache keeps the documents that were used last, up to a number of bytes.
type cache struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	order   *list.List // of *Document, the last used in front
	entries map[string]*list.Element

	hits, misses int64
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, order: list.New(), entries: map[string]*list.Element{}}
}

func (c *cache) get(id string) (*Document, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[id]
	if !ok {
		c.misses++
		return nil, false
	}
	c.hits++
	c.order.MoveToFront(e)
	return e.Value.(*Document), true
}

// put keeps a document, unless it would push out a good part of the others.
func (c *cache) put(d *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(d.ID)
	if d.size() > c.limit/64 {
		return
	}
	c.entries[d.ID] = c.order.PushFront(d)
	c.used += d.size()
	for c.used > c.limit {
		c.remove(c.order.Back().Value.(*Document).ID)
	}
}

func (c *cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
}

func (c *cache) remove(id string) {
	e, ok := c.entries[id]
	if !ok {
		return
	}
	c.used -= c.order.Remove(e).(*Document).size()
	delete(c.entries, id)
}

// CacheFigures say how well the cache does.
type CacheFigures struct {
	Documents int   `json:"documents"`
	Bytes     int64 `json:"bytes"`
	Hits      int64 `json:"hits"`
	Misses    int64 `json:"misses"`
}

func (c *cache) figures() CacheFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheFigures{Documents: len(c.entries), Bytes: c.used, Hits: c.hits, Misses: c.misses}
}
