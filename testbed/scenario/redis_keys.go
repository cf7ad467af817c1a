package scenario

import (
	"context"
	"errors"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// redisKeys: somebody's dashboard asks for KEYS on a large keyspace.
func redisKeys() Scenario {
	return Scenario{
		Name:   "redis-keys",
		Title:  "redis computes: KEYS over a large keyspace",
		Server: "redis", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "a cache of 300,000 keys in use",
		Fault:  "a dashboard asks for KEYS with a pattern five times a second: every key is matched while all others wait",
		// src/db.c keysCommand and the matcher it calls for every key,
		// src/util.c (the second is static in most builds).
		Truth:    []string{"keysCommand", "stringmatchlen", "stringmatchlen_impl"},
		Patterns: []string{"long_computation"},
		Top:      3,
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx, "--enable-debug-command", "local")
			if err != nil {
				return Workload{}, err
			}
			if err := redisDo(s, "DEBUG", "POPULATE", "300000", "session"); err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			return Workload{
				Server: s,
				Load:   redisLoad(s, 1000),
				Fault:  func(ctx context.Context) (func(), error) { return PollKeys(ctx, s.Addr, func(_, _ time.Time) {}) },
			}, nil
		},
	}
}

// PollKeys asks the redis at an address, which holds many keys called session,
// for KEYS every 200 ms until it is ended; asked is told when each of them was
// under way.
func PollKeys(ctx context.Context, addr string, asked func(from, to time.Time)) (func(), error) {
	c, err := client.DialRedis(addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.Do("KEYS", "session:*9*7*5*3*"); err != nil {
		c.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.Close()
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			from := time.Now()
			if _, err := c.Do("KEYS", "session:*9*7*5*3*"); err != nil {
				return
			}
			asked(from, time.Now())
		}
	}()
	return func() { cancel(); <-done }, nil
}
