package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// unseenLists are lists that grow while each request goes through all of them.
func unseenLists() []Scenario {
	return []Scenario{auctionsListeners(), redisPatterns(), parkingMailbox(), postgresQueue()}
}

// auctionsListeners: a listener that nobody removes is called with every event:
// https://nodejs.org/docs/latest-v20.x/api/events.html#eventsdefaultmaxlisteners.
func auctionsListeners() Scenario {
	return Scenario{
		Name:   "auctions-listeners",
		Title:  "a Node server's listeners are never removed",
		Server: "auctions", Language: Node, Kind: Computation, Source: Own, Split: Report,
		Normal: "lots are shown, and bids placed",
		Fault:  "clients of a new version watch lots, too: each time a listener stays behind, and every bid calls them all",
		// apps/auctions/server.js.
		Truth:    []string{"noticeBid", "watchLot", "placeBid"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNode(ctx, "auctions")
			if err != nil {
				return Workload{}, err
			}
			var watch flip
			return Workload{
				Server: s,
				Load: httpLoad(16, 250, func(r *rand.Rand) (*http.Request, error) {
					lot := fmt.Sprintf("http://%s/lots/%d", s.Addr, r.IntN(500))
					switch n := r.IntN(100); {
					case n < 30:
						return http.NewRequest(http.MethodPost, fmt.Sprintf("%s/bids/%d", lot, 10+r.IntN(1000)), nil)
					case n < 70 && watch.on():
						return http.NewRequest(http.MethodGet, lot+"/next", nil)
					}
					return http.NewRequest(http.MethodGet, lot, nil)
				}),
				Fault: watch.fault,
				Stop:  func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// redisPatterns: what is published is compared with every pattern that somebody
// subscribed to: https://redis.io/docs/latest/commands/publish/ ("O(N+M) … M is the total
// number of subscribed patterns").
func redisPatterns() Scenario {
	return Scenario{
		Name:   "redis-patterns",
		Title:  "redis compares each message with every pattern",
		Server: "redis", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "a cache of 10,000 keys in use, and messages that are published",
		Fault:  "a client subscribes to a pattern for each of its 20,000 users",
		// src/pubsub.c: pubsubPublishMessageInternal, and what it calls for every
		// pattern, src/util.c.
		Truth: []string{
			"pubsubPublishMessageInternal", "pubsubPublishMessage", "pubsubPublishMessageAndPropagateToCluster", "publishCommand",
			"stringmatchlen", "stringmatchlen_impl",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			cfg := redisLoad(s, 800)
			dial := cfg.Dial
			cfg.Dial = func() (load.Client, error) {
				c, err := dial()
				if err != nil {
					return nil, err
				}
				return redisPublisher{c.(redisClient)}, nil
			}
			return Workload{Server: s, Load: cfg, Fault: func(context.Context) (func(), error) { return subscribePatterns(s, 20_000) }}, nil
		},
	}
}

type redisPublisher struct{ redisClient }

func (c redisPublisher) Request(r *rand.Rand) error {
	if r.IntN(5) != 0 {
		return c.redisClient.Request(r)
	}
	_, err := c.Do("PUBLISH", fmt.Sprintf("news:%d", r.IntN(500)), "something happened")
	return err
}

func subscribePatterns(s *server.Server, many int) (func(), error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return nil, err
	}
	for i := range many {
		if _, err := c.Do("PSUBSCRIBE", fmt.Sprintf("user:%d:*", i)); err != nil {
			c.Close()
			return nil, err
		}
	}
	return func() { c.Close() }, nil
}

// parkingMailbox: a selective receive goes through all messages that nobody takes:
// https://www.erlang.org/doc/system/eff_guide_processes.html#fetching-received-messages.
func parkingMailbox() Scenario {
	return Scenario{
		Name:   "parking-mailbox",
		Title:  "an Erlang process never takes some messages",
		Server: "parking", Language: Erlang, Kind: Computation, Source: Own, Split: Report,
		Normal: "cars enter, and people look where it is free",
		Fault:  "sensors that are new tell the temperature, 300,000 messages that the process at the gate does not know",
		// apps/parking/parking.erl, as Erlang writes it into its perf map.
		Truth:    []string{"$parking:gate/2", "$parking:ask_price/2", "parking:gate/2", "parking:ask_price/2"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartParking(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 150, func(r *rand.Rand) (*http.Request, error) {
					if r.IntN(3) == 0 {
						return http.NewRequest(http.MethodGet, "http://"+s.Addr+"/map", nil)
					}
					return http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/enter/car%d", s.Addr, r.IntN(2000)), nil)
				}),
				Fault: func(ctx context.Context) (func(), error) {
					request, err := http.NewRequest(http.MethodGet, "http://"+s.Addr+"/sensors/300000", nil)
					if err != nil {
						return nil, err
					}
					return func() {}, send(ctx, http.DefaultClient, request)
				},
				Stop: func() { server.RemovePerfMap(s) },
			}, nil
		},
	}
}

// postgresQueue: jobs that were taken cannot be forgotten while a transaction may still
// see them, and who takes the next one goes past them all:
// https://brandur.org/postgres-queues.
func postgresQueue() Scenario {
	return Scenario{
		Name:   "postgres-queue",
		Title:  "postgres goes past the dead rows of a queue",
		Server: "postgres", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "jobs are put into a table and taken out of it, the oldest first",
		Fault:  "an analyst's transaction is left open: rows that were deleted stay",
		// src/backend/access/index/indexam.c, access/heap/heapam_handler.c,
		// heapam.c and heapam_visibility.c, executor/nodeIndexscan.c.
		Truth: []string{
			"index_getnext_slot", "index_getnext_tid", "index_fetch_heap", "heapam_index_fetch_tuple", "heap_hot_search_buffer",
			"HeapTupleSatisfiesVisibility", "HeapTupleSatisfiesMVCC", "btgettuple", "_bt_next", "IndexNext", "ExecIndexScan",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPostgres(ctx, "-c", "synchronous_commit=off", "-c", "autovacuum_naptime=5s", "-c", "autovacuum_vacuum_threshold=200")
			if err != nil {
				return Workload{}, err
			}
			c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
			if err == nil {
				defer c.Close()
				err = c.Query(`CREATE TABLE job (id serial PRIMARY KEY, payload text NOT NULL);
					INSERT INTO job (payload) SELECT repeat('p', 60) FROM generate_series(1, 200); ANALYZE job`)
			}
			if err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			return Workload{
				Server: s,
				Load: load.Config{
					Workers: 6,
					Rate:    400,
					Dial: func() (load.Client, error) {
						c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
						if err != nil {
							return nil, err
						}
						return &postgresWorker{Postgres: c}, nil
					},
				},
				Fault: func(context.Context) (func(), error) { return leaveSnapshotOpen(s) },
			}, nil
		},
	}
}

// postgresWorker puts a job and takes one, in turn.
type postgresWorker struct {
	*client.Postgres
	turn atomic.Int64
}

func (c *postgresWorker) Request(*rand.Rand) error {
	n := c.turn.Add(1)
	if n%2 == 0 {
		return c.Query("INSERT INTO job (payload) VALUES ('job " + strconv.FormatInt(n, 10) + "')")
	}
	return c.Query("DELETE FROM job WHERE id = (SELECT id FROM job ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING payload")
}

func leaveSnapshotOpen(s *server.Server) (func(), error) {
	c, err := client.DialPostgres(s.Addr, "postgres", "postgres")
	if err != nil {
		return nil, err
	}
	if err := c.Query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM job"); err != nil {
		c.Close()
		return nil, err
	}
	return func() { c.Close() }, nil
}
