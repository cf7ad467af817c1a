package main

import (
	"container/list"
	"sync"
	"time"
)

// pageCache keeps the pages that were asked for last, for a while.
type pageCache struct {
	limit int
	keep  time.Duration

	mu     sync.Mutex
	recent *list.List
	byKey  map[string]*list.Element
}

type cachedPage struct {
	key   string
	body  []byte
	until time.Time
}

func newPageCache(limit int, keep time.Duration) *pageCache {
	return &pageCache{limit: limit, keep: keep, recent: list.New(), byKey: map[string]*list.Element{}}
}

func (c *pageCache) get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	page := e.Value.(*cachedPage)
	if time.Now().After(page.until) {
		c.remove(e)
		return nil, false
	}
	c.recent.MoveToFront(e)
	return page.body, true
}

func (c *pageCache) put(key string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.remove(e)
	}
	c.byKey[key] = c.recent.PushFront(&cachedPage{key: key, body: body, until: time.Now().Add(c.keep)})
	for c.recent.Len() > c.limit {
		c.remove(c.recent.Back())
	}
}

func (c *pageCache) remove(e *list.Element) {
	c.recent.Remove(e)
	delete(c.byKey, e.Value.(*cachedPage).key)
}
