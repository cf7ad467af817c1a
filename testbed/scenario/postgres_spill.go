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

const postgresEntries = 100_000

// postgresSpill: somebody lowers work_mem because the machine ran out of
// memory, and what was sorted in memory is sorted in files:
// https://www.postgresql.org/docs/15/runtime-config-resource.html#GUC-WORK-MEM
// ("… before writing to temporary disk files").
func postgresSpill() Scenario {
	return Scenario{
		Name:   "postgres-spill",
		Title:  "postgres sorts in files: work_mem is too small",
		Server: "postgres", Language: C, Kind: TinyIO, Source: Debian, Split: Report,
		Normal: "six clients read and update accounts; five times a second a report sorts 100,000 entries in memory",
		Fault:  "ALTER SYSTEM SET work_mem = '64kB': every report writes its runs to files in blocks of 8 KiB, and merges them",
		// src/backend/utils/sort/tuplesort.c writes and merges the runs, through
		// logtape.c and src/backend/storage/file/buffile.c and fd.c. mergeruns,
		// dumptuples and BufFileDumpBuffer are static.
		Truth: []string{
			"tuplesort_puttupleslot", "tuplesort_performsort",
			"LogicalTapeWrite", "LogicalTapeRead", "BufFileWrite", "BufFileRead", "FileWrite", "FileRead",
		},
		Patterns: []string{"tiny_io", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPostgres(ctx, "-c", "synchronous_commit=off")
			if err != nil {
				return Workload{}, err
			}
			if err := errors.Join(fillPostgres(s), fillEntries(s)); err != nil {
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
						return postgresSorts{postgresClient{c}}, nil
					},
				},
				Fault: func(context.Context) (func(), error) { return setWorkMem(s, "64kB") },
			}, nil
		},
	}
}

func fillEntries(s *server.Server) error {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Query(fmt.Sprintf(`CREATE TABLE entries (id int PRIMARY KEY, account int NOT NULL, amount int NOT NULL, note text);
		INSERT INTO entries SELECT i, i %% %d, (i * 7919) %% 100003, repeat('e', 60) FROM generate_series(1, %d) i;
		ANALYZE entries`, postgresRows, postgresEntries))
	if err != nil {
		return err
	}
	_, err = setWorkMem(s, "32MB")
	return err
}

// setWorkMem changes it for all sessions.
func setWorkMem(s *server.Server, size string) (func(), error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return func() {}, errors.Join(
		c.Query(fmt.Sprintf("ALTER SYSTEM SET work_mem = '%s'", size)),
		c.Query("SELECT pg_reload_conf()"),
	)
}

// postgresSorts has a report among its requests.
type postgresSorts struct{ postgresClient }

func (c postgresSorts) Request(r *rand.Rand) error {
	if r.IntN(60) == 0 {
		return c.Query(fmt.Sprintf("SELECT id, account, amount, note FROM entries ORDER BY amount, account, id OFFSET %d", postgresEntries-20))
	}
	return c.postgresClient.Request(r)
}
