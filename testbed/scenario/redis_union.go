package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// Players with a score today, and in the week.
const redisPlayersToday, redisPlayersWeek = 10_000, 20_000

// redisUnion: a game's page shows the leaders of the week with today's points,
// and makes the whole table for the ten it shows.
func redisUnion() Scenario {
	return Scenario{
		Name:   "redis-union",
		Title:  "redis allocates: a union of large sorted sets for each view of a page",
		Server: "redis", Language: C, Kind: Allocation, Source: Debian, Split: Tune,
		Normal: "a cache in use, and two leaderboards that players write and read",
		Fault:  "a new page asks six times a second for ZUNIONSTORE of both leaderboards, reads ten lines of it and drops it",
		// https://github.com/redis/redis/blob/7.0.15/src/t_zset.c: a hash
		// table and a skip list of all members are made, element by element,
		// and freed again. https://redis.io/docs/latest/commands/zunionstore/
		// gives it as O(N)+O(M log(M)).
		Truth:    []string{"zunionInterDiffGenericCommand", "zunionstoreCommand"},
		Patterns: []string{"long_computation", "memory_map_churn"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx)
			if err != nil {
				return Workload{}, err
			}
			if err := fillLeaderboards(s); err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			w := Workload{
				Server: s,
				Load:   redisLoad(s, 1000),
				Fault:  func(ctx context.Context) (func(), error) { return viewLeaders(ctx, s) },
			}
			dial := w.Load.Dial
			w.Load.Dial = func() (load.Client, error) {
				c, err := dial()
				if err != nil {
					return nil, err
				}
				return redisGame{c.(redisClient)}, nil
			}
			return w, nil
		},
	}
}

// redisGame is a cache's client that also scores and looks at the leaders.
type redisGame struct{ redisClient }

func (c redisGame) Request(r *rand.Rand) error {
	var err error
	switch r.IntN(10) {
	case 0:
		_, err = c.Do("ZINCRBY", "score:today", strconv.Itoa(1+r.IntN(10)), player(r.IntN(redisPlayersToday)))
	case 1:
		_, err = c.Do("ZREVRANGE", "score:week", "0", "9", "WITHSCORES")
	default:
		err = c.redisClient.Request(r)
	}
	return err
}

func player(i int) string { return fmt.Sprintf("player:%08d", i) }

func fillLeaderboards(s *server.Server) error {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(1, 1))
	for key, players := range map[string]int{"score:today": redisPlayersToday, "score:week": redisPlayersWeek} {
		for from := 0; from < players; from += 100 {
			args := []string{"ZADD", key}
			for i := from; i < from+100; i++ {
				args = append(args, strconv.Itoa(r.IntN(100_000)), player(i))
			}
			if _, err := c.Do(args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// viewLeaders asks for the page six times a second until it is ended.
func viewLeaders(ctx context.Context, s *server.Server) (func(), error) {
	c, err := client.DialRedis(s.Addr)
	if err != nil {
		return nil, err
	}
	page := func() error {
		for _, args := range [][]string{
			{"ZUNIONSTORE", "leaders", "2", "score:week", "score:today"},
			{"ZREVRANGE", "leaders", "0", "9", "WITHSCORES"},
			{"DEL", "leaders"},
		} {
			if _, err := c.Do(args...); err != nil {
				return err
			}
		}
		return nil
	}
	if err := page(); err != nil {
		c.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var viewing sync.WaitGroup
	viewing.Go(func() {
		defer c.Close()
		for ctx.Err() == nil && page() == nil {
			pause(ctx, time.Second/6)
		}
	})
	return func() { cancel(); viewing.Wait() }, nil
}
