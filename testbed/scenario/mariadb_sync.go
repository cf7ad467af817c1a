package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/server"
)

// mariadbSync: commits are written, and synced once a second. Then the server
// gets a replica, and the guide asks for a binary log that survives a crash.
func mariadbSync() Scenario {
	return Scenario{
		Name:   "mariadb-sync",
		Title:  "mariadb waits for the disk at every commit",
		Server: "mariadb", Language: C, Kind: SyncWrite, Source: Debian, Split: Tune,
		Normal: "a shop: pages, carts and sales, nearly half of them writes, that are synced once a second",
		Fault:  "SET GLOBAL sync_binlog=1: from now on every commit waits until the binary log has reached the disk",
		// https://github.com/MariaDB/server/blob/mariadb-10.11.14/sql/log.cc:
		// the leader of a group commit writes and syncs the binary log while
		// the others wait for it. innodb_flush_log_at_trx_commit=1 would do
		// the same to the redo log, but InnoDB's functions have no names in
		// Debian's binary.
		Truth:    []string{"MYSQL_BIN_LOG::flush_and_sync", "MYSQL_BIN_LOG::trx_group_commit_leader"},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			w, err := startMariaDB(ctx, 400)
			w.Fault = func(ctx context.Context) (func(), error) { return syncCommits(ctx, w.Server) }
			return w, err
		},
	}
}

func syncCommits(ctx context.Context, s *server.Server) (func(), error) {
	c, err := client.DialMariaDB(ctx, s.Addr, "")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Exec("SET GLOBAL sync_binlog = 1"); err != nil {
		return nil, err
	}
	return func() {}, nil
}
