package spanhold

import (
	"slices"
	"sync"
)

// Holders are those of the pipelines that share an engine. It is safe for
// concurrent use.
type Holders struct {
	mu   sync.Mutex
	list []*Holder
}

// Add enters a holder.
func (h *Holders) Add(holder *Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, holder)
}

// Remove takes a holder out.
func (h *Holders) Remove(holder *Holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = slices.DeleteFunc(h.list, func(o *Holder) bool { return o == holder })
}

// All are the holders there are now.
func (h *Holders) All() []*Holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

// Wake has all of them look whether spans can go.
func (h *Holders) Wake() {
	for _, holder := range h.All() {
		holder.Wake()
	}
}

// Held is how many spans all of them hold, and about the memory they take (bytes).
func (h *Holders) Held() (spans, bytes int64) {
	for _, holder := range h.All() {
		n, size := holder.Held()
		spans += int64(n)
		bytes += int64(size)
	}
	return spans, bytes
}
