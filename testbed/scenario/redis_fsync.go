package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/server"
)

// redisFsync: the append-only file is part of normal life, synced once a
// second by a background thread. Then someone wants no write to be lost.
func redisFsync() Scenario {
	return Scenario{
		Name:   "redis-fsync",
		Title:  "redis waits for the disk at every write",
		Server: "redis", Language: C, Kind: SyncWrite, Source: Debian, Split: Tune,
		Quick:  true,
		Normal: "append-only file on, synced once a second by a background thread",
		Fault:  "CONFIG SET appendfsync always: from now on the event loop waits for the disk after every write",
		// https://github.com/redis/redis/blob/7.0.15/src/aof.c: the
		// function that writes the file and, with "always", syncs it.
		Truth:    []string{"flushAppendOnlyFile"},
		Patterns: []string{"sync_write_per_operation"},
		Top:      1,
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRedis(ctx, "--appendonly", "yes", "--appendfsync", "everysec")
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   redisLoad(s, 2000),
				Fault: func(context.Context) (func(), error) {
					return func() {}, redisDo(s, "CONFIG", "SET", "appendfsync", "always")
				},
			}, nil
		},
	}
}
