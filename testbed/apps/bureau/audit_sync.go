//go:build audit_sync

package main

import (
	"encoding/json"
	"os"
)

// journal is guarded by the bureau's lock.
var journal *os.File

// auditTrail writes to a file, and waits for the disk with the lock held: the mistake of
// this release.
func (b *bureau) auditTrail(o *order, cents int) {
	data, err := json.Marshal(map[string]any{"order": o.id, "customer": o.customer, "cents": cents, "lines": len(o.lines)})
	if err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if journal == nil {
		if journal, err = os.CreateTemp("", "bureau-*"); err != nil {
			return
		}
		_ = os.Remove(journal.Name())
	}
	_, _ = journal.WriteAt(data, 0)
	_ = journal.Sync()
	b.trail[b.next%len(b.trail)] = data
	b.next++
}
