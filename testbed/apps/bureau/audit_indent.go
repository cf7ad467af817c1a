//go:build audit_indent

package main

import "encoding/json"

// auditTrail writes the whole order, prettily: the mistake of this release.
func (b *bureau) auditTrail(o *order, cents int) {
	var list []map[string]int
	for _, l := range o.lines {
		list = append(list, map[string]int{"article": l.article, "count": l.count, "cents": l.cents})
	}
	data, err := json.MarshalIndent(map[string]any{"order": o.id, "customer": o.customer, "cents": cents, "lines": list}, "", "  ")
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trail[b.next%len(b.trail)] = data
	b.next++
}
