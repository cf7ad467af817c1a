package scenario

import (
	"context"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// mariadbSleep: a scanner looks for blind SQL injection, by the time answers
// take.
func mariadbSleep() Scenario {
	return Scenario{
		Name:   "mariadb-sleep",
		Title:  "mariadb sleeps: queries that a scanner got a SLEEP into",
		Server: "mariadb", Language: C, Kind: Sleep, Source: Debian, Split: Tune,
		Normal: "a shop: pages, carts and sales",
		Fault:  "four connections of the shop run what a scanner sent: WHERE id = ... AND SLEEP(0.3) = 0",
		// https://github.com/MariaDB/server/blob/mariadb-10.11.14/sql/item_func.cc
		Truth:    []string{"Item_func_sleep::val_int"},
		Patterns: []string{"sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startMariaDB(ctx, 400)
			w.Fault = func(ctx context.Context) (func(), error) { return scan(ctx, w.Server) }
			return w, err
		},
	}
}

// scan sends the scanner's queries until it is ended.
func scan(ctx context.Context, s *server.Server) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var scanners sync.WaitGroup
	end := func() {
		cancel()
		scanners.Wait()
	}
	for range 4 {
		c, err := client.DialMariaDB(ctx, s.Addr, "shop")
		if err != nil {
			end()
			return nil, err
		}
		scanners.Go(func() {
			defer c.Close()
			for ctx.Err() == nil {
				if c.Query("SELECT id FROM items WHERE id = ? AND SLEEP(0.3) = 0", 7) != nil {
					return
				}
				pause(ctx, 100*time.Millisecond)
			}
		})
	}
	return end, nil
}
