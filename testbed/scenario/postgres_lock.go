package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const postgresRows = 10_000

// postgresLock: a migration took the table's lock and was forgotten. Nobody
// computes, everybody waits.
func postgresLock() Scenario {
	return Scenario{
		Name:   "postgres-lock",
		Title:  "postgres waits: a table lock nobody gives back",
		Server: "postgres", Language: C, Kind: Hang, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "six clients read and update accounts",
		Fault:  "LOCK TABLE accounts in a transaction that is left open: every backend waits for it",
		// src/backend/storage/lmgr: from the table's lock down to the
		// sleep. WaitLatch below them is where every idle backend waits.
		Truth:    []string{"ProcSleep", "WaitOnLock", "LockAcquireExtended", "LockRelationOid", "LockAcquire"},
		Patterns: []string{"lock_wait", "stuck_call"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			// Commits do not wait for the disk: what other programs do with it
			// would be a second fault.
			s, err := server.StartPostgres(ctx, "-c", "synchronous_commit=off")
			if err != nil {
				return Workload{}, err
			}
			if err := fillPostgres(s); err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			return Workload{
				Server: s,
				Load: load.Config{
					Workers: 6,
					Rate:    300,
					Dial: func() (load.Client, error) {
						c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
						if err != nil {
							return nil, err
						}
						return postgresClient{c}, nil
					},
				},
				Fault: func(context.Context) (func(), error) { return lockTable(s) },
			}, nil
		},
	}
}

func fillPostgres(s *server.Server) error {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Query(fmt.Sprintf(`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, note text);
		INSERT INTO accounts SELECT i, 0, repeat('x', 100) FROM generate_series(1, %d) i;
		ANALYZE accounts`, postgresRows))
}

type postgresClient struct{ *client.Postgres }

func (c postgresClient) Request(r *rand.Rand) error {
	id := 1 + r.IntN(postgresRows)
	if r.IntN(4) == 0 {
		return c.Query(fmt.Sprintf("UPDATE accounts SET balance = balance + 1 WHERE id = %d", id))
	}
	return c.Query(fmt.Sprintf("SELECT balance, note FROM accounts WHERE id = %d", id))
}

func lockTable(s *server.Server) (func(), error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	if err := c.Query("BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE"); err != nil {
		c.Close()
		return nil, err
	}
	return func() { c.Close() }, nil
}
