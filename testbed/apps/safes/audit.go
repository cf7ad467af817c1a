package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// audit is the log of who opened a box.
type audit struct {
	mu      sync.Mutex
	out     *os.File
	counts  [4096]int
	durable bool
}

func (a *audit) setDurable(on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.durable = on
}

// record writes a line, and waits for the disk where it is to be durable. The mistake:
// it does so with the lock held that those who only read need, too.
func (a *audit) record(box int, at time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts[box%len(a.counts)]++
	if _, err := fmt.Fprintf(a.out, "%s box %d opened\n", at.Format(time.RFC3339Nano), box); err != nil {
		return err
	}
	if a.durable {
		return a.out.Sync()
	}
	return nil
}

func (a *audit) opened(box int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[box%len(a.counts)]
}
