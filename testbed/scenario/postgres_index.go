package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// postgresIndex: the index that every query uses is dropped, and each reads the
// whole table.
func postgresIndex() Scenario {
	sc := postgresLock()
	sc.Name = "postgres-index"
	sc.Title = "postgres computes: the index of the hot query is gone"
	sc.Fault = "ALTER TABLE accounts DROP CONSTRAINT accounts_pkey: every query scans the table"
	// The sequential scan, from the executor's node down to the page. The
	// tuple's test is done from there, too.
	sc.Truth = []string{"heap_getnextslot", "heapgetpage", "ExecScan", "ExecSeqScan"}
	sc.Kind, sc.Split, sc.Quick = Computation, Report, false
	sc.Patterns = []string{"long_computation"}
	start := sc.Start
	sc.Start = func(ctx context.Context) (Workload, error) {
		w, err := start(ctx)
		if err == nil {
			w.Fault = func(context.Context) (func(), error) { return dropIndex(w.Server) }
		}
		return w, err
	}
	return sc
}

func dropIndex(s *server.Server) (func(), error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Query("ALTER TABLE accounts DROP CONSTRAINT accounts_pkey"); err != nil {
		return nil, err
	}
	return func() {}, nil
}
