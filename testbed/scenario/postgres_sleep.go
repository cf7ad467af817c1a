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

// postgresSleep: a trigger that was written to slow a migration down is
// deployed with the rest of it.
func postgresSleep() Scenario {
	return Scenario{
		Name:   "postgres-sleep",
		Title:  "postgres sleeps: a trigger that calls pg_sleep for every write",
		Server: "postgres", Language: C, Kind: Sleep, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "six clients read, update and sum up accounts",
		Fault:  "CREATE TRIGGER … BEFORE UPDATE: a function that was meant to throttle a migration sleeps for 30 ms at each row",
		// https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/misc.c:
		// pg_sleep, called by the trigger's function, which PL/pgSQL runs in
		// plpgsql_exec_trigger (src/pl/plpgsql/src/pl_exec.c).
		Truth:    []string{"pg_sleep", "plpgsql_exec_trigger", "ExecBRUpdateTriggers", "ExecBRUpdateTriggersNew"},
		Patterns: []string{"sleep_in_request"},
		Start: func(ctx context.Context) (Workload, error) {
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
						return postgresReports{postgresClient{c}}, nil
					},
				},
				Fault: func(context.Context) (func(), error) { return deployThrottle(s) },
			}, nil
		},
	}
}

// postgresReports also sums up some accounts, and now and then asks for a
// table of the last release.
type postgresReports struct{ postgresClient }

func (c postgresReports) Request(r *rand.Rand) error {
	switch r.IntN(25) {
	case 0:
		from := 1 + r.IntN(postgresRows)
		return c.Query(fmt.Sprintf("SELECT sum(balance), max(length(note)) FROM accounts WHERE id BETWEEN %d AND %d", from, from+500))
	case 1:
		if c.Query("SELECT total FROM balances") == nil {
			return errors.New("a table that is not there was read")
		}
		return nil
	}
	return c.postgresClient.Request(r)
}

func deployThrottle(s *server.Server) (func(), error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return func() {}, c.Query(`
		CREATE FUNCTION throttle() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_sleep(0.03);
			RETURN NEW;
		END $$;
		CREATE TRIGGER throttle BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION throttle()`)
}
