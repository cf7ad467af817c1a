package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// mariadbRows: a report was started in a transaction that locks what it reads,
// and whoever started it went to lunch. https://mariadb.com/kb/en/innodb-lock-waits/
// has "Lock wait timeout exceeded" for what its users see a minute later.
func mariadbRows() Scenario {
	return Scenario{
		Name:   "mariadb-rows",
		Title:  "mariadb waits: rows that an open transaction has locked",
		Server: "mariadb", Language: C, Kind: Hang, Source: Debian, Split: Report,
		Normal: "a shop: pages, carts and sales",
		Fault:  "SELECT … FOR UPDATE of one item in ten, in a transaction that is left open: who sells one of them waits",
		// An UPDATE looks its row up through QUICK_RANGE_SELECT of
		// https://github.com/MariaDB/server/blob/mariadb-10.11.14/sql/opt_range.cc
		// and handler of sql/handler.cc, below which InnoDB waits in lock_wait
		// (storage/innobase/lock/lock0lock.cc). InnoDB has no names in Debian's
		// program.
		Truth: []string{
			"handler::ha_index_read_map", "handler::read_range_first", "handler::multi_range_read_next",
			"QUICK_RANGE_SELECT::get_next",
		},
		Patterns: []string{"lock_wait", "stuck_call"},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startMariaDB(ctx, 400)
			w.Fault = func(ctx context.Context) (func(), error) { return leaveOpen(ctx, w.Server) }
			return w, err
		},
	}
}

// leaveOpen locks rows until it is ended.
func leaveOpen(ctx context.Context, s *server.Server) (func(), error) {
	c, err := client.DialMariaDB(ctx, s.Addr, "shop")
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{"BEGIN", "SELECT sum(stock) FROM (SELECT stock FROM items WHERE id <= 1000 FOR UPDATE) sold"} {
		if err := c.Query(statement); err != nil {
			c.Close()
			return nil, err
		}
	}
	return func() { c.Close() }, nil
}
