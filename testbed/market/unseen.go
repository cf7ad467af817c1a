package market

import (
	"context"
	"errors"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
)

// unseen are faults that were written when all was made. Those that are marked are
// still such that nothing was tuned with.
func unseen() []Fault {
	return []Fault{
		{
			Name: "quote-convoy", Service: "quote", Unseen: true, Truth: []string{"main.(*audit).record"},
			Say:    "quote writes every price into one file, and keeps the lock while it waits for the disk",
			Switch: func(m *Market, on bool) error { return get(m.quoteAdmin(), "/convoy", on) },
		},
		{
			Name: "postgres-lock", Service: "postgres", Database: true,
			// As in the scenario of that name.
			Truth: []string{"ProcSleep", "WaitOnLock", "LockAcquireExtended", "LockRelationOid", "LockAcquire"},
			Say:   "a job locks the table of stock's query for 150 ms, twice a second: whoever asks meanwhile waits",
			Switch: func(m *Market, on bool) (err error) {
				if !on {
					return m.endFault()
				}
				m.endFault, err = lockTable(m.Postgres.Addr, func(from, to time.Time) { m.busy = append(m.busy, stretch{from, to}) })
				return err
			},
		},
	}
}

// lockTable takes a lock on the table now and then until the function it returns
// is called, and tells when it had it.
func lockTable(addr string, had func(from, to time.Time)) (end func() error, err error) {
	const every, held = 500 * time.Millisecond, 150 * time.Millisecond
	c, err := client.DialPostgres(addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-ticker.C:
			}
			if err := c.Query("BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"); err != nil {
				done <- err
				return
			}
			from := time.Now()
			time.Sleep(held)
			to := time.Now()
			if err := c.Query("COMMIT"); err != nil {
				done <- err
				return
			}
			had(from, to)
		}
	}()
	return func() error {
		cancel()
		return errors.Join(<-done, c.Close())
	}, nil
}
