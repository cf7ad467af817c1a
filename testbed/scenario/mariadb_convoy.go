package scenario

import (
	"context"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// mariadbConvoy: somebody starts the import of a price list, written in the
// days of MyISAM: it takes the table's lock for every batch.
func mariadbConvoy() Scenario {
	return Scenario{
		Name:   "mariadb-convoy",
		Title:  "mariadb waits: an import that locks the hot table for each batch",
		Server: "mariadb", Language: C, Kind: LockConvoy, Source: Debian, Split: Report,
		Normal: "a shop: pages, carts and sales",
		Fault:  "two importers LOCK TABLES items WRITE for each batch of prices: reader and writer queue behind the table's metadata lock",
		// https://github.com/MariaDB/server/blob/mariadb-10.11.14/sql/mdl.cc:
		// whoever opens the table waits in acquire_lock; LOCK TABLES comes
		// through acquire_locks.
		Truth:    []string{"MDL_context::acquire_lock", "MDL_wait::timed_wait", "MDL_context::acquire_locks"},
		Patterns: []string{"lock_wait"},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startMariaDB(ctx, 400)
			w.Fault = func(ctx context.Context) (func(), error) { return importPrices(ctx, w.Server) }
			return w, err
		},
	}
}

// importPrices runs two importers until they are ended.
func importPrices(ctx context.Context, s *server.Server) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var importers sync.WaitGroup
	end := func() {
		cancel()
		importers.Wait()
	}
	for i := range 2 {
		c, err := client.DialMariaDB(ctx, s.Addr, "shop")
		if err != nil {
			end()
			return nil, err
		}
		importers.Go(func() {
			defer c.Close()
			for item := 1 + i; importBatch(ctx, c, item) == nil; item = 1 + (item+40)%mariadbItems {
				pause(ctx, 60*time.Millisecond)
			}
		})
	}
	return end, nil
}

// importBatch sets ten prices under the table's lock. The importer reads its
// list meanwhile.
func importBatch(ctx context.Context, c *client.MariaDB, item int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := c.Exec("LOCK TABLES items WRITE"); err != nil {
		return err
	}
	for i := range 10 {
		pause(ctx, time.Millisecond)
		if err := c.Exec("UPDATE items SET price = price + 1 WHERE id = ?", item+i); err != nil {
			return err
		}
	}
	return c.Exec("UNLOCK TABLES")
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
