package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// memcachedDump: a tool that shows what is in a cache reads the keys of each
// class of sizes, again and again.
func memcachedDump() Scenario {
	return Scenario{
		Name:   "memcached-dump",
		Title:  "memcached writes lists of its keys under a lock",
		Server: "memcached", Language: C, Kind: Computation, Source: Debian, Split: Report,
		Normal: "four threads serve a cache that is full: every write evicts something",
		Fault:  "a tool asks for `stats cachedump` of one class after the other, twelve times a second: a class's oldest items are locked while up to 2 MiB of keys are written",
		// https://github.com/memcached/memcached/blob/1.6.18/items.c: holds
		// the lock of the class's COLD list over it all, which lru_pull_tail
		// of every writer needs. doc/protocol.txt recommends "lru_crawler
		// metadump", which "does not lock the cache".
		Truth:    []string{"item_cachedump"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartMemcached(ctx)
			if err != nil {
				return Workload{}, err
			}
			if err := fillMemcached(s); err != nil {
				return Workload{}, errors.Join(err, s.Stop())
			}
			return Workload{
				Server: s,
				Load:   memcachedLoad(s, 2500),
				Fault:  func(ctx context.Context) (func(), error) { return dumpKeys(ctx, s) },
			}, nil
		},
	}
}

// dumpKeys reads the keys of classes 3 to 9, which hold the sessions, in turn
// until it is ended.
func dumpKeys(ctx context.Context, s *server.Server) (func(), error) {
	c, err := client.DialMemcached(s.Addr)
	if err != nil {
		return nil, err
	}
	dump := func(class int) (int, error) { return c.Do(fmt.Appendf(nil, "stats cachedump %d 0\r\n", class)) }
	if lines, err := dump(5); err != nil || lines < 1000 {
		return nil, errors.Join(fmt.Errorf("the tool was shown %d keys: %w", lines, err), c.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var dumping sync.WaitGroup
	dumping.Go(func() {
		defer c.Close()
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := dump(3 + i%7); err != nil {
				return
			}
			pause(ctx, time.Second/12)
		}
	})
	return func() { cancel(); dumping.Wait() }, nil
}
