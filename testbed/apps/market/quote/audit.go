package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// patience is for how long record waits for the disk, which is what a sync of a
// slow one takes; a quick one is asked several times.
const patience = 8 * time.Millisecond

// audit is where prices are written down.
type audit struct {
	mu   sync.Mutex
	file *os.File
}

func openAudit(directory string) (*audit, error) {
	f, err := os.Create(filepath.Join(directory, "audit.log"))
	if err != nil {
		return nil, err
	}
	return &audit{file: f}, nil
}

// record keeps everybody waiting while it waits for the disk: the mistake.
func (a *audit) record(item, cents int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for start := time.Now(); time.Since(start) < patience; {
		if _, err := fmt.Fprintln(a.file, item, cents); err != nil {
			log.Print(err)
			return
		}
		if err := a.file.Sync(); err != nil {
			log.Print(err)
			return
		}
	}
}
