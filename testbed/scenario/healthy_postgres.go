package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// postgresMix: a new release of the application asks for more than it did.
func postgresMix() Scenario {
	var released atomic.Bool
	return Scenario{
		Name:   "postgres-healthy-mix",
		Title:  "a healthy postgres gets clients that ask for other things",
		Server: "postgres", Language: C, Source: Debian,
		Normal: "six clients read single rows and now and then change one",
		Steps: []Step{
			learning(),
			{
				Say: "a new release: joins and inserts beside the old requests",
				Do: func(context.Context) (func(), error) {
					released.Store(true)
					return nil, nil
				},
				For: 60 * time.Second,
			},
		},
		Start: func(ctx context.Context) (Workload, error) {
			released.Store(false)
			s, err := startShop(ctx, 20_000)
			if err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: shopLoad(s, 300, func(r *rand.Rand) string {
				account := 1 + r.IntN(20_000)
				kind := r.IntN(20)
				switch {
				case kind < 2:
					return fmt.Sprintf("UPDATE accounts SET balance = balance + 1 WHERE id = %d", account)
				case !released.Load() || kind < 12:
					return fmt.Sprintf("SELECT balance, note FROM accounts WHERE id = %d", account)
				case kind < 16:
					return fmt.Sprintf("SELECT a.note, o.id, o.amount FROM accounts a JOIN orders o ON o.account = a.id WHERE a.id = %d ORDER BY o.id DESC LIMIT 5", account)
				default:
					return fmt.Sprintf("INSERT INTO orders (account, amount) VALUES (%d, %d)", account, r.IntN(100))
				}
			})}, nil
		},
	}
}

// postgresWrites: a database as Debian configures it waits for the disk at
// every commit, and that is as it should be; more so while it writes a
// checkpoint or somebody copies it.
func postgresWrites() Scenario {
	var s *server.Server
	return Scenario{
		Name:   "postgres-healthy-writes",
		Title:  "a healthy postgres commits to the disk, writes a checkpoint and is backed up",
		Server: "postgres", Language: C, Source: Debian,
		Normal: "six clients make payments and look at accounts, every commit waits for the disk",
		Steps: []Step{
			learning(),
			{
				Say: "CHECKPOINT",
				Do:  func(context.Context) (func(), error) { return nil, postgresDo(s, "CHECKPOINT") },
				For: 15 * time.Second,
			},
			{
				Say: "pg_dump of the database",
				Do:  func(ctx context.Context) (func(), error) { return nil, dumpPostgres(ctx, s) },
				For: 15 * time.Second,
			},
			{Factor: 2, For: 25 * time.Second},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = startShop(ctx, 200_000); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: shopLoad(s, 200, paymentRequest(200_000))}, nil
		},
	}
}

// paymentRequest makes a payment or an order, or looks at an account.
func paymentRequest(accounts int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		account := 1 + r.IntN(accounts)
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			return fmt.Sprintf(`BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = %d;
				INSERT INTO orders (account, amount) VALUES (%[1]d, 1); COMMIT`, account)
		case 4:
			return fmt.Sprintf("INSERT INTO orders (account, amount) VALUES (%d, %d)", account, r.IntN(100))
		default:
			return fmt.Sprintf("SELECT balance, note FROM accounts WHERE id = %d", account)
		}
	}
}

// dumpPostgres backs the database up into the server's directory.
func dumpPostgres(ctx context.Context, s *server.Server) error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	return s.RunTool(ctx, []string{"/usr/lib/postgresql/*/bin/pg_dump"},
		"-h", host, "-p", port, "-U", "postgres", "-Fc", "-f", filepath.Join(s.Dir, "backup.dump"), "postgres")
}

// postgresCron: jobs that come every quarter of a minute.
func postgresCron() Scenario {
	var s *server.Server
	return Scenario{
		Name:   "postgres-healthy-cron",
		Title:  "a healthy postgres with jobs that run every 15 seconds",
		Server: "postgres", Language: C, Source: Debian,
		Normal: "six clients read and update accounts",
		Steps: []Step{
			learning(),
			{
				Say: "every 15 s four clients come for 2 s and ask three times what all others do, and VACUUM ANALYZE follows",
				Do: func(ctx context.Context) (func(), error) {
					return meanwhile(ctx, func(ctx context.Context) {
						every(ctx, 15*time.Second, func() {
							job := shopLoad(s, 600, accountRequest(20_000))
							job.Workers = 4
							burst := load.Start(ctx, job)
							select {
							case <-ctx.Done():
							case <-time.After(2 * time.Second):
							}
							burst.Stop()
							_ = postgresDo(s, "VACUUM ANALYZE") // the load shows a server that is gone
						})
					}), nil
				},
				For: 65 * time.Second,
			},
		},
		Start: func(ctx context.Context) (Workload, error) {
			var err error
			if s, err = startShop(ctx, 20_000); err != nil {
				return Workload{}, err
			}
			return Workload{Server: s, Load: shopLoad(s, 200, accountRequest(20_000))}, nil
		},
	}
}

// startShop starts a postgres as Debian configures it, with accounts and ten
// orders for each of the first 20,000.
func startShop(ctx context.Context, accounts int) (*server.Server, error) {
	s, err := server.StartPostgres(ctx)
	if err != nil {
		return nil, err
	}
	err = postgresDo(s, fmt.Sprintf(`CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL, note text);
		INSERT INTO accounts SELECT i, 0, repeat('x', 100) FROM generate_series(1, %d) i;
		CREATE TABLE orders (id serial PRIMARY KEY, account int NOT NULL, amount int NOT NULL);
		INSERT INTO orders (account, amount) SELECT 1 + i %% 20000, i %% 100 FROM generate_series(1, 200000) i;
		CREATE INDEX ON orders (account)`, accounts))
	// What the fill leaves to be done is done before the load comes.
	for _, sql := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if err == nil {
			err = postgresDo(s, sql)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// shopLoad has six clients send what next says.
func shopLoad(s *server.Server, perSecond float64, next func(r *rand.Rand) string) load.Config {
	return load.Config{
		Workers: 6,
		Rate:    perSecond,
		Dial: func() (load.Client, error) {
			c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
			if err != nil {
				return nil, err
			}
			return shopClient{c, next}, nil
		},
	}
}

type shopClient struct {
	*client.Postgres
	next func(r *rand.Rand) string
}

func (c shopClient) Request(r *rand.Rand) error { return c.Query(c.next(r)) }

// accountRequest reads three accounts for one that it changes.
func accountRequest(accounts int) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		account := 1 + r.IntN(accounts)
		if r.IntN(4) == 0 {
			return fmt.Sprintf("UPDATE accounts SET balance = balance + 1 WHERE id = %d", account)
		}
		return fmt.Sprintf("SELECT balance, note FROM accounts WHERE id = %d", account)
	}
}

// postgresDo runs one statement over a connection of its own.
func postgresDo(s *server.Server, sql string) error {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Query(sql)
}
